"""Verdicts in words: of a comparison, of a claim, and the rule that both are reached by."""

from __future__ import annotations

from collections.abc import Mapping

from l2_harness.findings.words import count
from l2_harness.statistics.verdicts import Verdict

CLAIMED: Mapping[Verdict, str] = {
    "better": "holds",
    "worse": "fails: worse",
    "equivalent": "fails: no difference that matters",
    "abstain": "not decided",
}


def claim_words(found: Verdict | None, changed: float | None, *, enough: bool = True) -> str:
    """What became of a claim.

    Args:
        found: the verdict on its difference; None where there are no scores to compare.
        changed: states that its method changed; 0 says that it never acted, so that nothing was
            tried.
        enough: whether there are questions enough for any verdict.
    """
    if found is None:
        return "not decided: not run"
    if changed == 0:
        return "not tried: it changed no state"
    return CLAIMED[found] if enough else "not decided: too few questions"


def rule(margin: float, level: float, comparisons: int) -> str:
    """The rule, before anything is known.

    Args:
        margin: points within which a difference counts as none.
        level: of all verdicts of a model and task together.
        comparisons: of a model and task.
    """
    return (
        f"Each of {count(comparisons, 'comparison')} of a model and task gets an interval that is "
        "corrected for all of them by the largest statistic under random signs, so that with a "
        f"chance of {100 * level:g} % none of that model's verdicts on that task is wrong. Better "
        "or worse: it leaves out 0. "
        f"Equivalent: it holds 0 and lies within ±{margin:g} points: two one-sided tests at "
        f"{100 * (1 - level) / 2:g} %. Abstain: it holds 0 and is wider. A claim holds where its "
        "method is better, fails where it is worse or equivalent, and is not decided otherwise."
    )


def planned(questions: int | None, runs: int) -> str:
    """``540 questions in 20 runs were planned``."""
    asked = "a number of questions not known" if questions is None else count(questions, "question")
    return f"{asked} in {count(runs, 'run')} {'was' if questions == 1 else 'were'} planned"
