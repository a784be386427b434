"""The samples that some runs drew, read for another run that is to choose among them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from l2_harness.norms.recorded_responses import RecordedResponse, recorded_responses
from l2_harness.norms.trace_schema import ResumeKey


class SampleKey(NamedTuple):
    """Which sample of which request: ``stream`` is the number of its prompt's random stream."""

    request_hash: str
    stream: int


def recorded_samples(
    trace_dir: str | os.PathLike[str],
    runs: Mapping[str, int],
    wanted: Collection[SampleKey],
) -> Iterator[list[tuple[SampleKey, RecordedResponse]]]:
    """Those of the wanted samples that some runs recorded with their rows, a part at a time.

    Each is given once.

    Args:
        trace_dir: where the runs wrote.
        runs: run_id → its ``num_samples``.
        wanted: which samples.

    Warns:
        TraceWarning: a part left out, whose samples are not found.
    """
    left = set(wanted)
    for run_id, num_samples in runs.items():
        for found in recorded_responses(trace_dir, run_id, left, partial(_key, num_samples)):
            left -= found.keys()
            yield list(found.items())


def _key(num_samples: int, key: ResumeKey) -> SampleKey | None:
    """As runs number their streams; None for anything but a generated response."""
    if key.request_type != "generate_until":
        return None
    return SampleKey(key.request_hash, key.repeat * num_samples + key.sample)
