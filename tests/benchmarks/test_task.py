"""The YAMLs and the class behind them: names, forms, switches, the offline folder, errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

from l2_harness.benchmarks.check import load_task
from l2_harness.benchmarks.listing import benchmark_names, list_groups, list_tasks
from l2_harness.benchmarks.task import SWITCHES, BenchmarkTask, apply_switches
from l2_harness.config.errors import ConfigError
from l2_harness.paths import demo_model_path, tasks_dir
from l2_harness.selection.sampled_text import SampledText

ROWS = [
    {"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"},
    {"question": "What is 2 * 3?", "answer": "#### 6"},
]
MATHS = "gsm8k math500 aime24 aime25 amc23 minerva_math olympiadbench svamp".split()
REASONING = "gpqa_diamond mmlu_pro bbh arc_challenge logiqa2 zebra".split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "gsm8k" / "test.jsonl", ROWS)
    return tmp_path


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def prompt_of(task: BenchmarkTask) -> str:
    task.build_all_requests(limit=1)
    return task.instances[0].args[0]


def test_names_and_groups() -> None:
    tasks = {task.name: task for task in list_tasks()}
    groups = {group.name: group.members for group in list_groups()}
    assert groups["l2_math"] == tuple(f"l2_{name}" for name in MATHS)
    assert groups["l2_reasoning"] == tuple(f"l2_{name}" for name in REASONING)
    assert set(groups["l2_all"]) == {"l2_math", "l2_reasoning", "l2_demo"}
    assert len(groups["l2_bbh"]) == 27
    assert len(groups["l2_bbh_logic"]) == 6
    assert {"l2_pubmedqa_closed", "l2_truthfulqa", "l2_ifeval", "l2_bbh"} <= set(groups["l2_paper"])
    for members in groups.values():
        plain = [name.removesuffix("_direct").removesuffix("_base") for name in members]
        assert all(one in tasks or name in groups for one, name in zip(plain, members, strict=True))


def test_every_benchmark_has_all_forms_and_says_where_it_comes_from() -> None:
    for task in list_tasks():
        if task.name in ("l2_demo", "l2_demo_validation", "l2_ifeval"):
            continue
        assert task.forms == ("direct", "base"), task.name
        assert task.dataset.count("/") == 1
        assert task.rows, task.name
        assert task.revision is None or len(task.revision) == 40
    unpinned = {task.name for task in list_tasks() if not task.revision}
    demo = {"l2_demo", "l2_demo_validation"}
    assert unpinned == demo | {"l2_hellaswag", "l2_logiqa2", "l2_zebra"}


def test_yamls_are_all_alike() -> None:
    """The forms of a task differ in the prompt's form, its stop strings, and in nothing else."""
    of_form = {
        "_direct": {"gen_prefix"},
        "_base": {"doc_to_target", "num_fewshot", "fewshot_config"},
    }
    index = TaskManager(include_path=str(tasks_dir()), include_defaults=False).task_index
    for name in benchmark_names():
        cfg = index[name].cfg
        assert cfg is not None
        assert name.removesuffix("_direct").removesuffix("_base") in str(index[name].yaml_path)
        assert bool(cfg["generation_kwargs"]["until"]) is name.endswith("_base")
        assert not {"temperature", "do_sample"} & set(cfg["generation_kwargs"])
        assert cfg["metadata"]["version"] == 1.1
        assert cfg["metadata"]["columns"]
        if name.endswith(tuple(of_form)):
            continue
        for form, own in of_form.items():
            other = index[f"{name}{form}"].cfg
            assert other is not None
            differing = {key for key in cfg | other if cfg.get(key) != other.get(key)}
            assert differing == {"task", "doc_to_text", "generation_kwargs"} | own


def test_prompts_of_both_forms(folder: Path) -> None:
    thinking = prompt_of(load_task("l2_gsm8k", folder))
    direct = prompt_of(load_task("l2_gsm8k_direct", folder))
    question, ending = ROWS[0]["question"], r"Put your final answer within \boxed{}."
    assert thinking == f"{question}\n\nReason step by step. {ending}"
    assert direct.startswith(f"{question}\n\nAnswer directly, without reasoning. {ending}")
    assert direct.endswith("<think>\n\n</think>\n\n")


def test_prompts_of_the_base_form(tmp_path: Path) -> None:
    """Worked examples of the same set, never the question itself, and no instruction."""
    worked = "2 + {n} = <<2+{n}=5>>{m}\n#### {m}"
    rows = [
        {"question": f"What is 2 + {n}?", "answer": worked.format(n=n, m=n + 2)} for n in range(6)
    ]
    write(tmp_path / "gsm8k" / "test.jsonl", rows)
    task = load_task("l2_gsm8k_base", tmp_path)
    task.build_all_requests()
    for n, instance in enumerate(task.instances):
        others = [i for i in range(6) if i != n]
        examples = [
            f"Question: What is 2 + {i}?\nAnswer: 2 + {i} = {i + 2}\n#### {i + 2}\n\n"
            for i in others
        ]
        assert instance.args[0] == f"{''.join(examples)}Question: What is 2 + {n}?\nAnswer:"
        assert "Question:" in instance.args[1]["until"]


