"""The evaluation: its statistics by hand, its responses from a tiny untrained model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from statsmodels.stats.proportion import proportion_confint
from transformers import AutoModelForCausalLM

from l2_harness.demo.evaluate import (
    Record,
    Responder,
    Response,
    Share,
    evaluate,
    group,
    main,
    majority,
    summarise,
    table,
    wilson,
)
from l2_harness.demo.problems import Problem, generate
from l2_harness.demo.splits import make_splits
from l2_harness.demo.tokenizer import build_tokenizer, chat_prompt
from l2_harness.demo.train import TrainingConfig, build_model


@pytest.mark.parametrize(
    ("count", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 3), (54, 540), (299, 540), (539, 540)]
)
def test_wilson_is_that_of_statsmodels(count: int, n: int) -> None:
    assert wilson(count, n) == pytest.approx(proportion_confint(count, n, method="wilson"))


def test_wilson_worked_by_hand() -> None:
    """8 of 12: the shares p at which 2/3 lies 1.96 standard errors of p away."""
    for end in wilson(8, 12):
        assert abs(2 / 3 - end) == pytest.approx(1.959964 * (end * (1 - end) / 12) ** 0.5)


def test_wilson_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="n=0"):
        wilson(0, 0)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([5, 7, 7], 7),
        ([7, 5, 5, 7], 7),
        ([None, None, 3], 3),
        ([None, None], None),
        ([], None),
    ],
)
def test_majority(answers: list[int | None], expected: int | None) -> None:
    assert majority(answers) == expected


def response(answer: int | None, cut: bool = False) -> Response:
    return Response("" if answer is None else f"#### {answer}", answer, cut)


def record(
    steps: int, thinking: int | None, direct: int | None, samples: list[int | None]
) -> Record:
    """Of a problem whose answer is 1; what gives no answer counts as cut."""
    problem = Problem("?", 1, steps, "totals", "")
    made = [response(answer, cut=answer is None) for answer in (thinking, direct, *samples)]
    return Record(problem, made[0], made[1], tuple(made[2:]))


RECORDS = [
    record(1, thinking=1, direct=1, samples=[1, 1, 1, 1]),
    record(1, thinking=1, direct=2, samples=[1, 1, 2, 3]),
    record(2, thinking=2, direct=None, samples=[2, 2, 1, None]),
    record(2, thinking=None, direct=3, samples=[2, 3, 4, 5]),
]


def test_summary_worked_by_hand() -> None:
    s = summarise(RECORDS)
    assert s["problems"] == 4
    values = {key: s[key]["value"] for key in ("greedy", "direct", "any", "majority", "mixed")}
    assert values == {"greedy": 0.5, "direct": 0.25, "any": 0.75, "majority": 0.5, "mixed": 0.5}
    assert s["mean_sampled"] == 7 / 16
    assert s["cut"] == {"greedy": 1 / 4, "direct": 1 / 4, "sampled": 1 / 16}
    assert s["greedy"] == {"value": 0.5, "interval": wilson(2, 4), "count": 2, "n": 4}


def test_groups_are_those_that_occur() -> None:
    groups = group(RECORDS)
    assert list(groups) == ["all", "steps 1", "steps 2", "totals"]
    assert groups["steps 1"] == summarise(RECORDS[:2])
    assert groups["totals"] == groups["all"]


def test_table_has_a_row_a_group() -> None:
    head, _, *rows = table(group(RECORDS), samples=4).splitlines()
    assert "any of 4" in head
    assert [row.split(" | ")[0] for row in rows] == ["| all", "| steps 1", "| steps 2", "| totals"]
    low, high = Share(2, 4).interval
    assert f"| 50.0 ({100 * low:.1f}–{100 * high:.1f}) |" in rows[0]
    assert " 43.8 " in rows[0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of one layer: it babbles, but in the shape of the real one."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer()
    config = TrainingConfig(hidden_size=16, layers=1)
    model = build_model(config, len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


QUESTIONS = [generate(random.Random(i), "relations", 1 + i % 6, 99).question for i in range(5)]


def test_prompt_is_the_one_that_training_uses(tiny: Path) -> None:
    responder = Responder(tiny)
    for thinking in (True, False):
        assert responder.prompt("A?", thinking) == chat_prompt("A?", thinking)


def greedy_by_hand(folder: Path, question: str, tokens: int) -> str:
    """One question alone, one token at a time, no cache."""
    tokenizer: Any = build_tokenizer()
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(chat_prompt(question, True)).input_ids
    start = len(ids)
    for _ in range(tokens):
        with torch.inference_mode():
            ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
        if ids[-1] == tokenizer.eos_token_id:
            break
    return tokenizer.decode(ids[start:], skip_special_tokens=True)


def test_batches_come_back_in_order_and_are_greedy(tiny: Path) -> None:
    responses = Responder(tiny, batch_size=2, max_new_tokens=6).respond(QUESTIONS)
    assert [r.text for r in responses] == [greedy_by_hand(tiny, q, 6) for q in QUESTIONS]


def test_cut_is_a_response_without_the_end_of_its_turn(tiny: Path) -> None:
    responder = Responder(tiny)
    ids = responder.tokenizer("<think>\n1 + 1 = 2.\n</think>\n\n#### 2").input_ids
    eos, pad = responder.tokenizer.eos_token_id, responder.tokenizer.pad_token_id
    ended = responder._read([*ids, eos, pad])
    assert ended == Response("<think>\n1 + 1 = 2.\n</think>\n\n#### 2", 2, cut=False)
    assert responder._read(ids).cut
    thought = responder.tokenizer("<think>\n#### 5\n</think>\n\n").input_ids
    assert responder._read(thought).answer is None, "a number in the thinking is no answer"


def test_samples_are_seeded_and_differ(tiny: Path) -> None:
    responder = Responder(tiny, max_new_tokens=4)
    problems = make_splits()["test"][:2]
    runs = [evaluate(responder, problems, samples=3, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert [r.thinking for r in runs[0]] == [r.thinking for r in runs[2]]
    assert [r.problem for r in runs[0]] == list(problems)
    assert len({s.text for s in runs[0][0].samples}) > 1


def run_command(folder: Path, model: Path, *more: str) -> dict[str, Any]:
    out = folder / "new" / "figures.v1"
    main(["--model", str(model), "--out", str(out), "--limit", "3", "--samples", "2",
          "--max-new-tokens", "5", *more])  # fmt: skip
    return json.loads(Path(f"{out}.json").read_text())


def test_command_writes_a_page_and_its_figures(tiny: Path, tmp_path: Path) -> None:
    figures = run_command(tmp_path, tiny, "--split", "validation")
    assert figures["groups"]["all"]["problems"] == 3
    assert figures["settings"]["split"] == "validation"
    page = (tmp_path / "new" / "figures.v1.md").read_text()
    assert "tiny model" in page
    assert "--limit 3 --samples 2" in page
    assert "cut off 100.0 % of the greedy" in page


def test_command_without_a_model_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        main(["--model", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x")])


@pytest.mark.parametrize("bad", [("--limit", "0"), ("--samples", "-1"), ("--temperature", "0")])
def test_bad_numbers_are_named(
    bad: tuple[str, str], tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--model", str(tiny), "--out", str(tmp_path / "x"), *bad])
    assert " ".join(bad) in capsys.readouterr().err
