"""How large a feature's activation can be, from its weights and the norm of the state alone.

A linear encoder's pre-activation of feature i is w·(h − b_dec) + b_enc = w·h + b, with
b = b_enc − w·b_dec, so by Cauchy and Schwarz it is at most ‖w‖‖h‖ + b. What each architecture of
sae-lens 6.54 makes of that:

standard, transcoders   ReLU keeps what is positive. A transcoder subtracts no b_dec.
topk, batchtopk         a selection among the same pre-activations; where a decoder norm scales
                        them (``rescale_acts_by_decoder_norm``), it scales w and b.
abstopk                 keeps signs: −(‖w‖‖h‖ − b) ≤ act ≤ ‖w‖‖h‖ + b.
jumprelu                nothing at or below its threshold is let through.
gated                   w and b of the magnitude path, w·exp(r_mag) and b_mag; a gate on the same
                        w with b_gate has to be positive.
matching_pursuit        takes what is along a feature out of the residual, step after step. With
                        v_k the amounts and d the (tied) feature, ‖r_{k+1}‖² = ‖r_k‖² − v_k²(2 −
                        ‖d‖²). Where every ‖d‖² < 2, a feature taken n times adds up to at most
                        √(n / (2 − ‖d‖²)) ‖r_0‖ and at most n‖d‖‖r_0‖. n is 2 where the search stops
                        at a repeated feature, the number of steps otherwise. Where a ‖d‖² is
                        larger, the residual may grow by a factor max(‖d‖² − 1) a step.
temporal                encodes what attention over the context leaves of the state: a projection
                        is taken out of it, which makes no norm larger. λ‖w‖(‖h‖ + ‖b_dec‖).

``normalize_activations``: with ``constant_norm_rescale`` every input has the norm √d, with
``layer_norm`` at most √(d − 1), whatever ‖h‖ is; the constant then stands in for it.
``expected_average_only_in`` and ``covariance_whitening`` change nothing once they are folded into
the weights, and sae-lens applies neither before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2_harness.config.errors import ConfigError

_EPS = torch.finfo(torch.float32).eps


@dataclass(frozen=True, eq=False)
class EncoderBound:
    """act_i(h) ≤ slope_i·n(h) + offset_i, where that is open; float64 copies of the weights.

    Attributes:
        slope: (d_sae,), ‖w_i‖ with what scales it.
        offset: (d_sae,), b_i.
        gate_slope, gate_offset: (d_sae,): nothing passes where gate_slope·n + gate_offset is at
            most ``threshold``; None where there is no gate but ReLU.
        threshold: (d_sae,).
        signed: whether activations may be negative, down to −(slope·n − offset).
        rounding: (d_sae,), what float32 sums may be off by, for an input of norm 1.
        rounding_offset: (d_sae,), the same of what does not grow with the input.
        constant_norm: the largest norm of the encoder's input, where it does not follow ‖h‖.
    """

    slope: Tensor
    offset: Tensor
    rounding: Tensor
    rounding_offset: Tensor
    gate_slope: Tensor | None = None
    gate_offset: Tensor | None = None
    threshold: Tensor | None = None
    signed: bool = False
    constant_norm: float | None = None

    def input_norms(self, states: Tensor) -> Tensor:
        """(rows, 1) float64, n(h) of states (rows, d)."""
        if self.constant_norm is not None:
            return torch.full((len(states), 1), self.constant_norm, dtype=torch.float64)
        return torch.linalg.vector_norm(states.double(), dim=-1, keepdim=True)

    def limits(self, states: Tensor, acts: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, d_sae) each: the bound on |act|, at least 0, and what rounding may add.

        Args:
            states: (rows, d).
            acts: (rows, d_sae), whose signs say which side of a signed bound counts.
        """
        norms = self.input_norms(states)
        sign = torch.where(acts < 0, -1.0, 1.0).double() if self.signed else 1.0
        limit = (norms * self.slope + sign * self.offset).clamp_min(0)
        slack = norms * self.rounding + self.rounding_offset
        if self.gate_slope is not None and self.gate_offset is not None:
            gate = norms * self.gate_slope + self.gate_offset
            threshold = 0.0 if self.threshold is None else self.threshold
            limit = torch.where(gate + slack > threshold, limit, 0.0)
        return limit, slack


def encoder_bound(sae: Any) -> EncoderBound:
    """The bound of an SAE, of any architecture that sae-lens 6.54 trains or loads.

    Weights are copied: what happens to the SAE later does not change the bound.

    Raises:
        ConfigError: an architecture that is not known here.
    """
    name = sae.cfg.architecture()
    if name not in _BOUNDS:
        raise ConfigError(
            f"no bound is known for the architecture {name!r}. Known: {', '.join(_BOUNDS)}."
        )
    return _BOUNDS[name](sae)


