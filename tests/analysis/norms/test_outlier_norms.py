from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from l2_harness.analysis.norms.measure import measure
from l2_harness.analysis.norms.outlier_norms import FILE, read_outlier_free
from l2_harness.analysis.norms.responses import read_groups
from l2_harness.config.errors import ConfigError
from l2_harness.norms import TraceWarning, read_traces


def made_up_states(trace_dir: Path, folder: Path, drop: int = 0, **changes: Any) -> Path:
    """A folder of states whose norms are half the trace's, of all but the first ``drop``."""
    traces = read_traces(trace_dir).iloc[drop:]
    rows = {
        name: traces[name].tolist()
        for name in ("run_id", "task", "doc_id", "idx", "repeat", "sample")
    }
    rows["layers"] = [[int(layer) for layer in layers] for layers in traces["layers"]]
    rows["norms"] = [(norms / 2).ravel().tolist() for norms in traces["norms"]]
    rows |= changes
    folder.mkdir()
    table = pa.table(rows).cast(
        pa.schema(
            [
                *((name, pa.string()) for name in ("run_id", "task")),
                *((name, pa.int32()) for name in ("doc_id", "idx", "repeat", "sample")),
                ("layers", pa.list_(pa.int32())),
                ("norms", pa.list_(pa.float32())),
            ]
        )
    )
    pq.write_table(table, folder / FILE)
    (folder / "states.json").write_text(json.dumps({"outlier_dims": {"0": [3, 5]}}))
    return folder


def test_a_third_variant(trace_dir: Path, tmp_path: Path) -> None:
    folder = made_up_states(trace_dir, tmp_path / "states", drop=2)
    found = read_outlier_free(folder, "run", "t")
    assert (found.layers, found.dims) == ((0, 1, 2), {"0": [3, 5]})
    traces = read_groups(trace_dir, None, "t")
    measured = measure(traces, trace_dir, outlier_free=found)
    whole, _, without = measured.statistics
    assert without.variant == "without_outliers"
    assert np.isnan(without.values[:2]).all()
    np.testing.assert_allclose(without.of("mean")[2:], whole.of("mean")[2:] / 2, rtol=1e-6)
    # τ halves with the norms, so that of whole groups peaks stay where they are
    np.testing.assert_array_equal(without.of("peaks")[4:], whole.of("peaks")[4:])


def test_fewer_layers_and_other_rows(trace_dir: Path, tmp_path: Path) -> None:
    recorded = read_traces(trace_dir)
    norms = [(n[:, 1:2] * 3).ravel().tolist() for n in recorded["norms"]]
    norms[5] = norms[5][:-1]
    layers = [[1]] * len(recorded)
    folder = made_up_states(trace_dir, tmp_path / "states", norms=norms, layers=layers)
    found = read_outlier_free(folder, "run", "t")
    with pytest.warns(TraceWarning, match="1 captured responses have another number of rows"):
        measured = measure(read_groups(trace_dir, None, "t"), trace_dir, outlier_free=found)
    mean, whole = (measured.statistics[i].of("mean") for i in (2, 0))
    assert np.isnan(mean[:, [0, 2]]).all()
    assert np.isnan(mean[5, 1])
    kept = np.arange(len(mean)) != 5
    np.testing.assert_allclose(mean[kept, 1], 3 * whole[kept, 1], rtol=1e-6)


def test_what_is_wrong_with_a_folder_is_said(trace_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no norms_without_outliers"):
        read_outlier_free(tmp_path, "run", "t")
    folder = made_up_states(trace_dir, tmp_path / "states")
    (folder / "states.json").unlink()
    assert read_outlier_free(folder, "run", "t").dims == {}
    with pytest.raises(ConfigError, match="no response of task 'other'"):
        read_outlier_free(folder, "run", "other")
    (folder / FILE).write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match="can't be read"):
        read_outlier_free(folder, "run", "t")
