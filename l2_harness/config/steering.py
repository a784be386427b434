"""Mixing a stored state of high norm in: the ``steering_*`` arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import as_number, number, whole
from l2_harness.config.options import choice, option, text
from l2_harness.config.technique import ROW_INDEX, LogKind, Technique, TechniqueConfig


@dataclass(frozen=True)
class LowNorm:
    """Which norms are low: those below ``factor`` · τ, or below a quantile of the norms so far.

    Written ``0.8`` (a factor) or ``q0.4`` (the quantile 0.4). With the IQR threshold nearly
    every row lies below τ; a quantile asks for less than the median.
    """

    factor: float | None = 1.0
    quantile: float | None = None

    @classmethod
    def parse(cls, name: str, value: Any) -> LowNorm:
        """From a number above 0, or ``q`` and a number between 0 and 1.

        Raises:
            ConfigError: any other value.
        """
        if isinstance(value, LowNorm):
            return value
        word = str(value).strip()
        found = as_number(word[1:] if word.startswith("q") else value)
        if found is not None and word.startswith("q") and 0 < found < 1:
            return cls(None, found)
        if found is not None and not word.startswith("q") and found > 0:
            return cls(found)
        raise ConfigError(
            f"{name}={value!r} is not allowed. Pass a factor of the threshold above 0, such as "
            f"{name}=1.0, or a quantile of the norms so far, such as {name}=q0.4."
        )

    def __str__(self) -> str:
        return f"q{self.quantile:g}" if self.factor is None else f"{self.factor:g}"


@dataclass(frozen=True)
class SteeringConfig(TechniqueConfig):
    """``steering`` and ``steering_*``: ERSS ("The Tell-Tale Norm", arXiv 2606.06188).

    Defaults are those of the published code, whose trigger is ``low``. The paper's own is
    ``peak``, as reported by a reader; of how often it injects nothing is known, so that
    probability, cooldown, cosine and β stay the code's.

    Raises:
        ConfigError: ``steering_strength`` above 1 with ``steering_mode=blend``.
    """

    steering: str = option(
        "off",
        choice("off", "norm", "random"),
        "inject a stored state where the norm calls for it (`norm`), or as often at random moments",
    )
    steering_trigger: str = option(
        "low",
        choice("low", "peak", "jump"),
        "what calls for it: a run of `low` norms (the published code); a `peak`, a norm above τ "
        "(the paper); a `jump`, a state far from the one before (STARS, arXiv 2601.22484)",
    )
    steering_mode: str = option(
        "blend", choice("blend", "add"), "`blend`: h ← (1−β)h + βv; `add`: h ← h + βv"
    )
    steering_strength: float = option(0.5, number(0), "β")
    steering_patience: int = option(40, whole(1), "`low`: rows in a row before an injection")
    steering_low: LowNorm = option(
        LowNorm(),
        LowNorm.parse,
        "`low`: what a low norm is, below a factor of τ (`1.0`), or below a quantile of the norms "
        "so far (`q0.4`)",
    )
    steering_jump: float = option(
        2.0,
        number(0),
        "`jump`: k; ‖h_t − h_{t−1}‖ is above mean + k standard deviations of the response so far",
    )
    steering_probability: float = option(0.2, number(0, 1), "p, of an injection at a ready row")
    steering_cooldown: int = option(
        32, whole(0), "after an injection at row t the next is possible at t + this"
    )
    steering_bank: int = option(32, whole(1), "K, stored states a response and a layer")
    steering_min_cosine: float = option(
        0.5, number(-1, 1), "least cosine of a stored state with the row's"
    )
    steering_source: str = option(
        "bank",
        choice("bank", "shuffled", "gaussian", "sae"),
        "what is mixed in: the stored state; its coordinates in random order; a random vector "
        "of its norm; `sae`: a step along the decoder's reasoning features, as long as the stored "
        "state's would be",
    )
    steering_directions: str | None = option(
        None,
        text("a file that l2-harness sae directions wrote"),
        "of `steering_source=sae`: a direction for each monitored layer",
    )
    steering_warmup: int | None = option(
        None, whole(0), "warm-up rows of steering (default: `threshold_warmup`)"
    )

    def __post_init__(self) -> None:
        if self.steering_mode == "blend" and self.steering_strength > 1:
            raise ConfigError(
                f"steering_strength={self.steering_strength:g} is out of range for "
                "steering_mode=blend. Pass a number from 0 to 1, or steering_mode=add.",
                "steering_strength",
            )
        has_file = self.steering_directions is not None
        if self.enabled and (self.steering_source == "sae") != has_file:
            raise ConfigError(
                "steering_source=sae and steering_directions=FILE go together: pass both or "
                "neither. l2-harness sae directions writes the file.",
                "steering_directions",
            )

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The one that low norms lie below, if it is a quantile."""
        low = self.steering_low.quantile
        uses = self.enabled and self.steering_trigger == "low"
        return (low,) if uses and low is not None else ()


STEERING = Technique(
    config=SteeringConfig,
    layer="l2_harness.interventions.steering:LayerSteering",
    counters={
        "streaks": "calls for steering: runs of low norms that reached the patience, or peaks, or "
        "jumps",
        "injections": "states mixed in",
        "steering_change": "sum of the steered states' ‖Δ‖/‖h‖",
        "steering_places": "sum of their rows, from 0",
        "bank_size": "states in the bank at the end",
        "steering_credits_left": "rows that `steering=random` is behind the norm rule",
    },
    edits="injections",
    matches=("norm", "injection"),
    log=(
        LogKind("streak", counts={"streaks": None}),
        LogKind(
            "injection",
            ("cosine", "norm", "bank_norm", "change"),
            {"injections": None, "steering_change": "change", "steering_places": ROW_INDEX},
            value="cosine",
            detail=("norm", "bank_norm", "change"),
            meaning="a stored state of high norm was mixed in",
            value_is="cosine",
        ),
    ),
    purposes={
        "steering_moment": 2,
        "steering_random_moment": 3,
        "steering_vector": 4,
        "steering_place": 9,
    },
)
