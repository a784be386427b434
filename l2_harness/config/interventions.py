"""All arguments of the interventions together, presets applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.matching import MatchingConfig
from l2_harness.config.options import choice, option, option_names, read_options
from l2_harness.config.technique import TechniqueConfig
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.config.thresholds import ThresholdConfig

#: What a preset sets where the user does not. ``default`` is every argument's default: the
#: constants of the paper's published code, with thresholds and states of one response alone.
#: ``paper`` is the paper as reported by a reader, where it differs from its code: steering at
#: peaks. ``reference`` are the constants of the code's demonstration as far as they are known: a
#: pooled scope, its warm-ups, and R, ε and ρ of its recursion.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"steering_trigger": "peak"},
    "reference": {
        "threshold_scope": "pooled",
        "recursion_warmup": 500,
        "steering_warmup": 200,
        "recursion_max_passes": 10,
        "recursion_min_growth": 0.01,
        "recursion_max_ratio": 7.0,
    },
}


@dataclass(frozen=True)
class PresetConfig:
    """``preset``."""

    preset: str = option(
        "default",
        choice(*PRESETS),
        "`default`: the constants of the paper's published code, a response at a time; `paper`: "
        "the paper as reported, which steers at peaks; `reference`: the code's demonstration; "
        "arguments that are given win over a preset",
    )


@dataclass(frozen=True)
class InterventionConfig:
    """What is done to the hidden states of a run, and when.

    Attributes:
        preset: by name.
        threshold: what a peak is.
        techniques: name → arguments, of every technique that is declared; each is an attribute
            of that name, too.
        matching: what random controls match.
    """

    preset: str = "default"
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    techniques: Mapping[str, TechniqueConfig] = field(default_factory=dict)
    matching: MatchingConfig = field(default_factory=MatchingConfig)

    def __post_init__(self) -> None:
        folder = self.matching.matched_to
        if folder is not None and not self.random_controls():
            raise ConfigError(
                f"matched_to={folder!r} is for random controls, and none is on. Pass "
                "recursion=random, steering=random or suppression=random, or leave it out.",
                "matched_to",
            )

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["techniques"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    @property
    def enabled(self) -> bool:
        """Whether any technique is on."""
        return bool(self.acting())

    def acting(self) -> dict[str, TechniqueConfig]:
        """The techniques that are on."""
        return {name: config for name, config in self.techniques.items() if config.enabled}

    def random_controls(self) -> list[str]:
        """The techniques whose random control is on."""
        return [name for name, config in self.acting().items() if getattr(config, name) == "random"]

    def check_layers(self, layers: Sequence[int]) -> None:
        """Refuse monitored layers that a technique cannot work on.

        Raises:
            ConfigError: naming the argument and the way out.
        """
        for config in self.techniques.values():
            config.check_layers(layers)

    def top_layers(self, n_layers: int) -> range | None:
        """The layers that a technique at the top runs again, of a model with ``n_layers``."""
        acting = self.acting().values()
        most = [t.layers_a_pass(n_layers) for t in acting if t.acts_at == "top"]
        return range(n_layers - max(most), n_layers) if most else None

    def rerun_layers(self, layers: Sequence[int], n_layers: int) -> list[int]:
        """The layers that are to be run again; ``layers`` are the monitored ones."""
        top = self.top_layers(n_layers)
        if top is not None:
            return list(top)
        return list(layers) if any(t.reruns for t in self.acting().values()) else []

    def layer_passes(self, counts: Mapping[str, int], n_layers: int | None) -> int | None:
        """Extra passes of single layers.

        Args:
            counts: counter → number, of some responses.
            n_layers: of the model; None where it is not known.

        Returns:
            None where it takes the model's layers to tell.
        """
        total = 0
        for name, config in self.acting().items():
            counter = TECHNIQUES[name].passes
            if counter is None:
                continue
            if n_layers is None and config.acts_at == "top":
                return None
            total += counts.get(counter, 0) * config.layers_a_pass(n_layers or 1)
        return total

    @property
    def warmups(self) -> dict[str, int]:
        """Technique → how many rows at the start it never edits."""
        common = self.threshold.threshold_warmup
        own = {n: getattr(c, f"{n}_warmup", None) for n, c in self.techniques.items()}
        return {name: common if rows is None else rows for name, rows in own.items()}

    @property
    def first_rows(self) -> dict[str, int]:
        """Technique → the first row of a generated response that it may edit."""
        if self.threshold.threshold_prompt or self.threshold.threshold_scope == "pooled":
            return dict.fromkeys(self.warmups, 1)
        return {name: max(1, rows) for name, rows in self.warmups.items()}

    def as_dict(self) -> dict[str, Any]:
        """Every argument with the value that is in force, as plain values."""
        groups: tuple[object, ...] = (self.threshold, *self.techniques.values())
        if self.random_controls():
            groups += (self.matching,)
        values = {name: getattr(g, name) for g in groups for name in option_names(type(g))}
        warmups = {f"{name}_warmup": rows for name, rows in self.warmups.items()}
        values |= {name: rows for name, rows in warmups.items() if name in values}
        return {"preset": self.preset} | {k: _plain(v) for k, v in values.items()}


def intervention_groups() -> tuple[type, ...]:
    """The option groups of the interventions, in the order in which they are documented."""
    own = (technique.config for technique in TECHNIQUES)
    return (PresetConfig, ThresholdConfig, *own, MatchingConfig)


def with_preset(args: Mapping[str, Any]) -> dict[str, Any]:
    """``args`` and, where they are silent, the values of their preset.

    A ``threshold_warmup`` that is given also wins over a preset's warm-ups of single techniques.

    Raises:
        ConfigError: an unknown preset.
    """
    preset = dict(PRESETS[read_options(PresetConfig, args).preset])
    if "threshold_warmup" in args:
        own = {f"{technique.name}_warmup" for technique in TECHNIQUES}
        preset = {k: v for k, v in preset.items() if k not in own}
    return preset | dict(args)


def spelled_out(args: Mapping[str, Any]) -> dict[str, Any]:
    """``args`` with what ``preset=paper`` means beside it, of the techniques that are on.

    It once meant the defaults, so that a run of then is not one of the same arguments now.
    """
    if args.get("preset") != "paper":
        return dict(args)
    on = [technique.name for technique in TECHNIQUES if args.get(technique.name, "off") != "off"]
    values = {k: v for k, v in PRESETS["paper"].items() if k.split("_")[0] in on}
    return values | dict(args)


def read_interventions(args: Mapping[str, Any]) -> InterventionConfig:
    """The configuration that model_args ask for; other arguments are ignored.

    Raises:
        ConfigError: a wrong value or a contradiction, naming the argument and the way out.
    """
    full = with_preset(args)
    return InterventionConfig(
        read_options(PresetConfig, full).preset,
        read_options(ThresholdConfig, full),
        {technique.name: read_options(technique.config, full) for technique in TECHNIQUES},
        read_options(MatchingConfig, full),
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
