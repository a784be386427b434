"""One pass over a task's recorded rows: everything that the analysis of norms is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.course import Course
from l2_harness.analysis.norms.covariates import covariates, signal_means
from l2_harness.analysis.norms.norm_statistics import STATISTICS, NormStatistics, layer_statistics
from l2_harness.analysis.norms.outlier_norms import OutlierFreeNorms
from l2_harness.analysis.norms.responses import layer_columns
from l2_harness.analysis.norms.token_kinds import PeakCounts, TokenKinds
from l2_harness.analysis.norms.token_texts import TokenTexts
from l2_harness.analysis.norms.trace_rows import RowBlock, row_blocks
from l2_harness.config.layers import LayerSelection
from l2_harness.statistics.estimate import Floats

if TYPE_CHECKING:
    import pandas as pd

VARIANTS = ("all_rows", "without_first", "without_outliers")
#: How many first rows are left out in the second variant.
FIRST_ROWS = 4


@dataclass(frozen=True, eq=False)
class Measured:
    """A task's responses, measured.

    Attributes:
        traces: n rows, of :func:`~l2_harness.analysis.norms.responses.read_groups`, those with
            rows.
        layers: (L,) the layers that count.
        covariates: n rows.
        variants: all rows, without the first, and without the outlier dimensions where these were
            captured.
        values: (n, variants, L, statistics) float64, of which :attr:`statistics` are parts.
        answer_mean: (n, L) the mean norm of the rows after the thinking; nan without any.
        course: sums by the place in the response.
        peaks: variant → counts by kind of token; empty without a tokenizer.
        question: (n,) from 0.
        rows: how many rows there are.
        first_rows: how many the second variant leaves out.
    """

    traces: pd.DataFrame
    layers: tuple[int, ...]
    covariates: pd.DataFrame
    variants: tuple[str, ...]
    values: Floats
    answer_mean: Floats
    course: Course
    peaks: dict[str, PeakCounts]
    question: np.ndarray
    rows: int
    first_rows: int

    @property
    def statistics(self) -> tuple[NormStatistics, ...]:
        """A variant each."""
        return tuple(
            NormStatistics(name, self.layers, self.values[:, index])
            for index, name in enumerate(self.variants)
        )


def measure(
    traces: pd.DataFrame,
    trace_dir: Path,
    *,
    layers: LayerSelection | None = None,
    first_rows: int = FIRST_ROWS,
    texts: TokenTexts | None = None,
    outlier_free: OutlierFreeNorms | None = None,
) -> Measured:
    """Read the rows of some responses and measure them.

    Args:
        traces: of :func:`~l2_harness.analysis.norms.responses.read_groups`.
        trace_dir: where they came from.
        layers: of the recorded layers, those that count; None for all.
        first_rows: how many the second variant leaves out.
        texts: of the tokens, for their kinds; None for none of them.
        outlier_free: norms for the third variant.

    Raises:
        ValueError: no response has norms by row, or the responses have different layers.
    """
    chosen, columns = _layers(traces, layers)
    question = np.unique(traces["doc_id"].to_numpy(), return_inverse=True)[1]
    variants = VARIANTS if outlier_free is not None else VARIANTS[:2]
    pass_ = _Pass(traces, chosen, question, first_rows, texts, variants)
    for block in row_blocks(traces, trace_dir, columns):
        pass_.add(block)
    if not pass_.rows:
        raise ValueError(
            "no response has norms by row: the run kept their means only. Run it again with "
            "record=tokens."
        )
    if outlier_free is not None:
        blocks = row_blocks(traces, trace_dir, columns)
        for block in outlier_free.blocks(blocks, traces, chosen):
            pass_.values[block.members, 2] = layer_statistics(block)
    return pass_.result()


class _Pass:
    def __init__(
        self,
        traces: pd.DataFrame,
        layers: tuple[int, ...],
        question: np.ndarray,
        first_rows: int,
        texts: TokenTexts | None,
        variants: tuple[str, ...],
    ) -> None:
        self.traces, self.layers, self.question = traces, layers, question
        self.first_rows, self.rows, self.variants = first_rows, 0, variants
        n, n_layers, responses = len(traces), len(layers), np.bincount(question)
        self.values = np.full((n, len(variants), n_layers, len(STATISTICS)), np.nan)
        self.signals = np.full((n, 3), np.nan)
        self.answer_mean = np.full((n, n_layers), np.nan)
        self.course = Course(responses)
        self.seen = np.zeros(n, dtype=bool)
        ends = traces["thinking_end"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        self.thinking_end = ends
        kinds = None if texts is None else TokenKinds(texts)
        self.peaks = (
            {} if kinds is None else {name: PeakCounts(responses, kinds) for name in variants[:2]}
        )

    def add(self, block: RowBlock) -> None:
        members = block.members
        question = self.question[members]
        self.seen[members] = True
        self.rows += len(block.norms)
        self.signals[members] = signal_means(block)
        self.course.add(block, question)
        for index, of in enumerate((block, self._later(block))):
            tau = of.thresholds()
            self.values[members, index] = layer_statistics(of, tau)
            if self.peaks:
                self.peaks[self.variants[index]].add(of, tau, question)
        end = np.repeat(self.thinking_end[members], block.lengths)
        answer = block.kept(block.row > end)  # of nothing where the thinking has no end
        if len(answer.norms):
            filled = np.flatnonzero(answer.lengths)
            sums = np.add.reduceat(answer.norms.astype(np.float64), answer.starts[filled])
            self.answer_mean[members[filled]] = sums / answer.lengths[filled, None]

    def _later(self, block: RowBlock) -> RowBlock:
        return block.without_first(self.first_rows)

    def result(self) -> Measured:
        kept = self.seen
        traces = self.traces[kept].reset_index(drop=True)
        return Measured(
            traces=traces,
            layers=self.layers,
            covariates=covariates(traces, self.signals[kept]),
            variants=self.variants,
            # of many responses a copy is much memory
            values=self.values if kept.all() else self.values[kept],
            answer_mean=self.answer_mean[kept],
            course=self.course,
            peaks=self.peaks,
            question=self.question[kept],
            rows=self.rows,
            first_rows=self.first_rows,
        )


def _layers(
    traces: pd.DataFrame, layers: LayerSelection | None
) -> tuple[tuple[int, ...], list[int] | None]:
    recorded = tuple(int(layer) for layer in traces["layers"].iat[0])
    for other in traces["layers"]:
        if tuple(other) != recorded:
            raise ValueError(
                f"responses were recorded at layers {recorded} and at {tuple(other)}: pass "
                "--run-id or --task with those that belong together."
            )
    columns = layer_columns(recorded, layers)
    return (recorded if columns is None else tuple(recorded[i] for i in columns)), columns
