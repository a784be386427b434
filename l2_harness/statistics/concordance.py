"""How each response's value stands to all others in two variables at once, for Kendall's tau.

scipy gives the coefficient alone. A resample of questions needs each response's own sum over its
pairs, in O(n log n): the count of earlier smaller values by a radix sort, bit by bit.
"""

from __future__ import annotations

import numpy as np

from l2_harness.statistics.bootstrap import Floats


def row_sums(x: list[np.ndarray], y: list[np.ndarray], size: Floats) -> Floats:
    """(n,) Σⱼ sign(xᵢ − xⱼ) sign(yᵢ − yⱼ) over the responses j of the same stratum.

    Args:
        x: the :func:`orders` of one variable.
        y: those of the other, within the same strata.
        size: (n,) how many responses each one's stratum has.
    """
    n = len(size)
    total = np.zeros(n)
    for first in x:
        for second in y:
            # without ties a pair is in or against the order, and these counts say how many are
            total += 4.0 * _below_in_both(first, second) - 2.0 * first - 2.0 * second + (n - 1)
    # ranks run through the strata: pairs of two of them are all in order
    return np.asarray(total / (len(x) * len(y)) - (n - size))


def orders(values: Floats, stratum: np.ndarray) -> list[np.ndarray]:
    """Ranks (n,) from 0 by stratum and value, ties broken either way.

    The sign of a difference is the mean of its signs under both, 0 for a tie. One order where
    there are no ties.
    """
    index = np.arange(len(values))
    forward = np.lexsort((index, values, stratum))
    ordered, label = values[forward], stratum[forward]
    ranks = [_inverse(forward)]
    if ((ordered[1:] == ordered[:-1]) & (label[1:] == label[:-1])).any():
        ranks.append(_inverse(np.lexsort((-index, values, stratum))))
    return ranks


def _inverse(order: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def _below_in_both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) how many others have a smaller rank in both orders, each a permutation of 0 … n−1."""
    return np.asarray(smaller_before(second[_inverse(first)])[second])


def smaller_before(values: np.ndarray) -> np.ndarray:
    """(n,) by value: how many smaller ones stand before it, ``values`` a permutation of 0 … n−1.

    A stable radix sort from the highest bit on. Values that agree in all higher bits stand
    together; of those, the ones with a 0 at this bit that come before a 1 are smaller and earlier,
    and each pair is told apart at exactly one bit.
    """
    n = len(values)
    values = values.astype(np.int32)
    counts = np.zeros(n, dtype=np.int32)
    place = np.arange(n, dtype=np.int32)
    zeros = np.zeros(n + 1, dtype=np.int32)
    for bit in reversed(range(max(n - 1, 1).bit_length())):
        start = (values >> (bit + 1)) << (bit + 1)
        one = (values >> bit) & 1
        np.cumsum(1 - one, out=zeros[1:], dtype=np.int32)
        before = zeros[:-1] - zeros[start]
        counts += one * before
        target = start + np.where(one == 1, (1 << bit) + place - start - before, before)
        moved = np.empty_like(values)
        moved[target] = values
        values = moved
        kept = np.empty_like(counts)
        kept[target] = counts
        counts = kept
    return counts
