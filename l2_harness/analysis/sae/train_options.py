"""How an SAE is trained: our options, and the configuration of sae-lens that they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from l2_harness.analysis.sae.lens import architectures, quiet
from l2_harness.config.errors import ConfigError, nearest, unknown_value

#: The coefficient of the sparsity loss, where an architecture has one: field → default. Inputs
#: are scaled to a mean norm of √d, so that it need not follow the size of the states.
_SPARSITY = {"l1_coefficient": 2.0, "l0_coefficient": 1.0}

#: Fields that the command sets by options of its own.
_OWN = frozenset({"d_in", "d_sae", "device", "dtype", "metadata", "reshape_activations"})


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How the SAEs of a run of ``l2-harness sae train`` are trained.

    Attributes:
        architecture: one of sae-lens' registry.
        expansion: features to a component of the state.
        k: active features, where the architecture fixes their number.
        sparsity: coefficient of the sparsity loss, where there is one; its default otherwise.
        steps: training steps.
        batch: rows of one step.
        lr: Adam's learning rate; it falls to nothing over the last fifth of the steps.
        seed: of initial weights, the rows' order and the split of the questions.
        share: of the questions, those that are trained on; the others measure the quality.
        device: such as ``cpu``.
        checkpoint_every: steps.
        extra: further fields of sae-lens' training configuration.
    """

    architecture: str = "batchtopk"
    expansion: int = 4
    k: int = 16
    sparsity: float | None = None
    steps: int = 1000
    batch: int = 1024
    lr: float = 1e-3
    seed: int = 0
    share: float = 0.5
    device: str = "cpu"
    checkpoint_every: int = 250
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(
                f"--share={self.share} must lie between 0 and 1: the other questions measure the "
                "quality."
            )
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"--lr={self.lr} is no learning rate: pass a number above 0.")
        if self.sparsity is not None and not 0 <= self.sparsity < math.inf:
            raise ConfigError(f"--sparsity={self.sparsity} is no coefficient: pass 0 or more.")

    def as_dict(self) -> dict[str, Any]:
        """What decides the result, as plain values."""
        return {k: v for k, v in asdict(self).items() if k not in ("device", "checkpoint_every")}


def training_config(options: TrainOptions, d_in: int) -> Any:
    """sae-lens' configuration of a training SAE for states of ``d_in`` components.

    Raises:
        ConfigError: an unknown architecture or field, or a value that sae-lens refuses.
    """
    known = architectures()
    if options.architecture not in known:
        raise unknown_value("--architecture", options.architecture, known)
    from sae_lens.registry import get_sae_training_class

    config_class = get_sae_training_class(options.architecture)[1]
    names = {f.name for f in fields(config_class)} - _OWN
    for name in options.extra:
        if name not in names:
            match = nearest(name, names)
            hint = f"; did you mean {match!r}?" if match else "."
            raise ConfigError(
                f"--set {name}: {options.architecture} has no such field{hint} Its fields: "
                f"{', '.join(sorted(names))}."
            )
    values = {**_defaults(options, d_in, names), **options.extra}
    d_sae = options.expansion * d_in
    try:
        with quiet():
            return config_class(d_in=d_in, d_sae=d_sae, device=options.device, **values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"sae-lens refuses these settings: {error}") from error


def _defaults(options: TrainOptions, d_in: int, names: set[str]) -> dict[str, Any]:
    d_sae = options.expansion * d_in
    # Folded into the weights at the end, so that the finished SAE takes the states as they are.
    values: dict[str, Any] = {"normalize_activations": "expected_average_only_in"}
    if "k" in names:
        values["k"] = min(options.k, d_sae)
    for name, default in _SPARSITY.items():
        if name in names:
            values[name] = default if options.sparsity is None else options.sparsity
            values[name.replace("coefficient", "warm_up_steps")] = options.steps // 4
    if "matryoshka_widths" in names:
        values["matryoshka_widths"] = [d_sae // 8, d_sae // 4, d_sae // 2, d_sae]
    if "max_iterations" in names:  # matching pursuit: one step a feature
        values |= {"max_iterations": options.k, "decoder_init_norm": 1.0}
    return values
