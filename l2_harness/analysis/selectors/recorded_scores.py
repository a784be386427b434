"""The scores of recorded responses, read from a trace directory a part at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from l2_harness.analysis.norms.recorded_groups import recorded_groups
from l2_harness.analysis.norms.responses import layer_columns
from l2_harness.config.layers import LayerSelection
from l2_harness.config.selection import Part
from l2_harness.norms.rows import ResponseRows
from l2_harness.selection.group_scores import ScoredResponse, group_scores


def score_groups(
    traces: pd.DataFrame,
    trace_dir: Path,
    *,
    part: Part = "all",
    window: int,
    temperature: float = 1.0,
    layers: LayerSelection | None = None,
) -> list[dict[str, float]]:
    """The scores of each response, in the order of ``traces``.

    Scores that rows give are computed anew where rows were recorded; all others are those that
    the run recorded.

    Args:
        traces: of :func:`read_groups`.
        trace_dir: where they came from.
        part: which rows count.
        window: tokens of a DeepConf group.
        temperature: of CISC.
        layers: of the recorded layers, those that count; None for all.
    """
    scores = [dict(found or {}) for found in traces["scores"]]
    columns = layer_columns(traces["layers"].iat[0], layers)
    sizes = traces.groupby("group", sort=False)["group"].transform("size").tolist()
    # once and for all: a look-up in a data frame costs more than the scores of a response
    ends = _unscored(traces)
    for groups in recorded_groups(traces, trace_dir):
        for group in groups:
            order = sorted(group)
            if len(order) < sizes[order[0]]:
                continue
            there = [ScoredResponse(_at(columns, group[i].rows), *ends[i]) for i in order]
            found = group_scores(there, part, window, temperature)
            for i, values in zip(order, found, strict=True):
                scores[i] |= values
    return scores


def _unscored(traces: pd.DataFrame) -> list[tuple[int | None, bool]]:
    """Where each response's thinking ends, and whether it was cut off."""
    ends = [None if pd.isna(end) else int(end) for end in traces["thinking_end"]]
    truncated = (traces["finish_reason"] == "length").tolist()
    return list(zip(ends, truncated, strict=True))


def _at(columns: list[int] | None, rows: ResponseRows) -> ResponseRows:
    """The rows at some of their layers."""
    return rows if columns is None else replace(rows, norms=rows.norms[:, columns])
