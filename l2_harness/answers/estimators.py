"""What n responses to one question say together."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from l2_harness.answers.equivalence import AnswerKind, equivalent


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that at least one of k responses, drawn from n without replacement, is right.

    1 - C(n - c, k) / C(n, k): the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, eq. 1).

    Raises:
        ValueError: unless 0 <= correct <= n and 1 <= k <= n.
    """
    if not (0 <= correct <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@k needs 0 <= correct <= n and 1 <= k <= n; got {n=}, {correct=}, {k=}"
        )
    return 1 - comb(n - correct, k) / comb(n, k)


def group_answers(answers: Sequence[str | None], kind: AnswerKind = "math") -> list[list[int]]:
    """The indices of answers that say the same, a list a group, in order of first appearance.

    A response without an answer (None) is in no group.
    """
    groups: list[list[int]] = []
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        for group in groups:
            first = answers[group[0]]
            if first is not None and equivalent(first, answer, kind):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def majority_accuracy(
    answers: Sequence[str | None], correct: Sequence[bool], kind: AnswerKind = "math"
) -> float:
    """The expected accuracy of the most frequent answer, ties broken at random.

    A group of equal answers is right as its first member is. 0 where nothing was answered.
    """
    groups = group_answers(answers, kind)
    most = max(map(len, groups), default=0)
    leaders = [group for group in groups if len(group) == most]
    return sum(correct[group[0]] for group in leaders) / len(leaders) if leaders else 0.0


def sample_sizes(n: int) -> list[int]:
    """The k of pass@k that n responses are reported at: powers of two below n, and n."""
    powers = [2**exponent for exponent in range(1, n.bit_length()) if 2**exponent < n]
    return [*powers, n] if n > 1 else []
