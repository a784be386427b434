"""What a corrected difference decides: the one rule of every comparison.

A verdict is read off the interval that is corrected for the whole family of comparisons:

- better, worse: it lies on one side of 0;
- equivalent: it holds 0 and lies within ± the margin, which is two one-sided tests (Schuirmann, A
  comparison of the two one-sided tests procedure …, Journal of Pharmacokinetics and
  Biopharmaceutics 15, 1987), each at half the family's level;
- abstain: it holds 0 and is too wide for that.

The chance that any verdict of a family is wrong is at most one minus the level: what is not told
from 0 has the interval of the whole family's critical value, and those intervals hold together.
(What a later step of the correction tells from 0 has a narrower one, of which only the side of 0
is promised.) Two one-sided tests at the whole level each would find more that is equivalent, and
promise that for each verdict alone. ``l2-harness bench statistics --verdicts`` checks it.
"""

from __future__ import annotations

from typing import Literal

from l2_harness.statistics.paired import Difference

Verdict = Literal["better", "worse", "equivalent", "abstain"]


def verdict(
    difference: Difference, margin: float | None = None, *, higher_is_better: bool = True
) -> Verdict:
    """The verdict on a difference.

    Args:
        difference: of a corrected family.
        margin: what a difference has to be smaller than to be no difference, in its unit; None
            where that was not fixed beforehand, so that nothing is equivalent.
        higher_is_better: whether a positive difference is one for the better.
    """
    if difference.excludes_zero:
        return "better" if (difference.value > 0) == higher_is_better else "worse"
    if margin is not None and difference.known and _within(difference, margin):
        return "equivalent"
    return "abstain"


def _within(difference: Difference, margin: float) -> bool:
    return -margin < difference.low and difference.high < margin
