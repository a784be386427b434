"""What a method took, beside what plain took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from l2_harness.lm_eval_files.outcomes import Cost

_SUMS = ("passes", "accepted", "edits", "edit_change", "edit_places")


@dataclass(frozen=True)
class RowCost:
    """None where it isn't known.

    Attributes:
        samples: responses to a question.
        tokens, seconds: of a run, the mean over seeds.
        tokens_per_second: of a run.
        speed: tokens a second over plain's.
        extra_share: layer passes beyond one a token and layer, as a share of those.
        extra_a_token: the same, a token; known where the number of layers is not.
        accepted_share: of recursion's extra passes, those whose result was taken.
        layers_without: at how many layers passes ran and none was taken, the most over seeds.
        compute: layer passes over plain's; prompts don't count.
        time: seconds over plain's.
        peak_bytes: the largest over seeds.
        edits: states changed in a run, the mean over seeds.
        edit_change: their mean ‖Δ‖/‖h‖.
        edit_row: their mean row in the response, from 0.
    """

    samples: int | None = None
    tokens: float | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    speed: float | None = None
    extra_share: float | None = None
    extra_a_token: float | None = None
    accepted_share: float | None = None
    layers_without: int | None = None
    compute: float | None = None
    time: float | None = None
    peak_bytes: int | None = None
    edits: float | None = None
    edit_change: float | None = None
    edit_row: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return any(getattr(self, one.name) is not None for one in fields(self))


def row_cost(costs: Sequence[Cost], plain: Sequence[Cost]) -> RowCost:
    """Of a method's seeds, beside plain's."""
    tokens, seconds = _mean(costs, "tokens"), _mean(costs, "seconds")
    speed, plain_speed = _speed(costs), _speed(plain)
    return RowCost(
        samples=_most(costs, "samples"),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=speed,
        speed=_ratio(speed, plain_speed),
        extra_share=_ratio(_mean(costs, "extra_layer_passes"), _passes(costs)),
        extra_a_token=_ratio(_mean(costs, "extra_layer_passes"), tokens),
        accepted_share=_ratio(_mean(costs, "accepted"), _mean(costs, "passes")),
        layers_without=_most(costs, "layers_without"),
        compute=_compute_ratio(costs, plain),
        time=_ratio(seconds, _mean(plain, "seconds")),
        peak_bytes=_most(costs, "peak_bytes"),
        edits=_mean(costs, "edits"),
        edit_change=_ratio(_mean(costs, "edit_change"), _mean(costs, "edits")),
        edit_row=_ratio(_mean(costs, "edit_places"), _mean(costs, "edits")),
    )


def summed(costs: Sequence[Cost]) -> Cost:
    """Of one seed over several tasks; what isn't known of all is not known of the sum."""
    layers = {cost.layers for cost in costs}
    return Cost(
        seconds=_all(costs, "seconds", sum),
        tokens=_all(costs, "tokens", sum),
        samples=_all(costs, "samples", max),
        extra_layer_passes=_all(costs, "extra_layer_passes", sum),
        layers=layers.pop() if len(layers) == 1 else None,
        peak_bytes=_all(costs, "peak_bytes", max),
        layers_without=_all(costs, "layers_without", max),
        **{name: _all(costs, name, sum) for name in _SUMS},
    )


def _all(costs: Sequence[Cost], name: str, of: Callable[[list[Any]], Any]) -> Any:
    values = [getattr(cost, name) for cost in costs]
    return None if None in values or not values else of(values)


def _mean(costs: Sequence[Cost], name: str) -> float | None:
    values = [getattr(cost, name) for cost in costs if getattr(cost, name) is not None]
    return sum(values) / len(values) if values else None


def _most(costs: Sequence[Cost], name: str) -> int | None:
    values = [getattr(cost, name) for cost in costs if getattr(cost, name) is not None]
    return max(values) if values else None


def _speed(costs: Sequence[Cost]) -> float | None:
    known = [c for c in costs if c.tokens is not None and c.seconds]
    return _ratio(
        sum(c.tokens or 0 for c in known) or None, sum(c.seconds or 0 for c in known) or None
    )


def _passes(costs: Sequence[Cost]) -> float | None:
    """One a token and layer."""
    known = [c.tokens * c.layers for c in costs if c.tokens is not None and c.layers is not None]
    return sum(known) / len(known) if known else None


def _compute_ratio(costs: Sequence[Cost], plain: Sequence[Cost]) -> float | None:
    """Of layer passes; where the number of layers isn't known, of tokens without extra passes."""
    by_passes = _ratio(_compute(costs), _compute(plain))
    if by_passes is not None:
        return by_passes
    if any(_mean(own, "extra_layer_passes") != 0 for own in (costs, plain)):
        return None
    return _ratio(_mean(costs, "tokens"), _mean(plain, "tokens"))


def _compute(costs: Sequence[Cost]) -> float | None:
    """Layer passes of a run, in all."""
    extra, passes = _mean(costs, "extra_layer_passes"), _passes(costs)
    return None if passes is None or extra is None else passes + extra


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None
