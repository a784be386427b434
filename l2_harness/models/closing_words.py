"""What a user is told of an evaluation when it ends: one line, and what seems to be amiss."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from l2_harness.config.interventions import InterventionConfig
from l2_harness.config.selection import SelectionConfig
from l2_harness.config.selectors import SELECTORS
from l2_harness.config.techniques import edit_counters, passes_taken
from l2_harness.findings.words import layers
from l2_harness.interventions import InterventionTotals
from l2_harness.models.broken_numbers import MENDED_BY
from l2_harness.models.tally import Tally

#: Share of the responses below which a technique is said to act on few.
_FEW = 0.1


def closing_line(tally: Tally, config: InterventionConfig) -> str | None:
    """How much was recorded and done; None where neither is on."""
    parts = []
    if tally.norms is not None:
        tasks = tally.norms.tasks.values()
        rows, responses = sum(t.rows for t in tasks), sum(t.responses for t in tasks)
        parts.append(f"recorded {_count(rows, 'row')} of {_count(responses, 'response')}")
    if config.enabled:
        parts += [*_acted(tally.interventions), *_passes(tally.interventions, config)]
    if tally.recalled and parts:
        parts.append(f"{_count(tally.recalled, 'response')} from an earlier run")
    return "; ".join(parts) or None


def _acted(totals: InterventionTotals) -> Iterator[str]:
    """Peaks, those that could be acted on, edits."""
    edits = sum(totals.total(name) for name in edit_counters().values())
    each = edits / totals.responses if totals.responses else 0.0
    states, peaks = totals.total("editable_rows"), totals.total("editable_peaks")
    share = f"{100 * peaks / states:.2g} % of " if states else ""
    yield (
        f"{_count(totals.total('peaks'), 'peak')} over {_count(len(totals.layers), 'layer')}, "
        f"{peaks or 'none'} of them after the warm-up ({share}{_count(states, 'state')} there), "
        f"{_count(edits, 'edit')} ({each:.3g} a response)"
    )


def _passes(totals: InterventionTotals, config: InterventionConfig) -> Iterator[str]:
    """What share of the extra passes was taken: a control may run many and take few."""
    taken = passes_taken(totals.layers)
    if taken is None:
        return
    nowhere = f", none at {layers(taken.without)}" if taken.accepted and taken.without else ""
    yield (
        f"recursion={config.recursion.recursion}: {taken.accepted or 'none'} of "
        f"{_count(taken.run, 'extra pass', 'extra passes')} accepted{nowhere}"
    )


def warnings(tally: Tally, config: InterventionConfig) -> Iterator[str]:
    """A sentence or two for each technique that acted on no or few responses."""
    totals = tally.interventions
    if not totals.responses:
        return
    for technique, own in config.acting().items():
        word, acted = getattr(own, technique), totals.acted.get(technique)
        if acted is None:
            continue
        if acted < _FEW * totals.responses or not acted:
            yield (
                f"{technique}={word} acted on {acted} of {_count(totals.responses, 'response')}. "
                f"{_advice(technique, tally, config)}"
            )


def broken_warnings(tally: Tally) -> Iterator[str]:
    """How many responses have no numbers; the first are named when they are met."""
    if tally.broken:
        yield (
            f"the logits of {_count(tally.broken, 'response')} were not finite: what "
            f"{'it counts' if tally.broken == 1 else 'they count'} for in the results says nothing "
            "of the model. " + MENDED_BY
        )


def vote_warnings(tally: Tally, config: SelectionConfig) -> Iterator[str]:
    """Where a vote rests on less than it seems to."""
    votes = tally.votes
    if not config.enabled or SELECTORS[config.selection].kind != "vote":
        return
    of = f"of {_count(votes.questions, 'question')}"
    if votes.read_as_whole:
        yield (
            f"selection={config.selection}: to {votes.read_as_whole} {of} every sample was cut off "
            "before an answer, so that they were read as if they had ended: pass a larger "
            "max_gen_toks."
        )
    if votes.unanswered:
        yield (
            f"selection={config.selection}: to {votes.unanswered} {of} no sample has an answer, so "
            "that the first one is taken."
        )


def _advice(technique: str, tally: Tally, config: InterventionConfig) -> str:
    """Which setting to change, by what held the technique back."""
    totals, warmup = tally.interventions, config.warmups[technique]
    typical = median(tally.lengths) if tally.lengths else None
    if config.threshold.threshold_scope == "request" and typical is not None and typical <= warmup:
        name = "threshold_warmup" if technique == "suppression" else f"{technique}_warmup"
        return (
            f"Their median length is {_count(int(typical), 'token')}, and the first "
            f"{_count(warmup, 'row')} of each are never edited: pass a smaller {name}."
        )
    if technique == "recursion" and config.recursion.recursion == "entropy":
        return "Pass a smaller recursion_entropy, or a smaller recursion_tolerance."
    if technique == "recursion" and totals.total("passes_run"):
        return (
            f"{_count(totals.total('passes_run'), 'pass', 'passes')} ran and "
            f"{totals.total('passes_accepted')} were accepted: pass a smaller recursion_min_growth."
        )
    if not totals.total("peaks"):
        return f"No norm was above the threshold: pass {_lower(config)}."
    if not totals.total("editable_peaks") and technique != "steering":
        return (
            f"{_all(totals.total('peaks'))} in the first rows of a response, which are never "
            "edited: pass a smaller threshold_warmup, or threshold_prompt=true."
        )
    trigger = config.steering.steering_trigger
    if technique == "steering" and not totals.total("streaks"):
        if trigger == "jump":
            return "No state was far enough from the one before: pass a smaller steering_jump."
        return "No run of low norms was long enough: pass a smaller steering_patience."
    if technique == "steering":
        calls = {"low": "run", "peak": "peak", "jump": "jump"}[trigger]
        of = " of low norms" if trigger == "low" else ""
        return (
            f"{_count(totals.total('streaks'), calls)}{of} led to "
            f"{_count(totals.total('injections'), 'edit')}: pass a smaller steering_min_cosine or "
            "a larger steering_probability."
        )
    return f"Pass {_lower(config)}, or a smaller threshold_warmup."


def _lower(config: InterventionConfig) -> str:
    return {
        "iqr": "a smaller threshold_k",
        "fixed": "smaller threshold_values",
        "calibrated": "a smaller threshold_quantile",
    }[config.threshold.threshold]


def _all(peaks: float) -> str:
    return "The only peak lies" if peaks == 1 else f"All {peaks:,} peaks lie"


def _count(number: float, noun: str, plural: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
