"""Traces of earlier schema versions, as their own writers left them, are read and resumed.

``data/schema1`` was written by the writer of schema 1, from the values in :func:`made`;
``data/schema2`` by a run of ``l2hf`` on the demo model (``num_samples=2,selection=l2,
recursion=norm,steering=norm``, two documents), when schema 2 was the newest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from l2_harness.norms import (
    SCHEMA_VERSION,
    ResumeKey,
    completed_requests,
    hash_request,
    read_run_settings,
    read_traces,
)
from l2_harness.norms.recorded_responses import RecordedResponse, recorded_responses
from l2_harness.norms.trace_schema import trace_columns

DATA = Path(__file__).parent / "data"
RUNS = {1: "old", 2: "ce182ff3619c"}


def made(doc_id: int) -> dict[str, Any]:
    """What the trace of schema 1 says of a document."""
    rows = 4 - doc_id
    steps = np.arange(rows)
    return {
        "tokens": steps + 10 * doc_id,
        "layers": [2, 3],
        "norms": np.arange(2 * rows).reshape(rows, 2) + doc_id,
        "norm_mean": [rows - 1 + doc_id, rows + doc_id],
        "logprob": -steps / 2,
        "entropy": steps / 4,
        "self_certainty": steps,
    }


@pytest.mark.parametrize("version", [1, 2])
def test_the_files_are_of_that_version(version: int) -> None:
    for part in (DATA / f"schema{version}").glob("*.parquet"):
        metadata = pq.read_schema(part).metadata
        assert metadata[b"l2_harness.schema_version"] == str(version).encode()
        assert version <= SCHEMA_VERSION


def test_every_value_of_schema_1() -> None:
    traces = read_traces(DATA / "schema1")
    assert list(traces) == [column.name for column in trace_columns()]
    assert traces["doc_id"].tolist() == [0, 1, 2]
    assert traces["request_type"].tolist() == ["generate_until"] * 2 + ["loglikelihood"]
    assert traces["response"].tolist()[:2] == ["text 0", "text 1"]
    assert traces["response"].isna().tolist() == [False, False, True]
    assert traces["thinking_end"].isna().tolist() == [False, True, True]
    assert traces["chosen"].all()
    for row in traces.itertuples():
        for name, values in made(int(row.doc_id)).items():
            np.testing.assert_array_equal(getattr(row, name), values, err_msg=name)
        # added in schema 2
        assert row.confidence is None
        assert pd.isna(row.answer)
    (event,) = traces["events"][0]
    assert (event["row"], event["layer"], event["kind"], event["value"]) == (2, 3, "recursion", 1.0)


def test_what_schema_2_holds_is_what_parquet_says() -> None:
    """Against pyarrow alone."""
    (part,) = (DATA / "schema2").glob("*.parquet")
    raw = pq.read_table(part).to_pylist()
    raw.sort(key=lambda row: (row["doc_id"], row["sample"]))
    traces = read_traces(DATA / "schema2")
    assert len(traces) == len(raw) == 4
    for (_, row), stored in zip(traces.iterrows(), raw, strict=True):
        for name in ("tokens", "logprob", "entropy", "self_certainty", "confidence", "norm_mean"):
            np.testing.assert_array_equal(
                row[name], np.array(stored[name], dtype=row[name].dtype), err_msg=name
            )
        assert row["norms"].shape == (len(stored["tokens"]), 2)
        assert row["norms"].ravel().tolist() == stored["norms"]
        assert row["scores"] == dict(stored["scores"])
        assert row["events"] == stored["events"]
        for name in ("text", "response", "answer", "finish_reason", "chosen"):
            assert row[name] == stored[name] or (pd.isna(row[name]) and stored[name] is None), name


@pytest.mark.parametrize("version", [1, 2])
def test_all_of_them_resume(version: int) -> None:
    folder, run_id = DATA / f"schema{version}", RUNS[version]
    assert read_run_settings(folder, run_id)["record"] == "tokens"
    done = completed_requests(folder, run_id)
    traces = read_traces(folder)
    assert len(done) == len(traces)
    if version == 1:
        key = next(key for key in done if key.doc_id == 1)
        assert key.request_hash == hash_request("generate_until", "question 1", {"until": ["\n"]})
        assert (done[key].response, done[key].scores) == ("text 1", {"area": 2.5})
    found: dict[ResumeKey, RecordedResponse] = {}
    for part in recorded_responses(folder, run_id, done.keys(), lambda key: key, ["entropy"]):
        found |= part
    assert found.keys() == done.keys()
    for response in found.values():
        entropy = response.rows.signals["entropy"]
        assert entropy is not None
        assert len(entropy) == len(response.rows.norms)
