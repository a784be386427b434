"""Whether teacher forcing gave the states of the recorded run: their norms against the traces'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.analysis.states.run_model import RunModel
from l2_harness.analysis.states.wanted import Wanted
from l2_harness.config.errors import ConfigError

#: Relative. float32 sums in another order come to 1e-6; narrower weights need more.
TOLERANCE = 1e-4
_NARROW = {"bfloat16": 0.02, "float16": 0.005}


@dataclass(frozen=True)
class Deviation:
    """The largest deviation from the traces among some responses.

    Attributes:
        norm: of a row's norm, relative to the recorded one.
        layer: where that is.
        response: where that is, in words.
        entropy: of a row's entropy, in nats; 0 where none was recorded.
    """

    norm: float
    layer: int
    response: str
    entropy: float

    def worse(self, other: Deviation) -> Deviation:
        """The two together."""
        first = self if self.norm >= other.norm else other
        entropy = max(self.entropy, other.entropy)
        return Deviation(first.norm, first.layer, first.response, entropy)


NONE = Deviation(0.0, -1, "", 0.0)


def deviation(
    responses: Sequence[Wanted], layers: Sequence[int], norms: np.ndarray, entropy: np.ndarray
) -> Deviation:
    """The largest deviation.

    Args:
        responses: in order.
        layers: the captured ones, columns of ``norms``.
        norms: (rows of all responses, layers).
        entropy: (rows of all responses,).

    Raises:
        ConfigError: a response with none of these layers recorded.
    """
    worst = NONE
    ends = np.cumsum([len(w.tokens) for w in responses])[:-1]
    pairs = zip(responses, np.split(norms, ends), np.split(entropy, ends), strict=True)
    for wanted, own, own_entropy in pairs:
        shared = [layer for layer in layers if layer in wanted.layers]
        if not shared:
            raise ConfigError(
                f"{wanted}: the run recorded the layers {_listed(wanted.layers)}, none of those to "
                f"be captured ({_listed(layers)}), so nothing tells whether the states are the "
                "run's. Capture at least one recorded layer."
            )
        found = own[:, [list(layers).index(layer) for layer in shared]]
        columns = [wanted.layers.index(layer) for layer in shared]
        if wanted.norms is not None:
            recorded = wanted.norms[:, columns]
        else:
            found, recorded = found.mean(0, keepdims=True), wanted.norm_mean[None, columns]
        relative = _relative(found, recorded)
        layer = shared[int(relative.max(0).argmax())]
        gap = 0.0
        if wanted.entropy is not None:
            gap = float(np.abs(own_entropy - wanted.entropy).max())
        worst = worst.worse(Deviation(float(relative.max()), layer, str(wanted), gap))
    return worst


def check(worst: Deviation, tolerance: float, model: RunModel) -> None:
    """Raise ConfigError where a deviation is beyond the tolerance, and say what may be wrong."""
    if worst.norm <= tolerance:
        return
    raise ConfigError(
        f"the norms differ from the recorded ones by {worst.norm:.1e} (relative; allowed "
        f"{tolerance:.1e}), at layer {worst.layer} of {worst.response}: these are not the states "
        f"of that run. {_suspicion(worst, model)}"
    )


def _suspicion(worst: Deviation, model: RunModel) -> str:
    if model.fingerprint and model.recorded_fingerprint not in (None, model.fingerprint):
        return (
            f"The weights of {model.name!r} are others than the run's (fingerprint "
            f"{model.fingerprint}, recorded {model.recorded_fingerprint}): pass --pretrained with "
            "the model of that run."
        )
    if model.recorded_dtype and model.recorded_dtype not in ("auto", model.dtype):
        return (
            f"The model was loaded as {model.dtype}, and the run's is {model.recorded_dtype}: "
            "pass --model-dtype with that."
        )
    bound = _NARROW.get(model.dtype)
    if bound is not None and worst.norm <= 10 * bound:
        return (
            f"The model computes in {model.dtype}, where the same pass in another batch rounds "
            f"otherwise: pass --tolerance {bound} to accept that."
        )
    return (
        "Another model, dtype or tokenizer than the run's, or an argument that changes them: pass "
        "--pretrained and --model-dtype as in that run."
    )


def _relative(found: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    found, recorded = found.astype(np.float64), recorded.astype(np.float64)
    same = (found == recorded) | (~np.isfinite(found) & ~np.isfinite(recorded))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(found - recorded) / np.maximum(np.abs(recorded), 1e-12)
    return np.where(same, 0.0, np.nan_to_num(relative, nan=np.inf))


def _listed(layers: Sequence[int]) -> str:
    return "+".join(str(layer) for layer in layers)
