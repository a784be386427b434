"""AUROC: how often a right response has the larger value than a wrong one, ties counting half."""

from __future__ import annotations

import numpy as np

from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.rank_contributions import Strata


def auroc_contributions(
    row_sums: Floats, correct: np.ndarray, strata: Strata
) -> tuple[Floats, Floats]:
    """Contributions to the mean AUROC over strata, each counting by its questions.

    Args:
        row_sums: (n, C) of :class:`~.rank_contributions.RankContributions` whose first of v is
            ``correct``.
        correct: (n,) 1 and 0, both in every stratum.
        strata: of the n responses.

    Returns:
        (Q, C) of the sum of AUROCs, and (Q,) of the sum of their weights.
    """
    right = strata.within(correct[:, None])[:, 0]
    wrong = strata.size - right
    pairs = (2 * right * wrong)[:, None]
    total = strata.within(row_sums)
    change = (
        2 * row_sums - total / pairs * (2 * np.where(correct == 1, wrong, right))[:, None]
    ) / (2 * pairs)
    present = np.zeros(strata.questions)
    present[strata.question] = 1.0
    stratum_of = np.zeros(strata.questions, dtype=np.int64)
    stratum_of[strata.question] = strata.stratum
    members = np.bincount(stratum_of[present > 0], minlength=int(strata.stratum.max()) + 1)
    own = strata.by_question(change * members[strata.stratum][:, None])
    area = np.empty((strata.questions, row_sums.shape[1]))
    area[strata.question] = (1 + total / pairs) / 2
    return np.where(present[:, None] > 0, own + np.nan_to_num(area), 0.0), present
