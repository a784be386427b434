"""Figures as findings: sentences by code, with a claim only where the corrected p allows one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from l2_harness.compare.causal.arms import CONTROLS, KEPT, PLACES, Where
from l2_harness.compare.causal.dose import DoseCurve
from l2_harness.compare.causal.edits import EditCount, PerEdit
from l2_harness.compare.causal.effects import Effect
from l2_harness.compare.causal.runs import ArmRun, Runs
from l2_harness.statistics.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that was computed of one task.

    Attributes:
        runs: the arms.
        effects: of this task, corrected over all tasks.
        counts: what the arms did.
        per_edit: points an edit.
        curves: of doses.
        plain: the plain arm's accuracy in hundredths, with its interval.
    """

    runs: Runs
    effects: Sequence[Effect]
    counts: Sequence[EditCount]
    per_edit: Sequence[PerEdit]
    curves: Sequence[DoseCurve]
    plain: Estimate

    def against_plain(self, run: ArmRun | None) -> Effect | None:
        """An arm's difference to plain."""
        return self._effect("plain", run, self.runs.plain)

    def against_control(self, run: ArmRun | None, where: Where) -> Effect | None:
        """A peak arm's difference to one of its controls."""
        control = None if run is None else self.runs.arms.get(run.arm.twin(where).name)
        return self._effect("control", run, control)

    def count_of(self, run: ArmRun) -> EditCount | None:
        """The edits of an arm."""
        return next((count for count in self.counts if count.run is run), None)

    def _effect(self, family: str, run: ArmRun | None, against: ArmRun | None) -> Effect | None:
        for effect in self.effects:
            if (effect.family, effect.run, effect.against) == (family, run, against):
                return effect
        return None


def findings(analysis: Analysis, named: bool = False) -> list[str]:
    """A paragraph a question that the arms answer; what can't be told is said too.

    Args:
        analysis: of one task.
        named: whether each begins with the task's name.
    """
    found = [
        _peaks(analysis),  # first, as a report's summary shows it
        *(_control(analysis, where) for where in CONTROLS),
        _parts(analysis),
        _doses(analysis),
        _sham(analysis),
        *_unmatched(analysis),
    ]
    return [_named(analysis.runs.task if named else "", text) for text in found if text]


def _named(task: str, text: str) -> str:
    return f"{task}: {text}" if task else text[0].upper() + text[1:]


def _plain(a: Analysis) -> str:
    text = f"plain accuracy is {a.plain.value:.1f} % ({a.plain.low:.1f} to {a.plain.high:.1f})"
    text += f" on {len(a.runs.questions)} questions."
    if a.runs.dropped:
        text += (
            f" {a.runs.dropped} questions are left out, since not every arm has a score of them."
        )
    return text


def _sham(a: Analysis) -> str:
    sham = a.runs.sham
    count = None if sham is None else a.count_of(sham)
    if sham is None or count is None or not math.isfinite(count.total):
        return ""
    found = (
        f"the plain responses have {count.per_response.value:.2f} peaks each that could be edited"
    )
    if count.changed > 0 or (sham.scores != a.runs.plain.scores).any():
        return (
            f"{found}, but the sham, which finds them and keeps all of them, changed "
            f"{100 * count.changed:.1f} % of the responses: the arms differ in more than their "
            "edits, and no finding here can be trusted."
        )
    return f"{found}. The sham, which finds them and keeps all of them, changed no response."


def _peaks(a: Analysis) -> str:
    run = a.runs.get("peaks", "scale", KEPT["scale"])
    effect = a.against_plain(run)
    if run is None or effect is None:
        return _plain(a)
    text = f"with the peaks scaled to {run.arm.factor:g}, accuracy {moved(effect)}."
    plain = _plain(a)
    return f"{text}{_few(effect)} {plain[0].upper()}{plain[1:]}"


def _control(a: Analysis, where: Where) -> str:
    run = a.runs.get("peaks", "scale", KEPT["scale"])
    effect = a.against_control(run, where)
    if run is None or effect is None:
        return ""
    place = PLACES[where]
    if effect.hopeless:
        return f"peaks against {place}: " + _few(effect).strip()
    own = a.against_plain(effect.against)
    text = f"the same edit of {place} moves accuracy by {signed(own)}; " if own else ""
    text += f"peaks less that control is {points(effect)}. "
    if not effect.claimed:
        text += "So no difference between the two can be claimed."
    elif effect.points.value < 0:
        text += f"So editing the peaks costs more than editing {place}."
    else:
        text += (
            f"So editing the peaks costs less than editing {place}: that speaks against peaks as "
            "what the answers depend on most."
        )
    return text + _per_edit(a, run, effect.against)


