"""All arguments of the interventions together, presets applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.matching import MatchingConfig
from l2_harness.config.options import choice, option, option_names, read_options
from l2_harness.config.recursion import RecursionConfig
from l2_harness.config.steering import SteeringConfig
from l2_harness.config.suppression import SuppressionConfig
from l2_harness.config.thresholds import ThresholdConfig

#: What a preset sets where the user does not. ``paper`` is every argument's default.
#: ``reference`` are the constants of the paper's published code as far as they are known: a
#: pooled scope, its warm-ups, and R, ε and ρ of its recursion. All others stay the paper's.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "reference": {
        "threshold_scope": "pooled",
        "recursion_warmup": 500,
        "steering_warmup": 200,
        "recursion_max_passes": 10,
        "recursion_min_growth": 0.01,
        "recursion_max_ratio": 7.0,
    },
}
_OWN_WARMUPS = ("recursion_warmup", "steering_warmup")


@dataclass(frozen=True)
class PresetConfig:
    """``preset``."""

    preset: str = option(
        "paper",
        choice(*PRESETS),
        "`paper`: the defaults; `reference`: the constants of the paper's published code; "
        "arguments that are given win over a preset",
    )


#: The option groups of this page, in the order in which they are documented.
INTERVENTION_GROUPS: tuple[type, ...] = (
    PresetConfig,
    ThresholdConfig,
    RecursionConfig,
    SteeringConfig,
    SuppressionConfig,
    MatchingConfig,
)


@dataclass(frozen=True)
class InterventionConfig:
    """What is done to the hidden states of a run, and when."""

    preset: str = "paper"
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    recursion: RecursionConfig = field(default_factory=RecursionConfig)
    steering: SteeringConfig = field(default_factory=SteeringConfig)
    suppression: SuppressionConfig = field(default_factory=SuppressionConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)

    def __post_init__(self) -> None:
        if self.matching.matched_to is not None and "random" not in self.words:
            raise ConfigError(
                f"matched_to={self.matching.matched_to!r} is for random controls, and none is on. "
                "Pass recursion=random, steering=random or suppression=random, or leave it out."
            )

    @property
    def words(self) -> tuple[str, str, str]:
        """Which kind of each technique is on."""
        return (
            self.recursion.recursion,
            self.steering.steering,
            self.suppression.suppression,
        )

    @property
    def enabled(self) -> bool:
        """Whether any technique is on."""
        return any(word != "off" for word in self.words)

    @property
    def warmups(self) -> dict[str, int]:
        """Technique → how many rows at the start it never edits."""
        common = self.threshold.threshold_warmup
        recursion, steering = self.recursion.recursion_warmup, self.steering.steering_warmup
        return {
            "recursion": common if recursion is None else recursion,
            "steering": common if steering is None else steering,
            "suppression": common,
        }

    @property
    def first_rows(self) -> dict[str, int]:
        """Technique → the first row of a generated response that it may edit."""
        if self.threshold.threshold_prompt or self.threshold.threshold_scope == "pooled":
            return dict.fromkeys(self.warmups, 1)
        return {name: max(1, rows) for name, rows in self.warmups.items()}

    def as_dict(self) -> dict[str, Any]:
        """Every argument with the value that is in force, as plain values."""
        groups = (
            self.threshold,
            self.recursion,
            self.steering,
            self.suppression,
            self.matching,
        )
        values = {name: getattr(g, name) for g in groups for name in asdict(g)}
        warmups = {f"{name}_warmup": rows for name, rows in self.warmups.items()}
        own = {name: warmups[name] for name in _OWN_WARMUPS}
        return {"preset": self.preset} | {k: _plain(v) for k, v in (values | own).items()}


def intervention_names() -> list[str]:
    """The names of all arguments of the interventions."""
    return [name for group in INTERVENTION_GROUPS for name in option_names(group)]


def with_preset(args: Mapping[str, Any]) -> dict[str, Any]:
    """``args`` and, where they are silent, the values of their preset.

    A ``threshold_warmup`` that is given also wins over a preset's warm-ups of single techniques.

    Raises:
        ConfigError: an unknown preset.
    """
    preset = dict(PRESETS[read_options(PresetConfig, args).preset])
    if "threshold_warmup" in args:
        preset = {k: v for k, v in preset.items() if k not in _OWN_WARMUPS}
    return preset | dict(args)


def read_interventions(args: Mapping[str, Any]) -> InterventionConfig:
    """The configuration that model_args ask for; other arguments are ignored.

    Raises:
        ConfigError: a wrong value or a contradiction, naming the argument and the way out.
    """
    full = with_preset(args)
    return InterventionConfig(
        read_options(PresetConfig, full).preset,
        read_options(ThresholdConfig, full),
        read_options(RecursionConfig, full),
        read_options(SteeringConfig, full),
        read_options(SuppressionConfig, full),
        read_options(MatchingConfig, full),
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
