"""p values of paired comparisons, and their correction for how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.analysis.bootstrap import Floats

FLIPS = 10_000
_CHUNK = 500


def holm(p: ArrayLike) -> Floats:
    """Holm's step-down correction of (m,) p values; nan where there is none, which counts not.

    As statsmodels' ``multipletests(p, method="holm")``, which collects garbage at every call: a
    third of a second each time in a process that has loaded the libraries this project uses.
    """
    p = np.asarray(p, dtype=float)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of McNemar's exact test, of paired right (1) and wrong (0) answers, (n,) each.

    Under the null, a question that only one of the two answers is as likely to be either's.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    better, worse = int((first & ~second).sum()), int((~first & second).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


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
