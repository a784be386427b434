"""The arms: which states are edited, how, and how much of them is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from l2_harness.config.errors import ConfigError

Where = Literal["peaks", "random", "shuffled"]
Mode = Literal["scale", "angle", "norm"]

#: What the peaks are compared with, and how a text names each.
CONTROLS: tuple[Where, ...] = ("random", "shuffled")
PLACES: dict[Where, str] = {
    "peaks": "the peaks",
    "random": "random states that are no peaks",
    "shuffled": "other layers at the peaks' rows",
}
#: Shares of a state that dose arms keep. 1 edits nothing, so it is the plain arm.
FACTORS = (0.75, 0.5, 0.25, 0.1, 0.0)
#: What the arms that are no dose keep of a state, of a direction and of a norm.
KEPT: dict[Mode, float] = {"scale": 0.1, "angle": 0.0, "norm": 0.0}
#: Of a state what an edit may change alone.
PARTS: tuple[Mode, Mode] = ("angle", "norm")
PLAIN = "plain"


@dataclass(frozen=True)
class Arm:
    """One way to run the model.

    Attributes:
        name: as tables and folders have it.
        where: which states are edited; None for none.
        mode: what of them, ``suppression_mode``.
        factor: the share that is kept, ``suppression_factor``.
    """

    name: str
    where: Where | None = None
    mode: Mode = "scale"
    factor: float = 1.0

    @classmethod
    def editing(cls, where: Where, mode: Mode, factor: float) -> Arm:
        """An arm by its usual name, such as ``peaks-scale-0.1``."""
        return cls(f"{where}-{mode}-{factor:g}", where, mode, factor)

    @property
    def args(self) -> dict[str, Any]:
        """Its model_args, beside those that all arms share."""
        if self.where is None:
            return {}
        return {
            "suppression": self.where,
            "suppression_mode": self.mode,
            "suppression_factor": self.factor,
        }

    @property
    def is_sham(self) -> bool:
        """Whether it goes through all motions and changes nothing."""
        return self.where is not None and self.factor == 1

    def twin(self, where: Where) -> Arm:
        """The same edit of other states."""
        return Arm.editing(where, self.mode, self.factor)


def standard_arms(factors: Sequence[float] = FACTORS) -> tuple[Arm, ...]:
    """The plain arm, a sham, the dose arms, and those that edit direction or norm alone.

    The sham finds the peaks and keeps all of them: what it answers is the plain arm's, and what
    it counts are the plain responses' peaks.

    Args:
        factors: shares of a state that ``scale`` arms keep. :data:`KEPT` is added, as it is what
            the other findings are about, and 1 is left out, as the plain arm is it.

    Raises:
        ConfigError: a factor that is no number from 0 to 1.
    """
    for factor in factors:
        if not 0 <= factor <= 1:
            raise ConfigError(
                f"factor {factor:g} is not allowed: a factor is the share of a state that is "
                "kept, from 0 to 1."
            )
    doses = sorted({*map(float, factors), KEPT["scale"]} - {1.0}, reverse=True)
    places: tuple[Where, ...] = ("peaks", *CONTROLS)
    scaled = [Arm.editing(where, "scale", factor) for factor in doses for where in places]
    one_part = [Arm.editing(where, mode, KEPT[mode]) for mode in PARTS for where in places]
    return (Arm(PLAIN), Arm.editing("peaks", "scale", 1.0), *scaled, *one_part)
