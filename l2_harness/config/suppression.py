"""Editing peaks away, a causal test: the ``suppression_*`` arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import number
from l2_harness.config.options import choice, option
from l2_harness.config.technique import ROW_INDEX, LogKind, Technique, TechniqueConfig

#: The quantile that ``suppression_mode=norm`` moves norms to.
MEDIAN = 0.5

_FACTORS = {"scale": 0.1, "clamp": 0.25, "angle": 0.0, "norm": 0.0}


@dataclass(frozen=True)
class SuppressionConfig(TechniqueConfig):
    """``suppression`` and ``suppression_*``.

    The factor f means, by mode: ``scale`` h ← f·h; ``clamp`` norms above f·τ become f·τ;
    ``norm`` and ``angle`` change one of the two alone, and f is the share that is kept.
    ``norm``: ‖h‖ ← f‖h‖ + (1−f)m, m the median norm so far. ``angle``: the direction becomes
    that of f·ĥ + (1−f)·û, û the mean direction of the response's earlier rows that are no peaks.
    """

    suppression: str = option(
        "off",
        choice("off", "peaks", "random", "shuffled"),
        "edit the rows that are `peaks`; or, as controls, as many `random` rows of the same "
        "response and layer that are none, or the same rows at other monitored layers "
        "(`shuffled`), where they are none",
    )
    suppression_mode: str = option(
        "scale",
        choice("scale", "clamp", "angle", "norm"),
        "`scale` the state, `clamp` its norm, or move only its `angle` or only its `norm` to "
        "what is usual in the response",
    )
    suppression_factor: float | None = option(
        None,
        number(0, 1),
        "f (default 0.1 for `scale`, 0.25 for `clamp`, 0 for `angle` and `norm`); 1 changes "
        "nothing but in `clamp`, where it is τ itself",
    )

    def __post_init__(self) -> None:
        if self.suppression_factor is None:
            object.__setattr__(self, "suppression_factor", _FACTORS[self.suppression_mode])

    @property
    def factor(self) -> float:
        """f, the mode's default filled in."""
        assert self.suppression_factor is not None
        return self.suppression_factor

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The median, if norms are moved to it."""
        return (MEDIAN,) if self.enabled and self.suppression_mode == "norm" else ()

    def check_layers(self, layers: Sequence[int]) -> None:
        """Refuse what the monitored layers don't allow.

        Raises:
            ConfigError: ``shuffled`` with a single layer.
        """
        if self.suppression == "shuffled" and len(layers) < 2:
            raise ConfigError(
                "suppression=shuffled edits other monitored layers than the one that peaks and "
                f"needs two of them; monitored is {'+'.join(map(str, layers))} alone. Pass "
                "layers=all or a longer list, or suppression=random.",
                "suppression",
            )


SUPPRESSION = Technique(
    config=SuppressionConfig,
    layer="l2_harness.interventions.suppression:LayerSuppression",
    shared="l2_harness.interventions.layer_exchange:exchange_of",
    counters={
        "suppressed": "rows that were edited",
        "suppression_change": "sum of their ‖Δ‖/‖h‖",
        "suppression_places": "sum of their rows, from 0",
        "suppression_credits_left": "edits that a control is behind its peaks; of "
        "`suppression=shuffled` at the layer that they were handed to",
    },
    edits="suppressed",
    matches=("peaks", "suppression"),
    log=(
        LogKind(
            "suppression",
            ("norm", "threshold", "change"),
            {
                "suppressed": None,
                "suppression_change": "change",
                "suppression_places": ROW_INDEX,
            },
            value="norm",
            detail=("threshold", "change"),
            meaning="the state was edited",
            value_is="norm of the layer's own output",
        ),
    ),
    purposes={"suppression_moment": 5, "suppression_layer": 6, "suppression_place": 8},
)
