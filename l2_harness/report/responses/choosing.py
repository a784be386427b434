"""Which of a run's responses a page shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.report.responses.views import Verdict

_WORDS = {"correct": "correct", "wrong": "wrong", "unjudged": "not judged"}


def choose(verdicts: Sequence[Verdict], tasks: Sequence[str], wanted: int, seed: int) -> list[int]:
    """Positions of at most ``wanted`` responses, ascending.

    As many correct as wrong ones, and of each verdict as many of every task, as far as there are
    enough; where there are not, the others fill up. Responses that were not judged come in only
    where those that were do not suffice. Within a task and verdict they are drawn at random: the
    same ``seed`` draws the same.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(verdicts)).tolist()
    strata: dict[Verdict, dict[str, list[int]]] = {}
    for position in order:
        of_verdict = strata.setdefault(verdicts[position], {})
        of_verdict.setdefault(tasks[position], []).append(position)
    sizes = {verdict: sum(map(len, by_task.values())) for verdict, by_task in strata.items()}
    judged = [sizes.get(verdict, 0) for verdict in ("correct", "wrong")]
    shares = dict(zip(("correct", "wrong"), _share(judged, wanted), strict=True))
    shares["unjudged"] = wanted - sum(shares.values())
    chosen: list[int] = []
    for verdict, by_task in strata.items():
        names = sorted(by_task)
        counts = _share([len(by_task[name]) for name in names], shares[verdict])
        for name, count in zip(names, counts, strict=True):
            chosen += by_task[name][:count]
    return sorted(chosen)


def describe(
    verdicts: Sequence[Verdict], tasks: Sequence[str], chosen: Sequence[int], seed: int
) -> str:
    """How :func:`choose` chose, in words."""
    total, n_tasks = len(verdicts), len(set(tasks))
    of = f" of {n_tasks} tasks" if n_tasks > 1 else f" of {tasks[0]}" if tasks else ""
    if len(chosen) == total:
        return f"All {total:,} responses{of}."
    counts = {word: sum(verdicts[i] == v for i in chosen) for v, word in _WORDS.items()}
    parts = " and ".join(f"{count} {word}" for word, count in counts.items() if count)
    drawn = f"drawn at random (seed {seed})"
    if n_tasks > 1:
        drawn += ", spread evenly over the tasks as far as there are enough"
    start = f"{len(chosen)} of {total:,} responses{of}"
    if not (counts["correct"] or counts["wrong"]):
        return f"{start}, {drawn}."
    return (
        f"{start}: {parts}, {drawn}. "
        "Correct and wrong ones were drawn apart, so their share here is not the run's accuracy."
    )


def _share(sizes: Sequence[int], wanted: int) -> list[int]:
    """``wanted`` dealt out evenly, one at a time, to those that still have some."""
    counts = [0] * len(sizes)
    left = min(wanted, sum(sizes))
    while left:
        for place, size in enumerate(sizes):
            if left and counts[place] < size:
                counts[place] += 1
                left -= 1
    return counts
