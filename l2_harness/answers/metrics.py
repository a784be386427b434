"""The metrics of one question, from its judged responses.

A question gives one value a metric however many responses it has, so that an average over
questions and its standard error treat a question's responses as the cluster they are
(arXiv 2411.00640, section 2.2, with equal cluster sizes).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from l2_harness.answers.ending import Ending
from l2_harness.answers.equivalence import AnswerKind
from l2_harness.answers.estimators import compare_all, majority_accuracy, pass_at_k, sample_sizes
from l2_harness.answers.judgement import Judgement


def question_metrics(
    judgements: Sequence[Judgement], kind: AnswerKind = "math"
) -> dict[str, float]:
    """The metrics of one question.

    `acc` is the first response's, as in lm-eval; with n > 1 responses, `avg@n`, `pass@k` and
    `maj@n` use them all. `no_answer`, `truncated`, `ending_unknown` (nobody says whether they were
    cut off, and the text does not show it) and `unverified` (comparisons that timed out or failed,
    with the reference, scored as wrong, or with each other, for `maj@n`) are shares of the
    responses; lengths are means over them.
    """
    grouping = compare_all([one.answer for one in judgements], kind)
    metrics = {
        "acc": float(judgements[0].correct),
        "no_answer": fmean(one.answer is None for one in judgements),
        "truncated": fmean(one.ending is Ending.CUT for one in judgements),
        "ending_unknown": fmean(one.ending is Ending.UNKNOWN for one in judgements),
        "unverified": fmean(
            one.verdict.unverified or index in grouping.unverified
            for index, one in enumerate(judgements)
        ),
        "chars": fmean(one.characters for one in judgements),
        "words": fmean(one.words for one in judgements),
    }
    tokens = [one.tokens for one in judgements if one.tokens is not None]
    if len(tokens) == len(judgements):
        metrics["tokens"] = fmean(tokens)
    return metrics | _repeated(judgements, grouping.groups)


def repeat_metrics(n: int) -> list[str]:
    """The names of the metrics that n responses a question add."""
    if n < 2:
        return []
    return [f"avg@{n}", *(f"pass@{k}" for k in sample_sizes(n)), f"maj@{n}"]


def _repeated(judgements: Sequence[Judgement], groups: Sequence[Sequence[int]]) -> dict[str, float]:
    n = len(judgements)
    if n < 2:
        return {}
    correct = [one.correct for one in judgements]
    hits = sum(correct)
    return {
        f"avg@{n}": hits / n,
        **{f"pass@{k}": pass_at_k(n, hits, k) for k in sample_sizes(n)},
        f"maj@{n}": majority_accuracy(groups, correct),
    }
