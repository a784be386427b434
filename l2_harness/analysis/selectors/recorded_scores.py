"""The scores of recorded responses, read from a trace directory a part at a time.

A group's rows are held from its first response to its last, so that memory goes with the parts
and not with the run.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from l2_harness.analysis.norms.responses import KEYS, layer_columns, response_key
from l2_harness.config.layers import LayerSelection
from l2_harness.config.selection import Part
from l2_harness.norms.recorded_responses import recorded_responses
from l2_harness.norms.rows import ResponseRows
from l2_harness.selection.group_scores import ScoredResponse, group_scores


def score_groups(
    traces: pd.DataFrame,
    trace_dir: Path,
    *,
    part: Part = "all",
    window: int,
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
        layers: of the recorded layers, those that count; None for all.
    """
    scores = [dict(found or {}) for found in traces["scores"]]
    position = {
        key: i for i, key in enumerate(traces[list(KEYS)].itertuples(index=False, name=None))
    }
    members = traces.groupby("group", sort=False).indices
    groups: Mapping[Hashable, Sequence[int]] = {g: i.tolist() for g, i in members.items()}
    columns = layer_columns(traces["layers"].iat[0], layers)
    # once and for all: a look-up in a data frame costs more than the scores of a response
    group_of, responses = list(traces["group"]), _unscored(traces)
    held: dict[Hashable, dict[int, ScoredResponse]] = {}
    run_id = str(traces["run_id"].iloc[0])
    for found in recorded_responses(trace_dir, run_id, position.keys(), response_key):
        for key, response in found.items():
            index = position[key]
            group = group_of[index]
            rows = _at(columns, response.rows)
            held.setdefault(group, {})[index] = ScoredResponse(rows, *responses[index])
            if len(held[group]) == len(groups[group]):
                there = held.pop(group)
                of_group = group_scores([there[i] for i in groups[group]], part, window)
                for i, values in zip(groups[group], of_group, strict=True):
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
