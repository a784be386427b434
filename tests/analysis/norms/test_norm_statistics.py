from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.analysis.norms.measure import measure
from l2_harness.analysis.norms.norm_statistics import STATISTICS, layer_statistics
from l2_harness.analysis.norms.responses import layer_columns, read_groups
from l2_harness.analysis.norms.trace_rows import RowBlock, row_blocks
from l2_harness.config.layers import LayerSelection
from l2_harness.norms import TraceWriter, read_traces
from l2_harness.selection.norm_scores import norm_scores


def slow(norms: np.ndarray, tau: float) -> dict[str, float]:
    """The definitions, for the norms (T,) of one response at one layer."""
    values = [float(one) for one in norms]
    n_late = math.ceil(round(0.3 * len(values), 9))
    excess = [max(0.0, value / tau - 1) for value in values]
    peaks = sum(value > tau for value in values)
    return {
        "mean": sum(values) / len(values),
        "max": max(values),
        "area": sum(excess),
        "area_rate": sum(excess) / len(values),
        "peaks": peaks,
        "peak_rate": peaks / len(values),
        "slope": float(np.polyfit(range(len(values)), values, 1)[0]) if len(values) > 1 else np.nan,
        "late_mean": sum(values[-n_late:]) / n_late,
    }


def block_of(norms: list[np.ndarray], sizes: list[int]) -> RowBlock:
    lengths = np.array([len(one) for one in norms])
    rows = int(lengths.sum())
    return RowBlock(
        members=np.arange(len(norms)),
        lengths=lengths,
        sizes=np.array(sizes),
        norms=np.concatenate(norms).astype(np.float32),
        tokens=np.zeros(rows, dtype=np.int32),
        signals={},
        row=np.concatenate([np.arange(n) for n in lengths]),
    )


@pytest.mark.parametrize("first", [0, 3])
def test_every_statistic_is_its_definition(first: int) -> None:
    rng = np.random.default_rng(first)
    norms = [rng.gamma(2, 30, (int(n), 4)) for n in rng.integers(1, 60, 12)]
    block = block_of(norms, [5, 1, 6]).without_first(first)
    found = layer_statistics(block)
    for start, stop in ((0, 5), (5, 6), (6, 12)):
        kept = [np.float32(one)[first:] for one in norms[start:stop]]
        pooled = np.concatenate(kept).astype(float)
        if not len(pooled):
            continue
        low, high = np.quantile(pooled, [0.25, 0.75], axis=0)
        tau = high + 1.5 * (high - low)
        for index, of_response in enumerate(kept):
            for layer in range(4):
                values = found[start + index, layer]
                if not len(of_response):
                    assert np.isnan(values).all()
                    continue
                expected = slow(of_response[:, layer], float(tau[layer]))
                np.testing.assert_allclose(values, [expected[n] for n in STATISTICS], rtol=1e-9)


def test_their_mean_over_layers_is_what_selection_scores_by() -> None:
    rng = np.random.default_rng(1)
    norms = [rng.gamma(2, 30, (n, 3)) for n in (5, 17, 40)]
    block = block_of(norms, [3])
    tau = block.thresholds()
    found = layer_statistics(block, tau)
    scores = norm_scores(block.norms, block.lengths, tau[0])
    for statistic, score in (
        ("area", "l2_area"),
        ("area_rate", "l2_area_rate"),
        ("peaks", "l2_peaks"),
        ("peak_rate", "l2_peak_rate"),
    ):
        of_layers = found[:, :, STATISTICS.index(statistic)]
        np.testing.assert_allclose(of_layers.mean(axis=1), scores[score], rtol=1e-6)


