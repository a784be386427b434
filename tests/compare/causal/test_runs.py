from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.compare.causal.arms import Arm
from l2_harness.compare.causal.runs import runs_of
from l2_harness.config import ConfigError

PEAKS = Arm.editing("peaks", "scale", 0.1)


def test_arms_are_lined_up_by_question_and_incomplete_questions_left_out(make_rows: Any) -> None:
    plain = make_rows(Arm("plain"), [0, 1, 0, 1], tokens=[1, 2, 3, 4])
    peaks = make_rows(PEAKS, [9, 8, 7, 6], edits_at_layer_10=3.0, edits_at_layer_9=[1, 2, 3, 4])
    table = pd.concat([plain, peaks.iloc[[3, 1, 0]]])
    (runs,) = runs_of(table)
    assert runs.questions == ("q0", "q1", "q3")
    assert runs.dropped == 1
    assert runs.plain.scores.tolist() == [0, 1, 1]
    assert runs.plain.tokens.tolist() == [1, 2, 4]
    run = runs.arms[PEAKS.name]
    assert run.arm == PEAKS
    assert run.scores.tolist() == [9, 8, 6]
    assert np.isnan(run.tokens).all()
    assert list(run.by_layer.items()) == [(9, pytest.approx(7 / 3)), (10, 3)]


def test_a_table_read_back_from_csv_is_the_same(make_planted: Any, tmp_path: Any) -> None:
    table = make_planted({"peaks": 0.2, "random": 0.1})
    table.to_csv(tmp_path / "answers.csv", index=False)
    (one,), (other,) = runs_of(table), runs_of(pd.read_csv(tmp_path / "answers.csv"))
    assert one.questions == other.questions
    for name, run in one.arms.items():
        assert run.arm == other.arms[name].arm
        np.testing.assert_array_equal(run.scores, other.arms[name].scores)
        np.testing.assert_array_equal(run.edits, other.arms[name].edits)


def test_errors(make_rows: Any) -> None:
    plain = make_rows(Arm("plain"), [0, 1])
    with pytest.raises(ConfigError, match="lacks score; it needs arm, question, score"):
        runs_of(plain.drop(columns="score"))
    with pytest.raises(ConfigError, match="has question 'q0' of arm 'plain' twice"):
        runs_of(pd.concat([plain, plain]))
    with pytest.raises(ConfigError, match="task 't' has no arm 'plain'"):
        runs_of(make_rows(PEAKS, [1]))
    with pytest.raises(ConfigError, match="no question that all of its arms"):
        runs_of(pd.concat([plain, make_rows(PEAKS, [1]).assign(question="other")]))
