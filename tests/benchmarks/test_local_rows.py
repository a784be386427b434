"""Real rows: every gold answer scores in every form, no wrong answer does."""

from __future__ import annotations

from pathlib import Path

import pytest

from l2_harness.benchmarks.check import check_task

#: Documents of each set, as published.
ROWS = {
    "l2_gsm8k": 1319,
    "l2_math500": 500,
    "l2_aime24": 30,
    "l2_aime25": 30,
    "l2_amc23": 40,
    "l2_minerva_math": 272,
    "l2_olympiadbench": 675,
    "l2_svamp": 1000,
    "l2_bbh_date_understanding": 250,
    "l2_bbh_logical_deduction_five_objects": 250,
    "l2_bbh_tracking_shuffled_objects_three_objects": 250,
    "l2_bbh_web_of_lies": 250,
}


@pytest.mark.parametrize("task", ROWS)
def test_gold_answers_are_right_and_wrong_ones_wrong(
    task: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check_task(task, data)
    right, wrong = (f"{scored}/{tried}" for scored, tried in (found.right, found.wrong))
    with capsys.disabled():
        print(f"\n{task}: gold {right}, wrong {wrong}")
    assert found.problem is None
    assert found.documents == ROWS[task]
    assert found.failures == []
    assert found.right[0] == found.right[1] >= 8 * found.documents
    assert found.wrong[0] == 0
    assert found.wrong[1] >= 7 * found.documents
    assert len(found.prompts) == 3
    # what could not be verified is rare, and wrong answers only
    assert found.unverified <= 0.001 * (found.right[1] + found.wrong[1])
