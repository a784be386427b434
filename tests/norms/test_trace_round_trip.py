"""Every column reads back as it was written."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l2_harness.norms import (
    TraceEvent,
    TraceKey,
    TraceRecord,
    TraceWriter,
    read_trace_table,
    read_traces,
)
from l2_harness.norms.signals import SIGNALS
from l2_harness.norms.trace_schema import FINISH_REASONS, REQUEST_TYPES, trace_schema

Make = Callable[..., TraceRecord]
ARRAYS = (
    *("tokens", "layers", "norms", "norm_mean"),
    *("logprob", "entropy", "self_certainty", "confidence"),
)

counts = st.integers(0, 2**31 - 1)
digests = st.text("0123456789abcdef", min_size=1, max_size=64)
any_text = st.text(st.characters(), max_size=20)
float32s = st.floats(width=32)


def floats(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, shape, elements=float32s)


@st.composite
def records(draw: st.DrawFn) -> TraceRecord:
    rows = draw(st.integers(1, 6))
    layers = draw(st.lists(st.integers(0, 2**15 - 1), max_size=4, unique=True))
    request_type = draw(st.sampled_from(REQUEST_TYPES))
    generates = request_type == "generate_until"
    row = st.integers(0, rows - 1)
    event = st.builds(
        TraceEvent,
        row=row,
        layer=st.integers(0, 2**15 - 1),
        kind=st.text(string.ascii_lowercase, min_size=1, max_size=9),
        value=st.none() | float32s,
        detail=st.none() | any_text,
    )
    has_norms = bool(layers) and draw(st.booleans())
    return TraceRecord(
        run_id=draw(st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=9)),
        task=draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)),
        doc_id=draw(counts),
        request_type=request_type,
        prompt_hash=draw(digests),
        request_hash=draw(digests),
        prompt_tokens=draw(counts),
        tokens=draw(hnp.arrays(np.int32, rows)),
        text=draw(any_text),
        layers=layers,
        idx=draw(counts),
        window=draw(counts),
        repeat=draw(counts),
        sample=draw(counts),
        finish_reason=draw(st.sampled_from(FINISH_REASONS)) if generates else None,
        thinking_end=draw(st.none() | row),
        response=draw(st.none() | any_text),
        norms=draw(floats((rows, len(layers)))) if has_norms else None,
        signals={name: draw(st.none() | floats((rows,))) for name in SIGNALS.names},
        answer=draw(st.none() | any_text),
        norm_mean=draw(st.none() | floats((len(layers),))) if layers else None,
        events=draw(st.lists(event, max_size=3)),
        scores=draw(st.dictionaries(any_text, st.floats(), max_size=3)),
        chosen=draw(st.booleans()),
    )


def assert_same(record: TraceRecord, row: pd.Series) -> None:
    for name in trace_schema().names:
        wrote, read = getattr(record, name), row[name]
        if name in ARRAYS and wrote is not None:
            assert read.dtype == wrote.dtype, name
            np.testing.assert_array_equal(read, wrote, err_msg=name)
        elif name == "events":
            expected = [vars(event) for event in wrote]
            pd.testing.assert_frame_equal(pd.DataFrame(read), pd.DataFrame(expected))
        elif name == "scores":
            assert read.keys() == wrote.keys()
            np.testing.assert_array_equal(list(read.values()), list(wrote.values()))
        elif wrote is None:
            assert pd.isna(read), name
        else:
            assert read == wrote, name


@settings(max_examples=60, deadline=None)
@given(record=records())
def test_every_column(record: TraceRecord) -> None:
    with tempfile.TemporaryDirectory() as folder:
        TraceWriter(folder, record.run_id).write([record])
        frame = read_traces(folder)
        assert list(frame) == trace_schema().names
        assert_same(record, frame.iloc[0])


def test_several_parts_of_mixed_shapes(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    made = [
        make_record(0, rows=1),
        make_record(1, rows=200, layers=(3,)),
        make_record(2, norms=None, logprob=None),
        make_record(3, rows=3, layers=(5, 4)),
    ]
    writer.write(made[:2])
    writer.write(made[2:])
    frame = read_traces(tmp_path)
    for record, (_, row) in zip(made, frame.iterrows(), strict=True):
        assert_same(record, row)
    assert [n if n is None else n.shape for n in frame["norms"]] == [(1, 3), (200, 1), None, (3, 2)]
    counted = read_traces(tmp_path, columns=["n_tokens", "doc_id", "tokens"])
    assert list(counted) == ["n_tokens", "doc_id", "tokens"]
    assert counted["n_tokens"].tolist() == [len(record.tokens) for record in made]
    assert read_traces(tmp_path, columns=["n_tokens"])["n_tokens"].equals(counted["n_tokens"])


def test_norms_are_views_not_copies(tmp_path: Path, make_record: Make) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(i) for i in range(3)])
    norms = read_traces(tmp_path)["norms"]
    assert not any(array.flags.owndata or array.flags.writeable for array in norms)
    assert all(array.flags.c_contiguous for array in norms)


def test_the_order_is_that_of_the_key(tmp_path: Path, make_record: Make) -> None:
    keys = [
        (doc_id, idx, repeat, sample, task)
        for doc_id in (10, 9)
        for idx in (1, 0)
        for repeat in (1, 0)
        for sample in (1, 0)
        for task in ("b", "a")
    ]
    writer = TraceWriter(tmp_path, "run1")
    for doc_id, idx, repeat, sample, task in keys:
        writer.write([make_record(doc_id, idx=idx, repeat=repeat, sample=sample, task=task)])
    frame = read_traces(tmp_path)
    found = list(frame[list(TraceKey._fields)].itertuples(index=False, name=None))
    assert found == sorted(found)
    assert len(found) == len(keys)


def test_columns_come_as_asked(tmp_path: Path, make_record: Make) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(0, rows=4)])
    frame = read_traces(tmp_path, columns=["norms", "doc_id"])
    assert list(frame) == ["norms", "doc_id"]
    assert frame["norms"][0].shape == (4, 3)
    table = read_trace_table(tmp_path, columns=["text"])
    assert isinstance(table, pa.Table)
    assert table.to_pydict() == {"text": ["answer 0"]}


def test_the_table_holds_norms_row_after_row(tmp_path: Path, make_record: Make) -> None:
    record = make_record(0, rows=4)
    TraceWriter(tmp_path, "run1").write([record])
    flat = read_trace_table(tmp_path)["norms"][0].values.to_numpy()
    np.testing.assert_array_equal(flat.reshape(4, 3), record.norms)


def test_selection_by_prompt(tmp_path: Path, make_record: Make) -> None:
    writer = TraceWriter(tmp_path, "run1")
    made = [
        make_record(doc, task=task, sample=sample)
        for task in ("a", "b")
        for doc in range(3)
        for sample in range(2)
    ]
    writer.write(made[:5])
    writer.write(made[5:])
    found = read_traces(tmp_path, prompts={("a", 2, 0), ("b", 0, 0), ("c", 1, 0)})
    keys = found[["task", "doc_id", "sample"]].itertuples(index=False, name=None)
    assert list(keys) == [("a", 2, 0), ("a", 2, 1), ("b", 0, 0), ("b", 0, 1)]
    assert read_traces(tmp_path, prompts=()).empty


def test_selection_by_task_and_run(tmp_path: Path, make_record: Make) -> None:
    for run_id in ("run1", "run1-r0"):  # the second looks like the first one's rank 0
        writer = TraceWriter(tmp_path, run_id)
        writer.write([make_record(0, run_id=run_id), make_record(0, run_id=run_id, task="aime_24")])
    one = read_traces(tmp_path, run_id="run1", task="gsm8k")
    assert one[["run_id", "task"]].values.tolist() == [["run1", "gsm8k"]]
    both = read_traces(tmp_path, run_id="run1-r0", task=["gsm8k", "aime_24"])
    assert both["task"].tolist() == ["aime_24", "gsm8k"]


@pytest.mark.parametrize("columns", [["norm"], "norms"])
def test_an_unknown_column_is_named(tmp_path: Path, make_record: Make, columns: Any) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(0)])
    with pytest.raises(ValueError, match="norms"):
        read_traces(tmp_path, columns=columns)
