"""Running a layer again on its own output: the ``recursion_*`` arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from l2_harness.config.numbers import number, whole
from l2_harness.config.options import choice, option
from l2_harness.config.technique import ROW_INDEX, LogKind, Technique, TechniqueConfig

_PASSES = {"entropy": 4}


@dataclass(frozen=True)
class RecursionConfig(TechniqueConfig):
    """``recursion`` and ``recursion_*``.

    ``norm`` is ALRR ("The Tell-Tale Norm", arXiv 2606.06188); ``always`` and ``random`` are its
    controls; ``entropy`` is its rival EGLR (arXiv 2606.16620). The defaults are the paper's.
    Those of ``entropy`` are this project's: at most 4 passes, and 0.672 nats, above which lie
    a fifth of the tokens of a reasoning model (arXiv 2506.01939).
    """

    recursion: str = option(
        "off",
        choice("off", "norm", "entropy", "always", "random"),
        "run a layer again where its norm peaks (`norm`), at every row after the warm-up "
        "(`always`; a pass still has to grow the norm to be accepted, which most may not), at "
        "random rows at the rate of `norm`; `entropy`: the top layers, where the next token is "
        "uncertain",
    )
    recursion_max_passes: int | None = option(
        None, whole(1), "R, most extra passes a row (default 1; 4 for `recursion=entropy`)"
    )
    recursion_min_growth: float = option(
        0.2, number(0), "ε, least relative growth of the norm for a pass to be accepted"
    )
    recursion_max_ratio: float = option(
        1.5, number(1, above=True), "ρ, a row is left alone from the norm ρ·τ on"
    )
    recursion_alpha: float = option(
        1.0, number(0, 1), "α, the weight of a pass's result: h ← (1−α)h + αh'"
    )
    recursion_warmup: int | None = option(
        None, whole(0), "warm-up rows of recursion (default: `threshold_warmup`)"
    )
    recursion_entropy: float = option(
        0.672, number(0), "nats of next-token entropy above which `recursion=entropy` acts"
    )
    recursion_top_layers: int | None = option(
        None, whole(1), "L, how many top layers `recursion=entropy` runs again (default: a quarter)"
    )
    recursion_tolerance: float = option(
        0.01,
        number(0),
        "`recursion=entropy` stops at a divergence KL(new ‖ old) of the next-token distributions "
        "below this many nats",
    )

    def __post_init__(self) -> None:
        if self.recursion_max_passes is None:
            object.__setattr__(self, "recursion_max_passes", _PASSES.get(self.recursion, 1))

    @property
    def passes(self) -> int:
        """R, or K_max of ``entropy``."""
        assert self.recursion_max_passes is not None
        return self.recursion_max_passes

    @property
    def acts_at(self) -> Literal["layers", "top"]:
        """``entropy`` looks at the next-token distribution, which the last layer gives."""
        return "top" if self.recursion == "entropy" else "layers"

    @property
    def reruns(self) -> bool:
        """With every gate."""
        return self.enabled

    def layers_a_pass(self, n_layers: int) -> int:
        """One; of ``entropy``, the top L of a model's ``n_layers`` layers."""
        if self.acts_at == "layers":
            return 1
        return min(n_layers, self.recursion_top_layers or max(1, n_layers // 4))


_COUNTS = {
    "gates_opened": None,
    "passes_run": "passes",
    "passes_accepted": "accepted",
    "non_finite": "non_finite",
}
_EDIT_COUNTS = {
    "recursion_changed": None,
    "recursion_change": "change",
    "recursion_places": ROW_INDEX,
}

#: The counter of how much larger states became, by which it is told how many left the range of the
#: norms that the layer has of its own.
GROWTH = "recursion_growth"
BEYOND = "recursion_beyond"
RECURSION = Technique(
    config=RecursionConfig,
    layer="l2_harness.interventions.recursion:LayerRecursion",
    top="l2_harness.interventions.entropy_recursion:EntropyRecursion",
    counters={
        "gates_opened": "rows at which a layer ran again",
        "passes_run": "extra passes",
        "passes_accepted": "extra passes whose result was taken",
        "recursion_changed": "states changed by a pass",
        "recursion_change": "sum of their ‖Δ‖/‖h‖",
        "recursion_places": "sum of their rows, from 0",
        GROWTH: "sum of their ‖h'‖/‖h‖, of `norm`, `always` and `random`",
        BEYOND: "those above the largest norm that the layer itself put out in the response",
        "recursion_credits_left": "rows that `recursion=random` is behind the norm gate",
    },
    edits="recursion_changed",
    matches=("norm", "recursion"),
    log=(
        LogKind(
            "recursion",
            ("passes", "accepted", "non_finite", "norm", "threshold", "change", "growth"),
            _COUNTS,
            edited="accepted",
            edit_counts=_EDIT_COUNTS | {GROWTH: "growth"},
            value="accepted",
            detail=("passes", "norm", "threshold", "change"),
            meaning="the layer ran again on its own output",
            value_is="passes accepted",
        ),
        LogKind(
            "entropy",
            ("passes", "accepted", "non_finite", "entropy", "change"),
            _COUNTS,
            edited="accepted",
            edit_counts=_EDIT_COUNTS,
            value="accepted",
            detail=("passes", "entropy", "change"),
            meaning="the top layers ran again, the next token being uncertain",
            value_is="passes accepted",
        ),
    ),
    purposes={"recursion_moment": 1, "recursion_place": 7},
    passes="passes_run",
)
