"""The recorded rows of many responses, joined into flat blocks of whole groups.

Statistics over rows are vector operations on such a block, whatever the lengths of its responses.
Blocks follow the trace parts: a group that spreads over several parts is held until it is
complete, so memory goes with the parts and not with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from l2_harness.analysis.norms.responses import KEYS, response_key
from l2_harness.norms import signals
from l2_harness.norms.recorded_responses import RecordedResponse, recorded_responses
from l2_harness.selection.group_threshold import group_thresholds

#: What a row holds beside its norms and its token.
SIGNALS = tuple(signal.name for signal in signals.SIGNALS if signal.related)

_Rows = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class RowBlock:
    """The rows of n responses, one response after the other, the members of a group together.

    Attributes:
        members: (n,) where each response stands in the table that was asked for.
        lengths: (n,) its rows.
        sizes: (groups,) how many of the responses each group has.
        norms: (rows, layers) float32.
        tokens: (rows,) int32.
        signals: name → (rows,) float32, of :data:`SIGNALS`; nan where none was recorded.
        row: (rows,) each row's number within its response, from 0.
    """

    members: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray
    norms: np.ndarray
    tokens: np.ndarray
    signals: dict[str, np.ndarray]
    row: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(n,) the first row of each response."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def response(self) -> np.ndarray:
        """(rows,) which of the n responses a row belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def thresholds(self) -> np.ndarray:
        """(n, layers) τ of each response's group, from all its rows; nan of a group without any."""
        rows = np.add.reduceat(self.lengths, np.cumsum(self.sizes) - self.sizes)
        ends = np.cumsum(rows)
        of_groups = [
            group_thresholds(self.norms[end - n : end]) for n, end in zip(rows, ends, strict=True)
        ]
        return np.repeat(np.stack(of_groups), self.sizes, axis=0)

    def kept(self, rows: np.ndarray) -> RowBlock:
        """The block with some of its rows, as if the others had never been.

        Args:
            rows: (rows,) bool. A response may be left without any.
        """
        lengths = np.bincount(self.response[rows], minlength=len(self.lengths))
        return replace(
            self,
            lengths=lengths,
            norms=self.norms[rows],
            tokens=self.tokens[rows],
            signals={name: values[rows] for name, values in self.signals.items()},
            row=self.row[rows],
        )

    def without_first(self, first: int) -> RowBlock:
        """The block without the first rows of each response; the other rows keep their numbers."""
        return self.kept(self.row >= first)


def row_blocks(
    traces: pd.DataFrame, trace_dir: Path, columns: Sequence[int] | None = None
) -> Iterator[RowBlock]:
    """The rows of the responses of a table, block by block.

    Responses whose norms were not recorded by row are in no block.

    Args:
        traces: of :func:`~l2_harness.analysis.norms.responses.read_groups`, all of one run.
        trace_dir: where they came from.
        columns: of the recorded layers, those that count; None for all.
    """
    run_id = str(traces["run_id"].iat[0])
    position = {
        key: i for i, key in enumerate(traces[list(KEYS)].itertuples(index=False, name=None))
    }
    group_of = traces.groupby("group", sort=False).ngroup().to_numpy()
    missing = np.bincount(group_of)
    held: dict[int, dict[int, _Rows]] = {}
    for part in recorded_responses(trace_dir, run_id, position.keys(), response_key, SIGNALS):
        for key, response in part.items():
            index = position[key]
            group = int(group_of[index])
            held.setdefault(group, {})[index] = _rows(response, columns)
            missing[group] -= 1
        complete = [held.pop(group) for group in list(held) if missing[group] == 0]
        if complete:
            yield _block(complete)
    if held:  # groups of which some responses have no rows
        yield _block(list(held.values()))


def _rows(response: RecordedResponse, columns: Sequence[int] | None) -> _Rows:
    tokens, norms = response.tokens, response.rows.norms
    empty = np.full(len(tokens), np.nan, dtype=np.float32)
    found = [response.rows.signals[name] for name in SIGNALS]
    own = {n: empty if v is None else v for n, v in zip(SIGNALS, found, strict=True)}
    return norms if columns is None else norms[:, columns], tokens, own


def _block(groups: list[dict[int, _Rows]]) -> RowBlock:
    ordered = [(index, group[index]) for group in groups for index in sorted(group)]
    rows = [of for _, of in ordered]
    lengths = np.array([len(tokens) for _, tokens, _ in rows])
    starts = np.cumsum(lengths) - lengths
    return RowBlock(
        members=np.array([index for index, _ in ordered]),
        lengths=lengths,
        sizes=np.array([len(group) for group in groups]),
        norms=np.concatenate([norms for norms, _, _ in rows]),
        tokens=np.concatenate([tokens for _, tokens, _ in rows]),
        signals={name: np.concatenate([of[name] for _, _, of in rows]) for name in SIGNALS},
        row=np.arange(int(lengths.sum())) - np.repeat(starts, lengths),
    )
