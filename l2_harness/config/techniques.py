"""The techniques that there are, in the order in which they act on a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from l2_harness.config.recursion import RECURSION
from l2_harness.config.steering import STEERING
from l2_harness.config.suppression import SUPPRESSION
from l2_harness.config.technique import COMMON_COUNTERS, LogKind, Technique
from l2_harness.registry import Registry

#: A technique from outside is added to these before a model is made: ``TECHNIQUES.add(…)``.
TECHNIQUES: Registry[Technique] = Registry("technique", (RECURSION, SUPPRESSION, STEERING))


def counters() -> dict[str, str]:
    """Counter → what it counts, of a response and a layer, in the order of reports."""
    own = [technique.counters for technique in TECHNIQUES]
    found = {**COMMON_COUNTERS, **{n: meaning for each in own for n, meaning in each.items()}}
    for name in dose_counters():
        found[f"{name}_dose"] = f"sum of ‖Δ‖/‖h‖ over the states that {name} edits, sinks left out"
        found[f"{name}_dosed"] = "how many those are"
    return found


def log_kinds() -> dict[str, LogKind]:
    """Name → kind of all that techniques note, in the order of events at one row."""
    return {kind.name: kind for technique in TECHNIQUES for kind in technique.log}


def event_kinds() -> dict[str, LogKind]:
    """The kinds that become events of traces, in the order of events at one row."""
    return {name: kind for name, kind in log_kinds().items() if kind.value is not None}


def edit_counters() -> dict[str, str]:
    """Technique → the counter of its edits."""
    return {t.name: t.edits for t in TECHNIQUES if t.edits is not None}


def dose_counters() -> dict[str, tuple[str, str]]:
    """Technique → the counters of its edits and of their ‖Δ‖/‖h‖, where it has both."""
    found = {name: (edits, f"{name}_change") for name, edits in edit_counters().items()}
    return {name: both for name, both in found.items() if both[1] in TECHNIQUES[name].counters}


def dose_means(counts: Mapping[str, Any]) -> dict[str, float]:
    """Technique → the mean ‖Δ‖/‖h‖ of the states that it edited, sinks left out.

    Args:
        counts: counter → number; techniques without such an edit are left out.
    """
    return {
        name: counts[f"{name}_dose"] / counts[f"{name}_dosed"]
        for name in dose_counters()
        if counts.get(f"{name}_dosed")
    }


def edit_sums(counts: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """States changed by all techniques, their summed ‖Δ‖/‖h‖, and their summed rows.

    A sink's ‖Δ‖/‖h‖ is left out: the mean of the others stands for it.

    Args:
        counts: counter → number; None comes of older ones, which don't tell.
    """
    own = [(edits, f"{name}_change", f"{name}_places") for name, edits in edit_counters().items()]
    kept = [names for names in own if all(name in counts for name in names)]
    if not kept:
        return None
    edits, change, places = (sum(counts[n] for n in names) for names in zip(*kept, strict=True))
    for name, dose in dose_means(counts).items():
        counter, summed = dose_counters()[name]
        if counts[f"{name}_dosed"] != counts[counter]:
            change += dose * counts[counter] - counts[summed]
    return edits, change, places


class PassesTaken(NamedTuple):
    """How many extra passes ran, whose results were taken, and the layers that took none."""

    run: int
    accepted: int
    without: list[int]


def passes_taken(layers: Mapping[Any, Mapping[str, Any]]) -> PassesTaken | None:
    """What became of the extra passes of recursion; None where none ran.

    Args:
        layers: layer → counter → number.
    """
    ran = {int(layer): own for layer, own in layers.items() if own.get("passes_run")}
    if not ran:
        return None
    run, accepted = (
        sum(int(own[name]) for own in ran.values()) for name in ("passes_run", "passes_accepted")
    )
    return PassesTaken(run, accepted, sorted(i for i in ran if not ran[i]["passes_accepted"]))


def purpose_number(purpose: str) -> int:
    """The number of a purpose's random stream.

    Raises:
        KeyError: no technique declares the purpose.
    """
    for technique in TECHNIQUES:
        if purpose in technique.purposes:
            return technique.purposes[purpose]
    raise KeyError(f"no technique declares the random purpose {purpose!r}")
