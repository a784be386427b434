"""Running totals of the norms of a run, small enough for lm-eval's result file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class NormTotals:
    """Sums over responses; ``norm_sum`` is (layers,) float64.

    A response counts once, whatever its length; a row is one response token. A response with norms
    that are not finite is counted as ``not_finite`` alone: no mean could be told with it.
    """

    n_layers: int
    responses: int = 0
    rows: int = 0
    not_finite: int = 0
    norm_sum: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.norm_sum = np.zeros(self.n_layers)

    def add(self, norms: np.ndarray) -> None:
        """Count one response, norms: (rows, layers) float32."""
        self.add_sum(norms.shape[0], norms.sum(axis=0, dtype=np.float64))

    def add_sum(self, rows: int, norm_sum: np.ndarray) -> None:
        """Count a response of which only the number of rows and the sums are known."""
        if not np.isfinite(norm_sum).all():
            self.not_finite += 1
            return
        self.responses += 1
        self.rows += rows
        self.norm_sum += norm_sum

    def add_totals(self, other: NormTotals) -> None:
        """Count what others have counted."""
        self.responses += other.responses
        self.rows += other.rows
        self.not_finite += other.not_finite
        self.norm_sum += other.norm_sum


class NormSummary:
    """Norm totals by task, to be merged over the processes of a run.

    Args:
        layers: the monitored layers' indices.
    """

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers = tuple(layers)
        self.tasks: dict[str, NormTotals] = {}

    def of_task(self, task: str) -> NormTotals:
        """The totals of one task, made at its first response."""
        return self.tasks.setdefault(task, NormTotals(len(self.layers)))

    @classmethod
    def merged(cls, summaries: Iterable[NormSummary]) -> NormSummary:
        """The summary of several processes that worked on different documents."""
        summaries = list(summaries)
        result = cls(summaries[0].layers)
        for summary in summaries:
            for task, totals in summary.tasks.items():
                result.of_task(task).add_totals(totals)
        return result

    def as_dict(self) -> dict[str, Any]:
        """Rows, responses and mean norm a layer, over all tasks and by task."""
        whole = NormTotals(len(self.layers))
        for totals in self.tasks.values():
            whole.add_totals(totals)
        return {
            "layers": list(self.layers),
            **self._describe(whole),
            "tasks": {task: self._describe(t) for task, t in sorted(self.tasks.items())},
        }

    def _describe(self, totals: NormTotals) -> Mapping[str, Any]:
        means = totals.norm_sum / totals.rows if totals.rows else totals.norm_sum * np.nan
        return {
            "responses": totals.responses,
            "rows": totals.rows,
            **({"not_finite": totals.not_finite} if totals.not_finite else {}),
            "norm_mean": {
                str(layer): float(m) if totals.rows else None
                for layer, m in zip(self.layers, means, strict=True)
            },
        }