def test_direct_prefix_can_be_changed_or_dropped(folder: Path) -> None:
    none = prompt_of(load_task("l2_gsm8k_direct", folder, l2_direct_prefix=""))
    assert none.endswith(r"\boxed{}.")
    other = prompt_of(load_task("l2_gsm8k_direct", folder, l2_direct_prefix="Answer:"))
    assert other.endswith("Answer:")
    assert "Answer:" not in prompt_of(load_task("l2_gsm8k", folder, l2_direct_prefix="Answer:"))


def test_repeats_from_the_command_line(folder: Path) -> None:
    task = load_task("l2_gsm8k", folder, l2_repeats="3")
    task.build_all_requests(limit=1)
    assert task.instances[0].repeats == 3
    assert {"avg@3", "pass@2", "pass@3", "maj@3"} <= set(task.aggregation())
    assert task.higher_is_better()["maj@3"] is True
    assert task.higher_is_better()["truncated"] is False


def test_lengths_have_no_arrow(folder: Path) -> None:
    from lm_eval.utils import make_table

    better = load_task("l2_gsm8k", folder).higher_is_better()
    results = {
        "results": {"t": {f"{name},none": 1.0 for name in better}},
        "versions": {"t": 1},
        "higher_is_better": {"t": better},
    }
    rows = {line.split("|")[5].strip(): line for line in make_table(results).splitlines()[2:]}
    assert {name for name, line in rows.items() if "↓" in line or "↑" in line} == (
        set(better) - {"chars", "words", "tokens"}
    )


@pytest.mark.parametrize("repeats", [0, -1, "many", 1.5])
def test_impossible_repeats(folder: Path, repeats: object) -> None:
    with pytest.raises(ConfigError, match="l2_repeats"):
        load_task("l2_gsm8k", folder, l2_repeats=repeats)


def test_misspelt_switch_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'l2_data'"):
        apply_switches({"metadata": {"l2_dat": "x"}})
    config = {"class": object, "metadata": {"pretrained": "x", "revision": "y"}}
    assert apply_switches(config) == {"metadata": config["metadata"]}
    assert all(name.startswith("l2_") for name in SWITCHES)


def test_all_responses_reach_the_scoring(folder: Path) -> None:
    task = load_task("l2_gsm8k", folder, l2_repeats=2)
    task.build_all_requests(limit=1)
    (instance,) = task.instances
    instance.resps = [r"\boxed{5}", r"\boxed{6}"]
    task.apply_filters()
    metrics = task.process_results(instance.doc, [instance.filtered_resps["none"]])
    assert (metrics["acc"], metrics["avg@2"], metrics["pass@2"], metrics["maj@2"]) == (
        1,
        0.5,
        1,
        0.5,
    )


def test_thinking_opened_by_the_template(folder: Path) -> None:
    """As DeepSeek-R1's template does: thinking that never closed answers nothing."""
    task = load_task("l2_gsm8k", folder)
    task.build_all_requests(
        limit=1,
        apply_chat_template=True,
        chat_template=lambda messages, **_: f"{messages[0]['content']}<assistant><think>\n",
    )
    doc = task.instances[0].doc
    open_ = task.process_results(doc, [[r"maybe \boxed{5}"]])
    assert (open_["acc"], open_["truncated"], open_["no_answer"]) == (0, 0, 1)
    whole = task.process_results(doc, [[r"maybe 6</think>\boxed{5}"]])
    assert (whole["acc"], whole["truncated"]) == (1, 0)
    # a model class that cuts the thinking off leaves no closing tag
    task.config.metadata["think_end_token"] = "</think>"
    assert task.process_results(doc, [[r"\boxed{5}"]])["acc"] == 1


def metrics_of(task: BenchmarkTask, responses: list[str], **metadata: str) -> dict[str, float]:
    task.config.metadata.update(metadata)
    return task.process_results(task.test_docs()[0], [responses])


