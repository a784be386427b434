"""Choices that follow their responses: every reader sees them, and a damaged file is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.norms import (
    ResumeKey,
    TraceRecord,
    TraceWarning,
    TraceWriter,
    completed_requests,
    read_traces,
)
from l2_harness.norms.recorded_responses import RecordedResponse, recorded_responses
from l2_harness.norms.trace_choices import Choice, read_choices

Make = Callable[..., TraceRecord]


@pytest.fixture
def records(make_record: Make) -> list[TraceRecord]:
    return [make_record(0, sample=s, chosen=False, response=str(s), answer="4") for s in range(3)]


def test_scores_and_choice_are_overlaid(tmp_path: Path, records: list[TraceRecord]) -> None:
    writer = TraceWriter(tmp_path, "run1")
    writer.write(records)
    later = {r.resume_key: Choice({"a": float(r.sample)}, r.sample == 1) for r in records[:2]}
    writer.write_choices(later)
    traces = read_traces(tmp_path)
    assert list(traces.chosen) == [False, True, False]
    assert list(traces.scores) == [{"a": 0.0}, {"a": 1.0}, {}]
    assert list(traces.answer) == ["4"] * 3
    done = completed_requests(tmp_path, "run1")
    assert [done[r.resume_key].chosen for r in records] == [False, True, False]
    assert done[records[1].resume_key].scores == {"a": 1.0}
    assert done[records[1].resume_key].answer == "4"
    assert read_traces(tmp_path, columns=["chosen"]).chosen.sum() == 1


def test_scores_that_are_no_number(tmp_path: Path, records: list[TraceRecord]) -> None:
    writer = TraceWriter(tmp_path, "run1")
    writer.write(records)
    writer.write_choices({records[0].resume_key: Choice({"a": float("nan")}, True)})
    assert np.isnan(read_traces(tmp_path).scores[0]["a"])


def test_of_one_run_only(tmp_path: Path, make_record: Make) -> None:
    """A run's name may be the beginning of another's."""
    for run in ("run", "run-r1"):
        writer = TraceWriter(tmp_path, run)
        record = make_record(0, run_id=run, chosen=False)
        writer.write([record])
        writer.write_choices({record.resume_key: Choice({"x": len(run)}, True)})
    assert {key[0] for key in read_choices(tmp_path)} == {"run", "run-r1"}
    assert {key[0] for key in read_choices(tmp_path, "run")} == {"run"}
    assert read_traces(tmp_path, run_id="run-r1").scores[0] == {"x": 6.0}


def test_no_choices_make_no_file(tmp_path: Path) -> None:
    TraceWriter(tmp_path, "run1").write_choices({})
    assert not list(tmp_path.glob("choice-*"))


@pytest.mark.parametrize("content", ["{", '{"key": []}\n', "[]\n"])
def test_a_damaged_file_is_left_out(
    content: str, tmp_path: Path, records: list[TraceRecord]
) -> None:
    TraceWriter(tmp_path, "run1").write(records)
    (tmp_path / "choice-run1-r0-abcdefabcdef.jsonl").write_text(content)
    with pytest.warns(TraceWarning, match="no file of choices"):
        assert not read_traces(tmp_path).chosen.any()


def test_rows_of_some_responses(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    made = [make_record(d, rows=4 + d, confidence=np.ones(4 + d)) for d in range(4)]
    for record in made:
        writer.write([record])
    writer.write([make_record(9, norms=None, norm_mean=(1.0, 2.0, 3.0))])
    wanted = [made[1].resume_key, made[3].resume_key, make_record(9).resume_key]
    found = rows_of(tmp_path, wanted)
    assert found.keys() == set(wanted[:2])
    for record in (made[1], made[3]):
        response = found[record.resume_key]
        assert response.tokens.tolist() == record.tokens.tolist()
        rows = response.rows
        for name in ("norms", "logprob", "entropy", "self_certainty", "confidence"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(record, name))
    assert rows_of(tmp_path, []) == rows_of(tmp_path / "none", wanted) == {}
    (only,) = rows_of(tmp_path, wanted[:1], ["entropy"]).values()
    assert list(only.rows.signals) == ["entropy"]


def rows_of(folder: Path, wanted: list[ResumeKey], *signals: Any) -> dict[Any, RecordedResponse]:
    """The parts together; no response comes twice."""
    found: dict[Any, RecordedResponse] = {}
    for part in recorded_responses(folder, "run1", wanted, lambda key: key, *signals):
        assert not found.keys() & part.keys()
        found |= part
    return found
