"""What n responses to one question say together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import comb
from typing import NamedTuple

from l2_harness.answers.equivalence import AnswerKind, compare_both_ways
from l2_harness.answers.sympy_client import sympy_client
from l2_harness.answers.verdict import Verdict

#: Processor time for comparing the answers to one question, in seconds.
VOTE_SECONDS = 20.0

logger = logging.getLogger(__name__)


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


class Grouping(NamedTuple):
    """Answers that say the same.

    Attributes:
        groups: the indices of equal answers, a list a group, in order of first appearance.
        unverified: the indices of answers that could not be compared with an earlier one, because
            it took too long or failed: they may stand in a group of their own that is none.
    """

    groups: list[list[int]]
    unverified: frozenset[int]


def group_answers(
    answers: Sequence[str | None], kind: AnswerKind = "math", seconds: float = VOTE_SECONDS
) -> list[list[int]]:
    """The groups of :func:`compare_all`, with a line in the log where some are uncertain."""
    grouping = compare_all(answers, kind, seconds)
    if grouping.unverified:
        logger.warning(
            "%d of %d answers to one question could not be compared with the others in time; "
            "each counts as an answer of its own.",
            len(grouping.unverified),
            len(answers),
        )
    return grouping.groups


def compare_all(
    answers: Sequence[str | None], kind: AnswerKind = "math", seconds: float = VOTE_SECONDS
) -> Grouping:
    """Group the answers to one question that say the same.

    A response without an answer (None) is in no group.

    Args:
        answers: the responses' answers.
        kind: how they compare.
        seconds: of processor time for all comparisons; after them, only equal texts are equal.
    """
    groups: list[list[int]] = []
    by_text: dict[str, list[int]] = {}
    unverified: set[int] = set()
    with sympy_client.budget(seconds):
        for index, answer in enumerate(answers):
            if answer is None:
                continue
            if answer not in by_text:
                heads = [(group, answers[group[0]] or "") for group in groups]
                by_text[answer], certain = _find_group(answer, heads, kind)
                if not by_text[answer]:
                    groups.append(by_text[answer])
                if not certain:
                    unverified.add(index)
            by_text[answer].append(index)
    return Grouping(groups, frozenset(unverified))


def _find_group(
    answer: str, heads: Sequence[tuple[list[int], str]], kind: AnswerKind
) -> tuple[list[int], bool]:
    """The group whose first answer says the same, or a new one; and whether that is certain."""
    certain = True
    for group, first in heads:
        if sympy_client.seconds_left() <= 0:
            return [], False
        verdict = compare_both_ways(first, answer, kind)
        if verdict is Verdict.EQUAL:
            return group, True
        certain = certain and not verdict.unverified
    return [], certain


def majority_accuracy(groups: Sequence[Sequence[int]], correct: Sequence[bool]) -> float:
    """The expected accuracy of the most frequent answer, ties broken at random.

    A group of equal answers is right as its first member is. 0 where nothing was answered.
    """
    most = max(map(len, groups), default=0)
    leaders = [group for group in groups if len(group) == most]
    return sum(correct[group[0]] for group in leaders) / len(leaders) if leaders else 0.0


def sample_sizes(n: int) -> list[int]:
    """The k of pass@k that n responses are reported at: powers of two below n, and n."""
    powers = [2**exponent for exponent in range(1, n.bit_length()) if 2**exponent < n]
    return [*powers, n] if n > 1 else []
