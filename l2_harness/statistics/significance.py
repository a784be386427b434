"""p values of paired comparisons, and their correction for how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.bootstrap import Floats

FLIPS = 10_000
_CHUNK = 500


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down correction of (m,) p values; nan where there is none, which counts not.

    statsmodels' ``multipletests`` gives the same, and collects garbage at every call, which takes
    longer than all the rest of a comparison.
    """
    p = np.asarray(p, dtype=float)
    corrected, known = np.full(p.shape, np.nan), ~np.isnan(p)
    m = int(known.sum())
    order = np.flatnonzero(known)[np.argsort(p[known], kind="stable")]
    stepped = np.maximum.accumulate(p[order] * np.arange(m, 0, -1))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of McNemar's exact test, of paired right (1) and wrong (0) answers, (n,) each.

    Under the null, a question that only one of the two answers is as likely to be either's.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    return float(mcnemar_p((first & ~second).sum(), (~first & second).sum()))


def mcnemar_p(better: ArrayLike, worse: ArrayLike) -> Floats:
    """:func:`mcnemar_exact` from counts, of many pairs at once.

    Args:
        better: (...) questions that only the first answers.
        worse: (...) questions that only the second answers.
    """
    from scipy.stats import binom

    better, worse = np.asarray(better), np.asarray(worse)
    # Signs are as likely either way, so the two tails are equal.
    return np.minimum(1.0, 2 * binom.cdf(np.minimum(better, worse), better + worse, 0.5))


def sign_flip_p(differences: Floats, *, flips: int = FLIPS, seed: int = 0) -> Floats:
    """(m,) two-sided p values of paired differences, (questions, m), under random signs.

    Under the null a question's difference is as likely to be turned round. The observed signs
    count as one of the draws, so that no p is 0.
    """
    observed = np.abs(differences.sum(0))
    slack = 1e-9 * np.maximum(np.abs(differences).sum(0), 1.0)
    rng = np.random.default_rng(seed)
    as_large = np.zeros(differences.shape[1])
    for start in range(0, flips, _CHUNK):
        shape = (min(_CHUNK, flips - start), len(differences))
        signs = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64) * 2 - 1
        as_large += (np.abs(signs @ differences) >= observed - slack).sum(0)
    return np.asarray((1 + as_large) / (1 + flips))
