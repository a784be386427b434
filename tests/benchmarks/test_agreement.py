"""The same responses scored here and by lm-eval's own gsm8k, minerva_math and aime.

Every right answer must be right here and every wrong one wrong. Where lm-eval differs, the form of
the response stands in ``agreement.tsv`` with the reason; a difference without a reason, and a
reason without a difference, fail.
"""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from l2_harness.answers import judge
from l2_harness.benchmarks.check import load_task
from l2_harness.benchmarks.documents import reference_of
from l2_harness.benchmarks.written_answers import boxable, right_responses, wrong_responses

Score = Callable[[Mapping[str, Any], str], bool]
DOCUMENTS = 20

#: scorer, form of the response, whose score is 1 where they differ, why.
REASONS_FILE = Path(__file__).with_name("agreement.tsv")


def reasons(name: str) -> dict[str, tuple[str, str]]:
    """Form -> (who alone scores 1, why), of one scorer."""
    with REASONS_FILE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {row["form"]: (row["alone"], row["reason"]) for row in rows if row["scorer"] == name}


@cache
def gsm8k_filters() -> dict[str, Any]:
    """lm-eval's extraction for gsm8k_cot_zeroshot, from its own YAML."""
    import lm_eval.tasks
    from lm_eval.filters import build_filter_ensemble
    from lm_eval.tasks._yaml_loader import load_yaml

    folder = Path(lm_eval.tasks.__file__).parent
    config = load_yaml(folder / "gsm8k" / "gsm8k-cot-zeroshot.yaml")
    ensembles = {}
    for entry in config["filter_list"]:
        steps = [
            [step["function"], {key: value for key, value in step.items() if key != "function"}]
            for step in entry["filter"]
        ]
        ensembles[entry["name"]] = build_filter_ensemble(entry["name"], steps)
    (metric,) = config["metric_list"]
    ensembles["metric"] = {
        key: metric[key] for key in ("ignore_case", "ignore_punctuation", "regexes_to_ignore")
    }
    return ensembles


def gsm8k_score(name: str) -> Score:
    def score(document: Mapping[str, Any], response: str) -> bool:
        from lm_eval.api.instance import Instance
        from lm_eval.api.metrics import exact_match_fn

        instance = Instance("generate_until", dict(document), ("", {}), 0, resps=[response])
        gsm8k_filters()[name].apply([instance])
        found = exact_match_fn(
            references=[document["target"]],
            predictions=[instance.filtered_resps[name]],
            **gsm8k_filters()["metric"],
        )
        return bool(found["exact_match"])

    return score


@cache
def minerva_results(answer: str, response: str) -> dict[str, int]:
    from lm_eval.tasks.minerva_math.utils import normalize_final_answer, process_results

    row = {"answer": normalize_final_answer(answer), "solution": rf"$\boxed{{{answer}}}$"}
    return process_results(row, [response])


def minerva_score(name: str) -> Score:
    return lambda document, response: bool(minerva_results(document["target"], response)[name])


def aime_score(document: Mapping[str, Any], response: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        from lm_eval.tasks.aime.utils import process_results

    return bool(process_results({"answer": document["target"]}, [response])["exact_match"])


SCORERS: dict[str, tuple[str, Score]] = {
    "gsm8k strict-match": ("l2_gsm8k", gsm8k_score("strict-match")),
    "gsm8k flexible-extract": ("l2_gsm8k", gsm8k_score("flexible-extract")),
    "minerva_math exact_match": ("l2_math500", minerva_score("exact_match")),
    "minerva_math math_verify": ("l2_math500", minerva_score("math_verify")),
    "aime24 exact_match": ("l2_aime24", aime_score),
    "aime25 exact_match": ("l2_aime25", aime_score),
}


def native_responses(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What lm-eval's own prompts bring a model to write."""
    gold = boxable(document)
    yield "gsm8k's sentence", f"We add them up. The answer is {gold}."
    yield (
        "minerva's sentence",
        (f"Final Answer: The final answer is ${gold}$. I hope it is correct."),
    )
    yield "boxed, nothing else", f"$\\boxed{{{gold}}}$"


def differences(score: Score, documents: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Form -> who alone scored 1 -> how often; the total under `responses`."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for document in documents:
        right = chain(native_responses(document), right_responses(document))
        for is_right, responses in ((True, right), (False, wrong_responses(document))):
            for form, response in responses:
                ours = judge(response, reference_of(document)).correct
                assert ours == is_right, (form, response)
                theirs = score(document, response)
                counts[form]["responses"] += 1
                if ours != theirs:
                    counts[form]["ours" if ours else "lm-eval's"] += 1
    return counts


@pytest.mark.parametrize("name", SCORERS)
def test_differences_have_reasons(
    name: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.startswith("minerva"):
        pytest.importorskip("antlr4", reason="lm-eval's minerva_math needs lm-eval[math]")
    task, score = SCORERS[name]
    documents = load_task(task, data).test_docs()
    counts = differences(score, documents.select(range(min(DOCUMENTS, len(documents)))))
    differing = {form: who for form, who in counts.items() if len(who) > 1}
    with capsys.disabled():
        print(f"\n{name} on {task}: {sum(who['responses'] for who in counts.values())} responses")
        for form, who in sorted(differing.items()):
            print("   ", form, dict(who), reasons(name).get(form, ("", "?"))[1])
    listed = reasons(name)
    for form, who in differing.items():
        alone, why = listed.get(form, ("", ""))
        assert set(who) == {"responses", alone}, (form, dict(who))
        assert len(why) > 10
    assert set(differing) == set(listed)
