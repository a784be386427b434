"""What a rerun finds of an earlier run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from l2_harness.norms import TraceRecord, TraceWarning, TraceWriter, completed_requests

Make = Callable[..., TraceRecord]


def test_a_new_directory_has_nothing(tmp_path: Path) -> None:
    assert completed_requests(tmp_path / "nowhere", "run1") == {}
    assert completed_requests(tmp_path, "run1") == {}


def test_all_that_answers_lm_eval_again(tmp_path: Path, make_record: Make) -> None:
    made = [
        make_record(0, repeat=1, sample=2, scores={"area": 2.0}, response="4"),
        make_record(
            0,
            request_type="loglikelihood",
            finish_reason=None,
            norms=None,
            norm_mean=(1.0, 2.0, 3.0),
            scores={"loglikelihood": -1.5, "is_greedy": True},
        ),
        make_record(7, rows=9),
    ]
    for rank, record in enumerate(made):
        TraceWriter(tmp_path, "run1", rank).write([record])
    TraceWriter(tmp_path, "run2").write([make_record(9, run_id="run2")])
    done = completed_requests(tmp_path, "run1")
    assert done.keys() == {record.resume_key for record in made}
    for record in made:
        found = done[record.resume_key]
        assert found.rows == len(record.tokens)
        for name in ("response", "text", "scores"):
            assert getattr(found, name) == getattr(record, name)
        for name in ("tokens", "norm_mean"):
            np.testing.assert_array_equal(getattr(found, name), getattr(record, name))


def test_another_request_is_not_answered(tmp_path: Path, make_record: Make) -> None:
    """The same document asked otherwise has its own answer, whichever came first."""
    old, new = make_record(0, text="old"), make_record(0, text="new", request_hash="abc")
    unseen = make_record(0, request_hash="def")
    for record in (old, new):
        TraceWriter(tmp_path, "run1").write([record])
    done = completed_requests(tmp_path, "run1")
    assert done[old.resume_key].text == "old"
    assert done[new.resume_key].text == "new"
    assert unseen.resume_key not in done


def test_the_first_written_answers(tmp_path: Path, make_record: Make) -> None:
    for text in ("first", "second"):
        TraceWriter(tmp_path, "run1").write([make_record(0, text=text)])
    assert [found.text for found in completed_requests(tmp_path, "run1").values()] == ["first"]


def test_a_response_without_norms_is_computed_again(tmp_path: Path, make_record: Make) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(0, norms=None)])
    assert completed_requests(tmp_path, "run1") == {}


def test_a_damaged_part_is_computed_again(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    kept = make_record(0)
    writer.write([kept])
    path = writer.write([make_record(1)])
    assert path is not None
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(TraceWarning, match="damaged or cut off"):
        done = completed_requests(tmp_path, "run1")
    assert done.keys() == {kept.resume_key}
