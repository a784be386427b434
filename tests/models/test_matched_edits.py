"""Random controls of ``l2hf`` that match a recorded run of the technique."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 70}
SAMPLED = {**SETTINGS, "do_sample": True, "temperature": 0.8}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "suppression": {"suppression": "peaks", "suppression_factor": 0.9},
    "recursion": {"recursion": "norm", "recursion_min_growth": 0.0},
    "steering": {
        **{"steering": "norm", "steering_patience": 3, "steering_cooldown": 4},
        **{"steering_low": "q0.4", "steering_probability": 1, "steering_strength": 0.05},
        "steering_min_cosine": -1,
    },
}
EDITS = {
    "suppression": "suppressed",
    "recursion": "recursion_changed",
    "steering": "injections",
}


@pytest.fixture(scope="module")
def questions() -> list[str]:
    from l2_harness.demo.tokenizer import chat_prompt

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    return [chat_prompt(json.loads(line)["question"], thinking=True) for line in lines[:12]]


def demo(folder: Path, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder), "threshold_warmup": 8}
    return L2HF("demo", **{"device": "cpu", "batch_size": 12, "seed": 3, **record, **args})


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_as_many_states_changed_by_about_as_much_around_the_same_rows(
    technique: str, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    """Counted from the traces' events, against the counters of the result file."""
    requests = [(q, SAMPLED) for q in questions]
    told = {}
    for name, more in (
        ("own", {}),
        ("control", {technique: "random", "matched_to": str(tmp_path / "own")}),
    ):
        args = {**TECHNIQUES[technique], **more}
        lm = demo(tmp_path / name, num_samples=2, **args)
        lm.generate_until(instances("generate_until", requests))
        told[name] = lm.get_model_info()["l2"]["interventions"]["all_layers"]
        kind = {"steering": "injection"}.get(technique, technique)
        events = [e for es in read_traces(tmp_path / name).events for e in es if e["kind"] == kind]
        changed = [e for e in events if technique != "recursion" or e["value"]]
        assert len(changed) == told[name][EDITS[technique]] > 20
        assert sum(e["row"] for e in changed) == told[name][f"{technique}_places"]
        change = sum(json.loads(e["detail"])["change"] for e in changed)
        assert change == pytest.approx(told[name][f"{technique}_change"])
    own, control = (told[name][EDITS[technique]] for name in ("own", "control"))
    # a pass at a row that is no peak need not be accepted, and the last rows leave no other
    assert (0.8 if technique == "recursion" else 0.95) <= control / own <= 1
    rows = [told[name][f"{technique}_places"] / told[name][EDITS[technique]] for name in told]
    assert abs(rows[0] - rows[1]) < 4
    if technique == "suppression":  # every edit of this mode is of one size
        for name, edits in (("own", own), ("control", control)):
            assert told[name]["suppression_change"] / edits == pytest.approx(0.1, rel=1e-4)


def test_a_matched_run_goes_on_where_it_was(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    demo(tmp_path / "own", **TECHNIQUES["suppression"]).generate_until(
        instances("generate_until", [(q, SETTINGS) for q in questions])
    )
    control = {"suppression": "random", "matched_to": str(tmp_path / "own")}
    whole = demo(tmp_path / "whole", **control).generate_until(
        instances("generate_until", [(q, SETTINGS) for q in questions])
    )
    some = [(q, SETTINGS) for q in questions[:5]]
    demo(tmp_path / "some", **control).generate_until(instances("generate_until", some))
    requests = instances("generate_until", [(q, SETTINGS) for q in questions])
    lm = demo(tmp_path / "some", **control, batch_size=3)
    assert lm.generate_until(requests) == whole
    assert len(read_traces(tmp_path / "some")) == len(questions)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"matched_to": "nowhere"}, "matched_to='nowhere' holds 0 runs and is to hold one"),
        ({"recursion": "random", "suppression": "off"}, "is a run with recursion=off; recursion="),
        ({"layers": "all"}, r"monitored the layers \[9, 10\], and this run monitors \[0, 1,"),
        ({"suppression": "peaks"}, "is for random controls, and none is on"),
    ],
)
def test_what_cannot_be_matched(
    args: dict[str, Any],
    message: str,
    questions: list[str],
    instances: Callable[..., list[Any]],
    tmp_path: Path,
) -> None:
    demo(tmp_path / "own", **TECHNIQUES["suppression"]).generate_until(
        instances("generate_until", [(questions[0], SETTINGS)])
    )
    control = {"suppression": "random", "matched_to": str(tmp_path / "own"), **args}
    with pytest.raises(ConfigError, match=message):
        demo(tmp_path / "control", **control)


def test_a_question_that_was_not_asked(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    demo(tmp_path / "own", **TECHNIQUES["suppression"]).generate_until(
        instances("generate_until", [(questions[0], SETTINGS)])
    )
    lm = demo(tmp_path / "control", suppression="random", matched_to=str(tmp_path / "own"))
    with pytest.raises(ConfigError, match="has no response to one of these requests"):
        lm.generate_until(instances("generate_until", [(questions[1], SETTINGS)]))
