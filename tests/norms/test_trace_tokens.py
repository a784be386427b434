"""One row a response token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from l2_harness.norms import TraceRecord, TraceWriter, explode_tokens, read_traces

Make = Callable[..., TraceRecord]


def test_each_value_lands_on_its_row(tmp_path: Path, make_record: Make) -> None:
    made = [
        make_record(0, rows=3, thinking_end=1),
        make_record(1, rows=4, layers=(21, 5)),
        make_record(2, rows=2, norms=None, entropy=None),
    ]
    TraceWriter(tmp_path, "run1").write(made)
    tokens = explode_tokens(read_traces(tmp_path))
    assert len(tokens) == 9
    assert [name for name in tokens if name.startswith("norm_")] == [
        "norm_l5",
        "norm_l20",
        "norm_l21",
        "norm_l22",
    ]
    slow = [
        (record, row, line)
        for record, (_, part) in zip(made, tokens.groupby("doc_id"), strict=True)
        for row, line in enumerate(part.to_dict("records"))
    ]
    assert len(slow) == 9
    for record, row, line in slow:
        assert (line["row"], line["token"]) == (row, record.tokens[row])
        assert line["logprob"] == record.logprob[row]
        norms = dict.fromkeys((5, 20, 21, 22), np.nan)
        if record.norms is not None:
            norms.update(zip(record.layers.tolist(), record.norms[row], strict=True))
        for layer, norm in norms.items():
            np.testing.assert_equal(line[f"norm_l{layer}"], np.float32(norm))
    assert tokens["norm_l20"].dtype == np.float32
    assert tokens["entropy"].isna().sum() == 2
    assert tokens["thinking_end"].isna().sum() == 6


def test_columns_that_were_not_read_are_not_needed(tmp_path: Path, make_record: Make) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(0, rows=3)])
    frame = read_traces(tmp_path, columns=["doc_id", "tokens", "layers", "norms"])
    assert list(explode_tokens(frame)) == [
        "doc_id",
        "row",
        "token",
        "norm_l20",
        "norm_l21",
        "norm_l22",
    ]
    assert len(explode_tokens(frame.iloc[:0])) == 0
    with pytest.raises(ValueError, match="layers"):
        explode_tokens(frame.drop(columns="layers"))


def test_a_summary_has_no_rows_of_norms(tmp_path: Path, make_record: Make) -> None:
    TraceWriter(tmp_path, "run1").write([make_record(0, norms=None, norm_mean=(1, 2, 3))])
    with pytest.raises(ValueError, match="record=tokens"):
        explode_tokens(read_traces(tmp_path))
