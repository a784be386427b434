"""What the arms of all tasks say in three sentences, and what a reader has to know of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from l2_harness.compare.causal.analysis import Analysis
from l2_harness.compare.causal.arms import CONTROLS, KEPT, PLACES
from l2_harness.compare.causal.effects import Effect
from l2_harness.findings import least
from l2_harness.findings.numbers import fixed
from l2_harness.findings.words import capital, count, estimate, listed, p_value

#: Tasks, or arms, that a sentence names; the tables have all.
_NAMED = 3


def causal_findings(analyses: Sequence[Analysis]) -> list[str]:
    """What editing the peaks costs, beside the same edit elsewhere, and which part of them it is.

    A sham that changed something comes before all else.
    """
    broken = [a for a in analyses if _sham_changed(a)]
    found = [_sham_finding(broken)] if broken else []
    peaks = [(a, _peaks(a)) for a in analyses]
    told = [effect_text(a, effect, len(analyses) > 1) for a, effect in peaks if effect]
    if told:
        start = f"With the peaks scaled to {KEPT['scale']:g} accuracy moves"
        found.append(f"{start} by {listed(told, _NAMED)}.")
    else:
        found.append(_plain_finding(analyses))
    return [*found, *_control_findings(analyses), *_part_finding(analyses)][:3]


def _peaks(a: Analysis) -> Effect | None:
    return a.against_plain(a.runs.get("peaks", "scale", KEPT["scale"]))


def _plain_finding(analyses: Sequence[Analysis]) -> str:
    told = [
        f"{estimate(a.plain, decimals=1)} % of {count(a.questions, 'question')} of {a.runs.task}"
        for a in analyses
    ]
    return f"Plain answers right: {listed(told, _NAMED)}; no arm scales the peaks."


def effect_text(a: Analysis, effect: Effect, named: bool) -> str:
    """``−3.1 points (−5.0 to −1.2; corrected p < 0.001)``, or why nothing is shown."""
    where = f" on {a.runs.task}" if named else ""
    if not least.enough(a.questions):
        points = fixed(effect.points.value, 1)
        return f"{points} points{where} (not tested: {least.reason(a.questions)})"
    text = estimate(effect.points, decimals=1, unit="points", sign=True)
    if effect.hopeless:
        return f"{text}{where} (too few responses changed to tell)"
    shown = "" if a.claimed(effect) else ", no difference is shown"
    return f"{text[:-1]}; corrected {p_value(effect.points.p_corrected)}{shown}){where}"


def _control_findings(analyses: Sequence[Analysis]) -> list[str]:
    parts = []
    for where in CONTROLS:
        runs = [(a, a.runs.get("peaks", "scale", KEPT["scale"])) for a in analyses]
        found = [(a, effect) for a, run in runs if (effect := a.against_control(run, where))]
        if found:
            parts.append(f"{_beside(found)} the same edit of {PLACES[where]}")
    return [f"Editing the peaks {'; it '.join(parts)}."] if parts else []


def _part_finding(analyses: Sequence[Analysis]) -> list[str]:
    """Direction against magnitude."""
    found = [(a, e) for a in analyses for e in a.effects if e.family == "part"]
    if not found:
        return []
    return [f"Changing the peaks' direction alone {_beside(found)} changing their norm alone."]


def _beside(found: Sequence[tuple[Analysis, Effect]]) -> str:
    """``costs more than``, or on how many of several tasks it costs more and less."""
    claimed = [effect.points.value for a, effect in found if a.claimed(effect)]
    more, less = sum(value < 0 for value in claimed), sum(value > 0 for value in claimed)
    if len(found) == 1:
        shown = "more" if more else "less" if less else ""
        return f"costs {shown} than" if shown else "is not shown to cost more or less than"
    of = count(len(found), "task")
    return f"costs more on {more or 'none'} and less on {less or 'none'} of {of} than"


def _sham_changed(a: Analysis) -> bool:
    sham = a.runs.sham
    edits = None if sham is None else a.count_of(sham)
    if sham is None or edits is None or not math.isfinite(edits.total):
        return False
    return bool(edits.changed > 0 or (sham.scores != a.runs.plain.scores).any())


def _sham_finding(broken: Sequence[Analysis]) -> str:
    tasks = listed([a.runs.task for a in broken], _NAMED)
    return (
        f"The sham, which finds the peaks and keeps them, changed responses to {tasks}: the arms "
        "differ in more than their edits, and no finding here can be trusted."
    )


def causal_notes(analyses: Sequence[Analysis]) -> list[str]:
    """What was left out, and controls whose number of edits is far from the peaks'."""
    notes = []
    for a in analyses:
        own = []
        if a.runs.sham is not None and not _sham_changed(a):
            own.append("the sham, which edits nothing, changed no response.")
        if a.runs.dropped:
            left_out = count(a.runs.dropped, "question")
            own.append(f"{left_out} left out, for want of a score in every arm.")
        off = [
            f"{c.run.arm.name} {fixed(c.ratio, 2)}"
            for c in a.counts
            if not c.is_matched and math.isfinite(c.ratio)
        ]
        if off:
            own.append(
                f"edits not matched, theirs over the peaks': {listed(off, _NAMED)}; compare these "
                "by edit."
            )
        notes += [f"{a.runs.task}: {one}" if len(analyses) > 1 else capital(one) for one in own]
    return notes