def _per_edit(a: Analysis, run: ArmRun, control: ArmRun) -> str:
    for each in a.per_edit:
        if each.peaks is run and each.control is control and each.difference.known:
            apart = each.difference
            verdict = "which includes zero" if not apart.excludes_zero else "which excludes zero"
            return (
                f" An edit comes to {number(each.at_peaks)} points at peaks and "
                f"{number(each.at_control)} there; the difference of the two is "
                f"{number(apart)}, {verdict} (not corrected)."
            )
    return ""


def _doses(a: Analysis) -> str:
    texts = []
    for curve in a.curves:
        slope = curve.trend.slope
        verdict = "" if curve.trend.claimed else ", no trend that can be claimed"
        text = (
            f"{number(slope, 'points')[:-1]}; corrected p {p_value(curve.trend.p_corrected)}) for "
            f"{PLACES[curve.where]}{verdict}"
        )
        if curve.against_peaks is not None and curve.against_peaks.claimed:
            steeper = curve.against_peaks.slope.value < 0
            text += f", where the peaks' line falls {'faster' if steeper else 'more slowly'}"
        texts.append(text)
    if not texts:
        return ""
    return (
        "from keeping all of a state to keeping none, a straight line through all doses moves by "
        f"{'; by '.join(texts)}."
    )


def _parts(a: Analysis) -> str:
    """Direction against magnitude."""
    effects = {
        mode: a.against_plain(a.runs.get("peaks", mode, KEPT[mode])) for mode in ("angle", "norm")
    }
    angle, norm = effects["angle"], effects["norm"]
    if angle is None or norm is None:
        return ""
    text = (
        f"with only the direction of the peaks made usual, accuracy {moved(angle)}; with only "
        f"their norm, it {moved(norm)}. "
    )
    apart = next((e for e in a.effects if e.family == "part"), None)
    if apart is not None:
        text += f"Direction less norm is {points(apart)}. "
    return text + _parts_verdict(angle, norm, apart)


def _parts_verdict(angle: Effect, norm: Effect, apart: Effect | None) -> str:
    if angle.hopeless and norm.hopeless:
        return "Too few responses changed to tell direction from magnitude."
    if not angle.claimed and not norm.claimed:
        return "Neither can be claimed to matter on its own."
    if apart is not None and apart.claimed:
        more, less = ("direction", "norm") if apart.points.value < 0 else ("norm", "direction")
        return f"What the answers depend on at peaks is the {more} more than the {less}."
    words = {(True, False): "the direction", (False, True): "the norm", (True, True): "each"}
    which = words[angle.claimed, norm.claimed]
    return f"On its own {which} matters; that one matters more than the other cannot be claimed."


def _unmatched(a: Analysis) -> list[str]:
    """Controls whose number of edits is far from the peaks'."""
    off = [c for c in a.counts if not c.is_matched and math.isfinite(c.ratio)]
    if not off:
        return []
    listed = ", ".join(f"{c.run.arm.name} {c.ratio:.2f}" for c in off)
    return [
        "not matched in their number of edits (theirs over the peak arm's): "
        f"{listed}. A peak that is edited at one layer is often none at the next, and where no "
        "peak is edited it is; also, responses that differ have other peaks. Compare these by edit."
    ]


def _few(effect: Effect) -> str:
    if not effect.hopeless:
        return ""
    return (
        " Too few responses changed to say anything: even if all of them had become wrong, the "
        "corrected p would not fall below 0.05."
    )


def moved(effect: Effect) -> str:
    """``falls by 3.1 points (…)``, or that no difference can be claimed."""
    if not effect.claimed:
        return f"shows no difference to plain that can be claimed: {points(effect)}"
    way = "falls" if effect.points.value < 0 else "rises"
    return f"{way}: {points(effect)}"


def points(effect: Effect) -> str:
    """``-3.1 points (-5.0 to -1.2; corrected p 0.003)``."""
    return (
        f"{number(effect.points, 'points')[:-1]}; corrected p {p_value(effect.points.p_corrected)})"
    )


def signed(effect: Effect) -> str:
    """The same without a p."""
    return number(effect.points, "points")


def number(estimate: Estimate, unit: str = "") -> str:
    """A value and its interval."""
    unit = f" {unit}" if unit else ""
    if not math.isfinite(estimate.value):
        return f"unknown{unit} (no interval)"
    digits = 1 if abs(estimate.value) >= 1 or unit else 2
    value, low, high = (
        f"{x + 0.0:+.{digits}f}" for x in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value}{unit} ({low} to {high})"


def p_value(p: float) -> str:
    """As a text has it."""
    if not math.isfinite(p):
        return "unknown"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
