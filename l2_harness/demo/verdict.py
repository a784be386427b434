"""The demo's findings in plain words: an effect is claimed only where its interval leaves out 0."""

from __future__ import annotations

from l2_harness.demo.findings import (
    BOTH,
    CONTROLS,
    DEFAULT_LATE,
    LENGTH,
    RAW,
    STRATA,
    WITH_LAST,
    Findings,
    runs_of,
)
from l2_harness.statistics.estimate import Estimate


def verdict(findings: Findings, parameters: int | None) -> list[str]:
    """One paragraph an entry.

    Args:
        findings: what was measured.
        parameters: how many the model has.
    """
    size = "the model's" if parameters is None else f"a {size_of(parameters)}-parameter model's"
    return [
        f"This is {size} result on made-up problems, from one training run. It shows how the "
        "tools work; it says nothing about larger models.",
        _profile(findings),
        *_correlation(findings),
    ]


def size_of(parameters: int) -> str:
    """``1.8M`` for 1,805,184."""
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= limit:
            return f"{parameters / limit:.1f}{letter}"
    return str(parameters)


def direction(found: Estimate) -> str:
    """What an estimate says about right answers."""
    if not found.known:
        return "can't be computed from these responses"
    if not found.excludes_zero:
        return "shows no effect: the interval includes zero"
    return f"is {'positive' if found.value > 0 else 'negative'}: the interval excludes zero"


def _profile(findings: Findings) -> str:
    profile = findings.profile
    if profile["ratio_low"].isna().all():
        return "Thinking beside direct responses: too few prompts for an interval."
    higher, lower = profile["ratio_low"] > 1, profile["ratio_high"] < 1
    above, below, neither = (
        runs_of(profile["layer"][chosen]) for chosen in (higher, lower, ~(higher | lower))
    )
    last = profile.iloc[-1]
    return (
        f"Norms of thinking responses, against direct ones to the same {findings.pairs} prompts: "
        f"higher at layers {above}; lower at layers {below}; layers without a shown difference: "
        f"{neither} (a 95 % interval for each layer, not corrected for their number). The last, "
        f"{int(last['layer'])}, has a ratio of {last['ratio']:.2f}. The two kinds of response "
        "also differ in length and in words, so a difference isn't yet reasoning."
    )


def _correlation(findings: Findings) -> list[str]:
    if not findings.correlations[DEFAULT_LATE, RAW].known:
        return [
            "Late norm and correctness: the correlation can't be computed; too few responses, or "
            "all of them right, or all wrong."
        ]
    return [_pooled(findings), _beyond(findings), _last_layer(findings)]


def _pooled(findings: Findings) -> str:
    raw, length = (findings.correlations[DEFAULT_LATE, c] for c in (RAW, LENGTH))
    return (
        f"Late norm and correctness over all {findings.thinking} thinking responses: "
        f"the correlation, {raw}, {direction(raw)}. Controlled for length, {length}, it "
        f"{direction(length)}. Both mix the families of problems and their numbers of steps, "
        "which differ in norm and in difficulty, so neither says that the norm tells a right "
        "answer from a wrong one to problems of one kind."
    )


def _beyond(findings: Findings) -> str:
    within, both = (findings.correlations[DEFAULT_LATE, c] for c in (STRATA, BOTH))
    if not both.known:
        return "Within a family and number of steps: too few responses for a conclusion."
    if both.excludes_zero:
        goes = "right" if both.value > 0 else "wrong"
        end = (
            f"In this model, a higher late norm goes with {goes} answers beyond the kind of "
            "problem and the length. What else differs between problems of a kind, such as the "
            "size of their numbers, is not controlled for, and a correlation can't tell a cause."
        )
    else:
        end = (
            "No link between late norm and correctness beyond the kind of problem and the length "
            "is shown here."
        )
    return (
        f"Among problems of one family and number of steps, {within}, it {direction(within)}. "
        f"Controlled for length as well, {both}, it {direction(both)}. {end}"
    )


def _last_layer(findings: Findings) -> str:
    pairs = {
        control: [findings.correlations[name, control] for name in (DEFAULT_LATE, WITH_LAST)]
        for control in CONTROLS
    }
    known = {c: pair for c, pair in pairs.items() if all(found.known for found in pair)}
    changed = [c for c, (without, with_it) in known.items() if _sign(without) != _sign(with_it)]
    if not changed:
        return f"Counting the last layer in changes none of these {len(known)} conclusions."
    return (
        f"Counting the last layer in changes {len(changed)} of these {len(known)} conclusions "
        f"(controlled for: {'; '.join(changed)}): they depend on which layers are called late."
    )


def _sign(found: Estimate) -> int:
    return 0 if not found.excludes_zero else (1 if found.value > 0 else -1)
