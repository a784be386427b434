"""The README's queries over trace files, as they stand there, beside our own reader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.bench.made_up_traces import made_up_response, write_made_up
from l2_harness.norms import read_traces

pytest.importorskip("duckdb")
pytest.importorskip("polars")

README = Path(__file__).parents[2] / "README.md"


def respond(question: int, sample: int, rng: np.random.Generator) -> Any:
    tokens = rng.integers(3, 170, int(rng.integers(2, 40)))
    return made_up_response(
        *(question, sample, rng), tokens=tokens, layers=3, truncated=0.4, prompt_tokens=5
    )


def test_the_queries_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (query,) = [block for block in blocks if "import duckdb" in block]
    write_made_up(tmp_path / "traces", 60, 2, respond)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(query, found)
    traces = read_traces("traces")
    assert len(list((tmp_path / "traces").glob("part-*.parquet"))) > 1

    traces["n_tokens"] = traces["tokens"].map(len)
    traces["norm"] = traces["norms"].map(lambda norms: norms[:, -1].mean(dtype=np.float64))
    longest = traces.sort_values(
        ["n_tokens", "doc_id", "sample"], ascending=[False, True, True]
    ).head(10)
    rows = [row[:3] for row in found["longest"]]
    assert rows == list(
        longest[["doc_id", "sample", "n_tokens"]].itertuples(index=False, name=None)
    )
    assert [row[3] for row in found["longest"]] == pytest.approx(longest["norm"].tolist(), rel=1e-6)

    traces["mean"] = traces["entropy"].map(np.mean)
    groups = traces.groupby("finish_reason")["mean"].agg(["size", "mean"])
    assert found["ends"]["finish_reason"].to_list() == list(groups.index) == ["eos", "length"]
    assert found["ends"]["len"].to_list() == groups["size"].tolist()
    assert found["ends"]["entropy"].to_list() == pytest.approx(groups["mean"].tolist(), rel=1e-5)
