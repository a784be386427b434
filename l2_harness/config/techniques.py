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
    return {**COMMON_COUNTERS, **{name: meaning for each in own for name, meaning in each.items()}}


def log_kinds() -> dict[str, LogKind]:
    """Name → kind of all that techniques note, in the order of events at one row."""
    return {kind.name: kind for technique in TECHNIQUES for kind in technique.log}


def event_kinds() -> dict[str, LogKind]:
    """The kinds that become events of traces, in the order of events at one row."""
    return {name: kind for name, kind in log_kinds().items() if kind.value is not None}


def edit_counters() -> dict[str, str]:
    """Technique → the counter of its edits."""
    return {t.name: t.edits for t in TECHNIQUES if t.edits is not None}


def edit_sums(counts: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """States changed by all techniques, their summed ‖Δ‖/‖h‖, and their summed rows.

    Args:
        counts: counter → number; None comes of older ones, which don't tell.
    """
    own = [(edits, f"{name}_change", f"{name}_places") for name, edits in edit_counters().items()]
    kept = [names for names in own if all(name in counts for name in names)]
    if not kept:
        return None
    edits, change, places = (sum(counts[n] for n in names) for names in zip(*kept, strict=True))
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
