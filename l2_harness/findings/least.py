"""From how many questions, layers or mixed questions on a figure is a finding.

Below, a coefficient is withheld and an interval is not drawn: a correlation of three layers is 1
by chance one time in three, and a bootstrap of two questions knows nothing of a third. The reason
is said in place of the figure. Closed-form intervals of single answers are held to the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.findings.words import count

if TYPE_CHECKING:
    import pandas as pd

#: Questions for an interval, a test or an association.
QUESTIONS = 10
#: Layers for a correlation or a trend across layers.
LAYERS = 5
#: Questions with right and wrong responses, or whose responses differ, for figures within question.
MIXED = 10

_LEAST = {"question": QUESTIONS, "layer": LAYERS, "mixed question": MIXED}
_TESTS = ("p", "p_holm", "p_corrected")


def enough(n: float, noun: str = "question") -> bool:
    """Whether a figure of ``n`` questions, layers or mixed questions may be shown."""
    return bool(n >= _LEAST[noun])


def reason(n: int, noun: str = "question") -> str:
    """``at least 10 questions are needed, and there is 1``; empty where there are enough."""
    if enough(n, noun):
        return ""
    there = f"there {'is' if n == 1 else 'are'} {n or 'none'}"
    return f"at least {count(_LEAST[noun], noun)} are needed, and {there}"


def kept(
    frame: pd.DataFrame,
    n: ArrayLike,
    names: Sequence[str] = ("value",),
    *,
    noun: str = "question",
    values: bool = True,
) -> pd.DataFrame:
    """A table without the figures that rest on too few.

    Args:
        frame: with ``name``, ``name_low`` and ``name_high`` for each of ``names``.
        n: (rows,) or one number: how many questions, layers or mixed questions a row rests on.
        names: of the figures.
        noun: what is counted.
        values: whether the values go too, or only their intervals and tests: a mean of few
            questions is a description, a coefficient is not.
    """
    few = np.broadcast_to(np.asarray(n, dtype=float) < _LEAST[noun], len(frame))
    if not few.any():
        return frame
    gone = [f"{name}{end}" for name in names for end in ("_low", "_high", *_tails(name))]
    gone += [*_TESTS, *(names if values else ())]
    return frame.assign(
        **{name: frame[name].astype(float).mask(few) for name in gone if name in frame}
    )


def _tails(name: str) -> list[str]:
    return [f"_{test}" for test in _TESTS]
