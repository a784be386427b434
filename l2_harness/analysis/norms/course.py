"""How norms go over a response: by its relative position, and row by row at its start.

Each response counts once in every bin it reaches, whatever its length. Besides the norm itself,
which is not to be compared between layers, each figure is given as a ratio to the layer's mean over
all bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.trace_rows import RowBlock
from l2_harness.analysis.norms.whole_questions import WholeQuestions
from l2_harness.selection.norm_scores import LATE
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.ratios import RatioSums
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd

BINS = 20
FIRST_ROWS = 32


class Course:
    """Sums over questions of the responses' norms by bin, filled block by block.

    Args:
        responses: (Q,) how many each question has.
        bins: of relative position.
        first_rows: rows from the start that are looked at one by one.
    """

    def __init__(
        self, responses: np.ndarray, bins: int = BINS, first_rows: int = FIRST_ROWS
    ) -> None:
        self.bins, self.first_rows = bins, first_rows
        self._relative = _Sums(responses, bins)
        self._absolute = _Sums(responses, first_rows)

    def add(self, block: RowBlock, question: np.ndarray) -> None:
        """Count a block; question: (n,) of its responses, from 0."""
        finite = np.isfinite(block.norms).all(axis=1)
        block = block if finite.all() else block.kept(finite)
        row = np.arange(len(block.norms)) - block.starts[block.response]
        length = block.lengths[block.response]
        # the middle of row t of T lies at (t + ½) / T
        bins = ((2 * row + 1) * self.bins) // (2 * length)
        self._relative.add(block, question, bins)
        early = row < self.first_rows
        self._absolute.add(block.kept(early), question, row[early])

    def table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """By relative position: ``layer``, ``start``, ``end`` (shares), ``norm``, ``ratio``."""
        edges = np.arange(self.bins + 1) / self.bins
        places = {"start": edges[:-1], "end": edges[1:]}
        return self._relative.table(layers, places)

    def first_table(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """By row from the start, from 0: ``layer``, ``row``, ``norm``, ``ratio``.

        Later rows are of the responses that are long enough.
        """
        return self._absolute.table(layers, {"row": np.arange(self.first_rows)})

    def trend(self, layers: tuple[int, ...]) -> pd.DataFrame:
        """The last 30 % of the response against its first 30 %.

        Returns:
            A row a layer: ``layer``, ``ratio`` of the mean norms with ``_low`` and ``_high``,
            ``p`` of a ratio of 1, and ``p_holm`` over layers.
        """
        import pandas as pd

        found = self._relative.ends().relative()
        tests = {"p": found.p, "p_holm": holm(found.p)}
        return pd.DataFrame({"layer": layers, **found.columns("ratio"), **tests})


class _Sums:
    """Each response's mean norm at each place, summed by question and then over these.

    Args:
        responses: (Q,) how many each question has.
        places: how many there are.
    """

    def __init__(self, responses: np.ndarray, places: int) -> None:
        self._places = places
        self._questions = WholeQuestions(responses)
        self._means, self._ends = RatioSums(), RatioSums()

    def add(self, block: RowBlock, question: np.ndarray, place: np.ndarray) -> None:
        """Count a block; place: (rows,), not falling in a response."""
        questions, own = np.unique(question, return_inverse=True)
        norms = np.zeros((len(questions), self._places, block.norms.shape[1]))
        counts = np.zeros((len(questions), self._places, 1))
        if len(place):
            slot = block.response * self._places + place
            starts = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
            size = np.diff(np.append(starts, len(slot)))
            means = np.add.reduceat(block.norms.astype(np.float64), starts) / size[:, None]
            at = own[block.response[starts]], place[starts]
            np.add.at(norms, at, means)
            np.add.at(counts, at, 1.0)
        self._count(*self._questions.add(question, [norms, counts]))

    def _count(self, norms: Floats, counts: Floats) -> None:
        """Questions that are complete: (m, places, layers) and (m, places, 1)."""
        whole = norms.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
        self._means.add(norms, counts, *whole)
        share = round(LATE * self._places)
        first, last = slice(None, share), slice(-share, None)
        self._ends.add(*(of[:, at].sum(axis=1) for at in (last, first) for of in (norms, counts)))

    def _all(self) -> None:
        rest = self._questions.rest()
        if rest:
            self._count(*rest)

    def ends(self) -> RatioSums:
        """The last 30 % of the places against the first: (layers,)."""
        self._all()
        return self._ends

    def table(self, layers: tuple[int, ...], places: dict[str, np.ndarray]) -> pd.DataFrame:
        import pandas as pd

        self._all()
        figures = {"norm": self._means.ratio(), "ratio": self._means.relative()}
        columns: dict[str, Floats] = {"layer": np.repeat(np.asarray(layers), self._places)}
        columns |= {name: np.tile(of, len(layers)) for name, of in places.items()}
        for name, found in figures.items():
            columns |= found.transposed().columns(name)
        columns["responses"] = np.tile(self._means.under[:, 0], len(layers)).astype(int)
        found = pd.DataFrame(columns)
        return found[found["responses"] > 0].reset_index(drop=True)
