"""Logits that are not finite: in which response, at which token, and from which layer on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from l2_harness.config.errors import NumbersError
from l2_harness.models.tally import Tally

logger = logging.getLogger(__name__)

#: Of each process, how many are named; further ones are counted.
_NAMED = 5
MENDED_BY = "float16 may have overflowed: dtype=bfloat16 or dtype=float32 mends that."


def no_numbers(n: int) -> NumbersError:
    """What is raised where a model's first ``n`` responses, or scores, have no number at all."""
    told = "response" if n == 1 else f"{n} responses"
    return NumbersError(
        f"the model gives no numbers: the logits of its first {told} are not finite. {MENDED_BY}"
    )


class BrokenNumbers:
    """Counts them, and names the first.

    Args:
        tally: where they are counted.
        layers: the monitored ones.
    """

    def __init__(self, tally: Tally, layers: Sequence[int]) -> None:
        self._tally, self._layers = tally, layers

    def tell(self, where: str, row: int | None, norms: np.ndarray | None, consequence: str) -> None:
        """One more.

        Args:
            where: the task and the document.
            row: the first one with such logits, None where that isn't known.
            norms: the monitored layers' norms there, (layers,); None where they aren't known.
            consequence: what becomes of it.
        """
        self._tally.broken += 1
        if self._tally.broken <= _NAMED:
            logger.warning(
                "%s: the logits%s are not finite (%s), so %s. %s",
                where,
                "" if row is None else f" at token {row + 1}",
                self._norms_there(norms),
                consequence,
                MENDED_BY,
            )

    def _norms_there(self, norms: np.ndarray | None) -> str:
        if norms is None:
            return "no norms were recorded"
        finite = np.isfinite(norms)
        broken = [layer for layer, ok in zip(self._layers, finite, strict=True) if not ok]
        if broken:
            return f"its norm is not finite from layer {broken[0]} on"
        return "the norms that were recorded are finite"
