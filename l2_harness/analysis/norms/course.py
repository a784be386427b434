"""How norms go over a response: by its relative position, and row by row at its start.

Each response counts once in every bin it reaches, whatever its length. Besides the norm itself,
which is not to be compared between layers, each figure is given as a ratio to the layer's mean over
all bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.selection.norm_scores import LATE
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.ratios import ratios
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

BINS = 20
FIRST_ROWS = 32


class Course:
    """Sums over questions of the responses' norms by bin, filled block by block.

    Args:
        questions: how many.
        layers: how many.
        bins: of relative position.
        first_rows: rows from the start that are looked at one by one.
    """

    def __init__(
        self, questions: int, layers: int, bins: int = BINS, first_rows: int = FIRST_ROWS
    ) -> None:
        self.bins, self.first_rows = bins, first_rows
        #: (Q, bins, L) and (Q, bins): sums of the responses' mean norms, and how many there are.
        self.relative = _Sums(questions, bins, layers)
        #: (Q, rows, L) and (Q, rows).
        self.absolute = _Sums(questions, first_rows, layers)

    def add(self, block: RowBlock, question: np.ndarray) -> None:
        """Count a block; question: (n,) of its responses, from 0."""
        finite = np.isfinite(block.norms).all(axis=1)
        block = block if finite.all() else block.kept(finite)
        row = np.arange(len(block.norms)) - block.starts[block.response]
        length = block.lengths[block.response]
        # the middle of row t of T lies at (t + ½) / T
        bins = ((2 * row + 1) * self.bins) // (2 * length)
        self.relative.add(block, question, bins)
        early = row < self.first_rows
        self.absolute.add(block.kept(early), question, row[early])

    def table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """By relative position: ``layer``, ``start``, ``end`` (shares), ``norm``, ``ratio``."""
        edges = np.arange(self.bins + 1) / self.bins
        places = {"start": edges[:-1], "end": edges[1:]}
        return self.relative.table(layers, places)

    def first_table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """By row from the start, from 0: ``layer``, ``row``, ``norm``, ``ratio``.

        Later rows are of the responses that are long enough.
        """
        return self.absolute.table(layers, {"row": np.arange(self.first_rows)})

    def trend(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """The last 30 % of the response against its first 30 %.

        Returns:
            A row a layer: ``layer``, ``ratio`` of the mean norms with ``_low`` and ``_high``,
            ``p`` of a ratio of 1, and ``p_holm`` over layers.
        """
        import pandas as pd

        share = round(LATE * self.bins)
        first, last = (
            (
                self.relative.norms[:, places].sum(axis=1),
                self.relative.counts[:, places].sum(axis=1)[:, None],
            )
            for places in (slice(None, share), slice(-share, None))
        )
        found = ratios([last[0], first[1]], [last[1], first[0]])
        tests = {"p": found.p, "p_holm": holm(found.p)}
        return pd.DataFrame({"layer": layers, **found.columns("ratio"), **tests})


class _Sums:
    def __init__(self, questions: int, places: int, layers: int) -> None:
        self.norms = np.zeros((questions, places, layers))
        self.counts = np.zeros((questions, places))

    def add(self, block: RowBlock, question: np.ndarray, place: np.ndarray) -> None:
        """Each response's mean norm at each place; place: (rows,), not falling in a response."""
        if not len(place):
            return
        slot = block.response * self.counts.shape[1] + place
        starts = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
        size = np.diff(np.append(starts, len(slot)))
        means = np.add.reduceat(block.norms.astype(np.float64), starts) / size[:, None]
        at = question[block.response[starts]], place[starts]
        np.add.at(self.norms, at, means)
        np.add.at(self.counts, at, 1.0)

    def table(self, layers: tuple[int, ...], places: dict[str, np.ndarray]) -> pd.DataFrame:
        import pandas as pd

        norms, counts = self.norms, self.counts[:, :, None]
        wholes = norms.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
        figures = {
            "norm": ratios([norms], [counts]),
            "ratio": ratios([norms, wholes[1]], [counts, wholes[0]]),
        }
        n_places = self.counts.shape[1]
        columns: dict[str, Floats] = {"layer": np.repeat(np.asarray(layers), n_places)}
        columns |= {name: np.tile(of, len(layers)) for name, of in places.items()}
        for name, found in figures.items():
            columns |= found.transposed().columns(name)
        columns["responses"] = np.tile(self.counts.sum(axis=0), len(layers)).astype(int)
        found = pd.DataFrame(columns)
        return found[found["responses"] > 0].reset_index(drop=True)