def test_a_norm_that_is_not_finite_spoils_its_layer_alone() -> None:
    norms = np.full((6, 2), 5.0)
    norms[3, 1] = np.inf
    found = layer_statistics(block_of([norms, norms[:2]], [2]))
    assert np.isnan(found[0, 1]).all()
    assert np.isfinite(found[0, 0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize(("enough", "blocks"), [(1 << 18, None), (1, 9)])
def test_blocks_hold_whole_groups_whatever_the_parts(
    enough: int, blocks: int | None, trace_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l2_harness.analysis.norms.trace_rows._ENOUGH", enough)
    traces = read_groups(trace_dir, None, "t")
    recorded = read_traces(trace_dir, columns=["norms", "tokens", "entropy"])
    found = list(row_blocks(traces, trace_dir, [2, 0]))
    assert len(found) == (blocks or len(found))
    seen = []
    for block in found:
        ends = np.cumsum(block.lengths)
        assert (block.sizes == 4).all()
        for member, end, length in zip(block.members, ends, block.lengths, strict=True):
            rows = slice(end - length, end)
            np.testing.assert_array_equal(block.norms[rows], recorded["norms"][member][:, [2, 0]])
            np.testing.assert_array_equal(block.tokens[rows], recorded["tokens"][member])
            np.testing.assert_array_equal(
                block.signals["entropy"][rows], recorded["entropy"][member]
            )
            np.testing.assert_array_equal(block.row[rows], np.arange(length))
        seen += list(block.members)
    assert sorted(seen) == list(range(36))


def test_measuring_gives_covariates_and_variants(trace_dir: Path) -> None:
    traces = read_groups(trace_dir, None, "t")
    measured = measure(traces, trace_dir, first_rows=3)
    recorded = read_traces(trace_dir)
    length = recorded["tokens"].map(len)
    assert measured.covariates["length"].tolist() == length.tolist()
    np.testing.assert_allclose(measured.covariates["log_length"], np.log(length))
    # rows stand at prompt_tokens − 1, …, prompt_tokens + T − 2
    middle = [
        np.arange(p - 1, p + n - 1).mean()
        for p, n in zip(recorded.prompt_tokens, length, strict=True)
    ]
    np.testing.assert_allclose(measured.covariates["position"], middle)
    np.testing.assert_allclose(
        measured.covariates["entropy"], [one.mean(dtype=float) for one in recorded["entropy"]]
    )
    assert measured.covariates["truncated"].sum() == (recorded.finish_reason == "length").sum()
    whole, later = measured.statistics
    assert (whole.variant, later.variant) == ("all_rows", "without_first")
    for index, norms in enumerate(recorded["norms"]):
        np.testing.assert_allclose(whole.of("mean")[index], norms.mean(0, dtype=float))
        if len(norms) > 3:
            np.testing.assert_allclose(later.of("mean")[index], norms[3:].mean(0, dtype=float))
        else:
            assert np.isnan(later.values[index]).all()
        answer = measured.answer_mean[index]
        if recorded["sample"][index] and len(norms) > 2:
            np.testing.assert_allclose(answer, norms[2:].mean(0, dtype=float))
        else:
            assert np.isnan(answer).all()


def test_a_table_of_all_statistics(trace_dir: Path) -> None:
    traces = read_groups(trace_dir, None, "t")
    measured = measure(traces, trace_dir)
    statistics = measured.statistics[0]
    table = statistics.wide(measured.traces[["doc_id", "sample"]])
    assert len(table) == 36 * 3
    row = table.query("doc_id == 4 and sample == 2 and layer == 1")
    assert row["late_mean"].item() == statistics.of("late_mean")[4 * 4 + 2, 1]


def test_what_was_not_recorded_is_said(tmp_path: Path, record: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    writer = TraceWriter(tmp_path, "run")
    writer.write([record(rng, 5, norms=None, norm_mean=np.ones(3))])
    with pytest.raises(ValueError, match="record=tokens"):
        measure(read_groups(tmp_path, None, "t"), tmp_path)
    writer.write([record(rng, 5, 2, doc_id=1)])
    with pytest.raises(ValueError, match="at layers"):
        measure(read_groups(tmp_path, None, "t"), tmp_path)
    with pytest.raises(ValueError, match="layer 5"):
        layer_columns([0, 2, 7], LayerSelection(None, (2, 5)))
