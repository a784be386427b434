"""``generate``'s logits processors, for rows that were prefilled at different times.

Some processors count columns from where their own batch began, or read the ids since then. Rows of
one prefill therefore keep theirs, and see their own columns, whoever runs beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation import logits_process

#: Processors that look at nothing but the scores: all rows may share them.
_OF_SCORES_ALONE = frozenset(
    getattr(logits_process, name)
    for name in (
        *("EpsilonLogitsWarper", "EtaLogitsWarper", "InfNanRemoveLogitsProcessor"),
        *("LogitNormalization", "MinPLogitsWarper", "SuppressTokensLogitsProcessor"),
        *("TemperatureLogitsWarper", "TopHLogitsWarper", "TopKLogitsWarper"),
        *("TopPLogitsWarper", "TypicalLogitsWarper"),
    )
)


@dataclass(eq=False)
class _Cohort:
    """Rows that share their processors.

    Attributes:
        processors: for these rows, in this order.
        rows: where they are in the batch, ascending.
        columns: of the ids, from the left end of their own prompts; None where that is all one.
    """

    processors: LogitsProcessorList
    rows: list[int]
    columns: int | None

    def of(self, places: dict[int, int]) -> _Cohort:
        """The rows among these old ones, old → new."""
        kept = sorted((places[row], i) for i, row in enumerate(self.rows) if row in places)
        index = torch.tensor([i for _, i in kept], dtype=torch.int64)
        processors = select_processors(self.processors, index)
        return _Cohort(processors, [row for row, _ in kept], self.columns)


class RowProcessors:
    """The processors of a batch.

    Args:
        cohorts: that have all its rows.
    """

    def __init__(self, cohorts: Iterable[_Cohort]) -> None:
        self._cohorts = [cohort for cohort in cohorts if cohort.rows]

    @classmethod
    def of_prefill(
        cls, processors: LogitsProcessorList, prompts: Tensor, columns: int
    ) -> RowProcessors:
        """Of rows that are prefilled together.

        Args:
            processors: of ``generate``, a row a prompt.
            prompts: (rows,) int64 on the CPU, the prompt of each row.
            columns: of the prompts.
        """
        counted = any(type(one) not in _OF_SCORES_ALONE for one in processors)
        own = select_processors(processors, prompts)
        return cls([_Cohort(own, list(range(len(prompts))), columns if counted else None)])

    @property
    def columns(self) -> int:
        """How many of the newest columns some processor reads."""
        return max((cohort.columns or 0 for cohort in self._cohorts), default=0)

    def __call__(self, ids: Any, logits: Tensor) -> Tensor:
        """(rows, vocabulary) scores from ids: (rows, columns) and logits: (rows, vocabulary)."""
        if len(self._cohorts) == 1:
            scores = _scores(self._cohorts[0], ids, logits)
        else:
            scores = torch.empty_like(logits)
            for cohort in self._cohorts:
                index = torch.tensor(cohort.rows, device=logits.device)
                scores[index] = _scores(cohort, ids[index], logits[index])
        for cohort in self._cohorts:
            if cohort.columns is not None:
                cohort.columns += 1
        return scores

    def of(self, order: Tensor) -> RowProcessors:
        """Those of the old rows order: (rows,), none of them twice, in their new order."""
        places = {row: place for place, row in enumerate(order.tolist())}
        return RowProcessors(cohort.of(places) for cohort in self._cohorts)

    def joined(self, other: RowProcessors) -> RowProcessors:
        """With another batch's rows after these, which take the same settings."""
        start = sum(len(cohort.rows) for cohort in self._cohorts)
        new = [
            _Cohort(cohort.processors, [start + row for row in cohort.rows], cohort.columns)
            for cohort in other._cohorts
        ]
        together = [*self._cohorts, *new]
        if all(cohort.columns is None for cohort in together):
            rows = [row for cohort in together for row in cohort.rows]
            return RowProcessors([_Cohort(together[0].processors, sorted(rows), None)])
        return RowProcessors(together)


def _scores(cohort: _Cohort, ids: Any, logits: Tensor) -> Tensor:
    own = ids if cohort.columns is None else ids[:, ids.shape[1] - cohort.columns :]
    scores: Tensor = cohort.processors(own, logits)
    return scores


def select_processors(processors: Sequence[Any], index: Tensor) -> LogitsProcessorList:
    """Those processors for some rows; only a repetition penalty knows what row is which."""
    return LogitsProcessorList(_select_processor(processor, index) for processor in processors)


def _select_processor(processor: Any, index: Tensor) -> Any:
    if isinstance(processor, logits_process.RepetitionPenaltyLogitsProcessor) and isinstance(
        processor.prompt_ignore_length, Tensor
    ):
        lengths = processor.prompt_ignore_length
        return logits_process.RepetitionPenaltyLogitsProcessor(
            processor.penalty, prompt_ignore_length=lengths[index.to(lengths.device)]
        )
    return processor
