"""IFEval's checks see what follows the thinking, and nothing of thinking that never ended."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from l2_harness.benchmarks.ifeval import instruction_accuracy, process_results


def test_thinking_is_cut_off_before_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def score(doc: Any, results: list[str]) -> dict[str, Any]:
        seen.append(results)
        return {"prompt_level_strict_acc": True}

    stand_in = ModuleType("lm_eval.tasks.ifeval.utils")
    stand_in.process_results = score  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lm_eval.tasks.ifeval.utils", stand_in)
    assert process_results({}, ["<think>no commas, please</think>\n\nFine"]) == {
        "prompt_level_strict_acc": True
    }
    process_results({}, ["<think>no commas, please"])
    assert seen == [["Fine"], [""]]


def test_instruction_accuracy_is_over_instructions() -> None:
    assert instruction_accuracy([[True, False], [True, True, True]]) == 0.8