@pytest.mark.parametrize("limit", [16, 200])
def test_the_same_text_has_the_same_score_whatever_class_made_it(folder: Path, limit: int) -> None:
    """A class that hands over text alone is judged as one that says where a response was cut."""
    tokenizer = AutoTokenizer.from_pretrained(str(demo_model_path()))
    text = "so it is 5 and then some more of it " * 60
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    said = ("acc", "truncated", "ending_unknown", "no_answer")
    for n_tokens in (1, limit // 2, limit - 5 - limit // 50, limit):
        task = load_task("l2_gsm8k", folder, pretrained="demo")
        task.set_config("generation_kwargs", {"max_gen_toks": limit}, update=True)
        response = str(tokenizer.decode(ids[:n_tokens]))
        knows = SampledText(response, finish_reason="length" if n_tokens == limit else "eos")
        plain, signalled = metrics_of(task, [response]), metrics_of(task, [knows])
        assert [plain[name] for name in said] == [signalled[name] for name in said], n_tokens
        assert plain["truncated"] == (n_tokens == limit)


def test_a_class_without_a_tokenizer(folder: Path, tmp_path_factory: Any) -> None:
    """Fewer bytes than the limit has tokens are a whole response; of others it isn't known."""
    nowhere = str(tmp_path_factory.mktemp("empty"))
    task = load_task("l2_gsm8k", folder, model=nowhere)
    task.set_config("generation_kwargs", {"max_gen_toks": 100}, update=True)
    whole = metrics_of(task, ["It is 5."])
    assert (whole["acc"], whole["ending_unknown"], whole["truncated"]) == (1, 0, 0)
    long = metrics_of(task, ["So " * 50 + "it is 5."])
    assert (long["acc"], long["ending_unknown"], long["truncated"]) == (1, 1, 0)
    thought = metrics_of(task, ["<think>" + "So " * 50 + "it is 5."])
    assert (thought["acc"], thought["ending_unknown"], thought["truncated"]) == (0, 0, 1)
    # a class that cuts the thinking off hands over less than the limit counts
    assert metrics_of(task, ["It is 5."], think_end_token="</think>")["ending_unknown"] == 1


@pytest.mark.parametrize(("cut", "warned"), [(2, True), (1, False)])
def test_a_model_that_rambles_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture, cut: int, warned: bool
) -> None:
    task = load_task("l2_gsm8k", folder)
    task.build_all_requests()
    for place, doc in enumerate(task.test_docs()):
        reason = "length" if place < cut else "eos"
        task.process_results(doc, [[SampledText("It is 5", finish_reason=reason)]])
    told = [r.getMessage() for r in caplog.records if "cut off" in r.getMessage()]
    assert bool(told) is warned
    assert not warned or ("100 %" in told[0] and "max_gen_toks=32768" in told[0])


def test_environment_variable_names_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("L2_HARNESS_DATA", str(folder))
    assert len(load_task("l2_gsm8k").test_docs()) == 2


def test_columns_under_other_names(tmp_path: Path) -> None:
    renamed = [{"frage": row["question"], "answer": row["answer"]} for row in ROWS]
    write(tmp_path / "gsm8k" / "test.jsonl", renamed)
    with pytest.raises(ConfigError, match=r"no column 'question'.*'frage'.*columns.json"):
        load_task("l2_gsm8k", tmp_path)
    (tmp_path / "columns.json").write_text('{"gsm8k/test.jsonl": {"question": "frage"}}')
    assert load_task("l2_gsm8k", tmp_path).test_docs()[1]["prompt"] == ROWS[1]["question"]


def test_hub_names_need_no_map(tmp_path: Path) -> None:
    """l2_aime25's YAML maps `problem` to `question`; a copy of the hub's rows has `problem`."""
    write(tmp_path / "aime25" / "test.jsonl", [{"problem": "1 + 1?", "answer": "2", "id": "0"}])
    assert load_task("l2_aime25", tmp_path).test_docs()[0]["prompt"] == "1 + 1?"


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no JSON"), ("[1]", "holds a list"), ('{"columns": 1}', "no column 'question'")],
)
def test_broken_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_task("l2_gsm8k", tmp_path)


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_task("l2_gsm8k", tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        load_task("l2_gsm8k", tmp_path / "nowhere")


def test_hub_that_cannot_be_reached_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("L2_HARNESS_DATA", raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(OSError, match=r"Idavidrein/gpqa could not be loaded.*gated.*l2_data=DIR"):
        load_task("l2_gpqa_diamond")


def test_hub_set_is_asked_for_with_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset

    asked: dict[str, object] = {}

    def load(path: str, name: str | None = None, **kwargs: object) -> dict[str, Dataset]:
        asked.update(path=path, name=name, **kwargs)
        return {"test": Dataset.from_list(ROWS)}

    monkeypatch.setattr("datasets.load_dataset", load)
    assert len(load_task("l2_gsm8k").test_docs()) == 2
    revision = "740312add88f781978c0658806c59bc2815b9866"
    assert asked == {"path": "openai/gsm8k", "name": "main", "revision": revision}


def test_a_copied_folder_works(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As in a wheel, where the YAMLs lie inside the package."""
    copied = shutil.copytree(tasks_dir(), tmp_path_factory.mktemp("elsewhere") / "_tasks")
    manager = TaskManager(
        include_path=str(copied), include_defaults=False, metadata={"l2_data": str(folder)}
    )
    task = manager.load(["l2_gsm8k_direct"])["tasks"]["l2_gsm8k_direct"]
    assert len(task.test_docs()) == 2