def _linear(
    sae: Any,
    bias: Tensor,
    scale: Tensor | float = 1.0,
    *,
    gate: Tensor | None = None,
    threshold: Tensor | None = None,
    signed: bool = False,
) -> EncoderBound:
    """Of pre-activations scale·(w·(h − b_dec)) + bias, and of a gate with a bias of its own."""
    weights = _copy(sae.W_enc)
    norms = weights.norm(dim=0) * scale
    centre = _centre(sae)
    shift = (centre @ weights) * scale
    constant, factor = _input(sae)
    gate_norms = weights.norm(dim=0) if gate is not None else norms
    widest = torch.maximum(norms, gate_norms)
    rounding = _EPS * (sae.cfg.d_in + 4)
    closed = None
    if gate is not None:
        closed = gate - centre @ weights
    elif threshold is not None:
        closed = bias - shift
    return EncoderBound(
        slope=norms * factor,
        offset=bias - shift,
        rounding=rounding * widest * factor,
        rounding_offset=rounding * (widest * centre.norm() + bias.abs()),
        gate_slope=None if closed is None else gate_norms * factor,
        gate_offset=closed,
        threshold=threshold,
        signed=signed,
        constant_norm=constant,
    )


def _standard(sae: Any) -> EncoderBound:
    return _linear(sae, _copy(sae.b_enc))


def _topk(sae: Any, signed: bool = False) -> EncoderBound:
    scale = 1.0
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
        scale = _copy(sae.W_dec).norm(dim=-1)
    return _linear(sae, _copy(sae.b_enc) * scale, scale, signed=signed)


def _jumprelu(sae: Any) -> EncoderBound:
    return _linear(sae, _copy(sae.b_enc), threshold=_copy(sae.threshold))


def _gated(sae: Any) -> EncoderBound:
    scale = _copy(sae.r_mag).exp()
    return _linear(sae, _copy(sae.b_mag), scale, gate=_copy(sae.b_gate))


def _matching_pursuit(sae: Any) -> EncoderBound:
    squares = _copy(sae.W_dec).square().sum(-1)
    steps = sae.cfg.max_iterations or sae.cfg.d_in
    times = min(2, steps) if sae.cfg.stop_on_duplicate_support else steps
    growth = max(1.0, float(squares.max()) - 1)
    slope = times * squares.sqrt() * growth ** (steps - 1)
    if float(squares.max()) < 2:
        slope = torch.minimum(slope, (times / (2 - squares)).sqrt())
    return _of_norms(sae, slope, steps)


def _temporal(sae: Any) -> EncoderBound:
    weights = _copy(sae.W_dec).T if sae.cfg.tied_weights else _copy(sae.W_enc)
    return _of_norms(sae, sae.lam * weights.norm(dim=0), 1 + sae.cfg.n_attn_layers)


def _of_norms(sae: Any, slope: Tensor, steps: int) -> EncoderBound:
    """Of encoders that are not linear: slope·(‖h‖ + ‖b_dec‖)."""
    constant, factor = _input(sae)
    offset = slope * _centre(sae).norm()
    rounding = _EPS * (sae.cfg.d_in + 4) * steps
    return EncoderBound(
        slope * factor, offset, rounding * slope * factor, rounding * offset, constant_norm=constant
    )


def _centre(sae: Any) -> Tensor:
    """(d,) what is subtracted from the input."""
    if not sae.cfg.apply_b_dec_to_input:
        return torch.zeros(sae.cfg.d_in, dtype=torch.float64)
    return _copy(sae.b_dec)


def _input(sae: Any) -> tuple[float | None, float]:
    """The largest norm of a normalised input, and else the factor on ‖h‖."""
    kind, d_in = sae.cfg.normalize_activations, sae.cfg.d_in
    if kind == "constant_norm_rescale":
        return d_in**0.5, 1.0
    if kind == "layer_norm":  # sae-lens divides by the sample standard deviation
        return (d_in - 1) ** 0.5, 1.0
    if kind == "constant_scalar_rescale":
        return None, float(sae.cfg.activation_normalization_factor)
    return None, 1.0


def _copy(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float64, copy=True)


_BOUNDS: dict[str, Callable[[Any], EncoderBound]] = {
    "standard": _standard,
    "topk": _topk,
    "batchtopk": _topk,
    "matryoshka_batchtopk": _topk,
    "abstopk": lambda sae: _topk(sae, signed=True),
    "jumprelu": _jumprelu,
    "gated": _gated,
    "matching_pursuit": _matching_pursuit,
    "temporal": _temporal,
    "transcoder": _standard,
    "skip_transcoder": _standard,
    "jumprelu_transcoder": _jumprelu,
    "jumprelu_skip_transcoder": _jumprelu,
}
