"""The recorded rows of many responses, joined into flat blocks of whole groups.

Statistics over rows are vector operations on such a block, whatever the lengths of its responses.
They need a dozen times its memory, so a part of long responses makes several blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from l2_harness.analysis.norms.recorded_groups import Group, recorded_groups
from l2_harness.norms import signals
from l2_harness.norms.recorded_responses import RecordedResponse
from l2_harness.selection.group_threshold import group_thresholds

#: Norms of a block that gets no further group.
_ENOUGH = 1 << 18
#: What a row holds beside its norms and its token.
SIGNALS = tuple(signal.name for signal in signals.SIGNALS if signal.related)


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
    for groups in recorded_groups(traces, trace_dir, SIGNALS):
        for some in _pieces(groups):
            yield _block(some, columns)


def _pieces(groups: list[Group]) -> Iterator[list[Group]]:
    """The groups in their order, each piece with enough norms; the last with what is left."""
    piece, norms = list[Group](), 0
    for group in groups:
        piece.append(group)
        norms += sum(response.rows.norms.size for response in group.values())
        if norms >= _ENOUGH:
            yield piece
            piece, norms = [], 0
    if piece:
        yield piece


def _block(groups: list[Group], columns: Sequence[int] | None) -> RowBlock:
    ordered = [(index, group[index]) for group in groups for index in sorted(group)]
    found = [response for _, response in ordered]
    norms = [response.rows.norms for response in found]
    lengths = np.array([len(response.tokens) for response in found])
    starts = np.cumsum(lengths) - lengths
    return RowBlock(
        members=np.array([index for index, _ in ordered]),
        lengths=lengths,
        sizes=np.array([len(group) for group in groups]),
        norms=np.concatenate(norms if columns is None else [one[:, columns] for one in norms]),
        tokens=np.concatenate([response.tokens for response in found]),
        signals={name: _signal(name, found) for name in SIGNALS},
        row=np.arange(int(lengths.sum())) - np.repeat(starts, lengths),
    )


def _signal(name: str, found: Sequence[RecordedResponse]) -> np.ndarray:
    """(rows,) float32 of all responses, nan of those that have none."""
    values = [(response.rows.signals[name], len(response.tokens)) for response in found]
    return np.concatenate([np.full(n, np.nan, np.float32) if v is None else v for v, n in values])
