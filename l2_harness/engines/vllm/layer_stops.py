"""What is put into a model before it is compiled: norms written down, and stops between layers.

Hooks that are there when vLLM traces a model become part of its graph, later ones are ignored. A
norm is written by ordinary operations into a buffer whose address never changes, so that compiled
code and CUDA graphs take it along. A stop is one opaque operation, whose body is Python of ours:
what stands around it stays compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from l2_harness.engines.vllm.graph_plan import GraphPlan
from l2_harness.engines.vllm.residual_stream import stream, stream_parts
from l2_harness.norms.row_norms import row_norms

_LIBRARY = torch.library.Library("l2_harness", "FRAGMENT")

#: As ``splitting_ops`` of vLLM names the stop.
STOP_OP = "l2_harness::stop"


class Visitor(Protocol):
    """Who is told of the stops of a forward pass."""

    def visit(self, layer: int, hidden: Tensor, residual: Tensor | None) -> None:
        """A layer has run: hidden and residual (tokens, d), to be changed in place."""


_visitor: Visitor | None = None


@contextmanager
def visiting(visitor: Visitor) -> Iterator[None]:
    """Within this, stops are told to a visitor; at any other time they pass."""
    global _visitor
    _visitor = visitor
    try:
        yield
    finally:
        _visitor = None


def _stop(hidden: Tensor, residual: Tensor | None, layer: int) -> None:
    if _visitor is not None:
        _visitor.visit(layer, hidden, residual)


def _stop_traced(hidden: Tensor, residual: Tensor | None, layer: int) -> None:
    return None


def register_stop() -> None:
    """Make the operation known to torch, once a process."""
    if hasattr(torch.ops.l2_harness, "stop"):
        return
    schema = "(Tensor(a!) hidden, Tensor(b!)? residual, int layer) -> ()"
    _LIBRARY.define(f"stop{schema}")
    _LIBRARY.impl("stop", _stop, dispatch_key="CompositeExplicitAutograd")
    _LIBRARY._register_fake("stop", _stop_traced)


def install(layers: Sequence[nn.Module], plan: GraphPlan, most_tokens: int) -> Tensor:
    """Put hooks on decoder layers.

    Args:
        layers: of the whole model.
        plan: which of them.
        most_tokens: of one forward pass.

    Returns:
        (recorded layers, most_tokens) float32, where each pass leaves its norms.
    """
    device = next(layers[0].parameters()).device
    norms = torch.zeros(len(plan.norms), most_tokens, dtype=torch.float32, device=device)
    register_stop()
    # a norm is the layer's own: it is taken before the stop
    for place, layer in enumerate(plan.norms):
        layers[layer].register_forward_hook(_writing(norms, place))
    for layer in plan.visits:
        if layer >= 0:
            layers[layer].register_forward_hook(_stopping(layer))
        else:
            layers[0].register_forward_pre_hook(_stopping_before, with_kwargs=True)
    return norms


def _writing(norms: Tensor, place: int) -> Any:
    def on_output(module: nn.Module, args: Any, output: Any) -> None:
        state = stream(*stream_parts(output))
        norms[place, : state.shape[0]] = row_norms(state)

    return on_output


def _stopping(layer: int) -> Any:
    def on_output(module: nn.Module, args: Any, output: Any) -> None:
        hidden, residual = stream_parts(output)
        torch.ops.l2_harness.stop(hidden, residual, layer)

    return on_output


def _stopping_before(module: nn.Module, args: Any, kwargs: Any) -> None:
    """Before the first layer the state is the embedding alone."""
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    hidden = next(value for value in tensors if value.ndim == 2 and value.is_floating_point())
    torch.ops.l2_harness.stop(hidden, None, -1)
