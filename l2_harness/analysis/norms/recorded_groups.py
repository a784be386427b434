"""The rows of recorded responses, a group at a time: those that are compared with each other.

A group that spreads over several trace parts is held until it is complete, so that memory goes
with the parts and not with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from l2_harness.analysis.norms.responses import KEYS
from l2_harness.norms import ResumeKey
from l2_harness.norms.recorded_responses import RecordedResponse, recorded_responses

#: Where a response stands in the table that was asked for → what was recorded of it.
Group = dict[int, RecordedResponse]


def recorded_groups(
    traces: pd.DataFrame, trace_dir: Path, signals: Sequence[str] | None = None
) -> Iterator[list[Group]]:
    """The groups of a table, those that are complete with one part together.

    Responses whose norms were not recorded by row are in no group; groups that lack some come
    last.

    Args:
        traces: of :func:`~l2_harness.analysis.norms.responses.read_groups`, all of one run.
        trace_dir: where they came from.
        signals: which of them are read; None for all.
    """
    keys = traces[list(KEYS)].itertuples(index=False, name=None)
    position = {key: i for i, key in enumerate(keys)}
    group_of = traces.groupby("group", sort=False).ngroup().to_numpy()
    missing = np.bincount(group_of)
    held: dict[int, Group] = {}
    run_id = str(traces["run_id"].iat[0])
    for part in recorded_responses(trace_dir, run_id, position.keys(), _key, signals):
        for key, response in part.items():
            index = position[key]
            group = int(group_of[index])
            held.setdefault(group, {})[index] = response
            missing[group] -= 1
        complete = [held.pop(group) for group in list(held) if missing[group] == 0]
        if complete:
            yield complete
    if held:
        yield list(held.values())


def _key(key: ResumeKey) -> tuple[object, ...]:
    return tuple(getattr(key, name) for name in KEYS)
