"""Norms of the residual stream after each monitored layer, by forward hooks.

Knows layers and forward passes; knows nothing of tokens, responses or requests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from l2_harness.norms.row_norms import row_norms

Reduction = Callable[[Tensor], Tensor]


class ResidualNorms:
    """‖h_l‖₂ in float32 of the layers' outputs in the latest forward pass.

    Args:
        layers: the monitored decoder layers, in order; others are never hooked.
        keep_states: whether :attr:`states` is wanted of passes watched at their last position.

    Attributes:
        states: (layers, batch, d), the latest pass's outputs at its last position, or None.
    """

    def __init__(self, layers: Sequence[nn.Module], keep_states: bool = False) -> None:
        self.states: Tensor | None = None
        self._keep_states = keep_states
        self._layers = list(layers)
        self._kept: list[Tensor | None] = [None] * len(self._layers)
        self._is_last = False

    @contextmanager
    def last_position(self) -> Iterator[None]:
        """Watch the last position of each pass: a decode step, or the end of a prompt.

        A hook only keeps the layer's output; the norms of all layers are computed together in
        :meth:`take`, so a step costs no kernel and no synchronisation a layer.
        """
        with self._hooks(keep=_unchanged, is_last=True):
            yield

    @contextmanager
    def all_positions(self) -> Iterator[None]:
        """Watch every position of each pass.

        Norms are computed as each layer ends, since keeping the states of all layers over
        a whole prompt would multiply the memory of the pass.
        """
        with self._hooks(keep=row_norms, is_last=False):
            yield

    def take(self) -> Tensor:
        """The latest pass's norms, (layers, batch) or (layers, batch, positions) float32.

        Raises:
            RuntimeError: a monitored layer did not run in that pass.
        """
        kept = [output for output in self._kept if output is not None]
        if len(kept) < len(self._layers):
            raise RuntimeError(
                f"{len(self._layers) - len(kept)} of {len(self._layers)} monitored layers did "
                "not run in a forward pass: the model skips layers, so their norms cannot be "
                "recorded. Pass record=off, or layers= with those that always run."
            )
        self._kept = [None] * len(self._layers)
        if not self._is_last:
            return _stack_by_device(kept, _unchanged)
        if kept[0].shape[1] > 1:  # a prompt
            kept = [states[:, -1:] for states in kept]
        if self._keep_states:
            self.states = torch.stack([states[:, 0].to(kept[-1].device) for states in kept])
        return _stack_by_device(kept, row_norms).squeeze(2)

    @contextmanager
    def _hooks(self, keep: Reduction, is_last: bool) -> Iterator[None]:
        self._is_last = is_last
        with ExitStack() as stack:
            for index, layer in enumerate(self._layers):
                handle = layer.register_forward_hook(self._hook(index, keep))
                stack.callback(handle.remove)
            stack.callback(self._clear)
            yield

    def _clear(self) -> None:
        """Let go of a pass that nobody took, as after an error."""
        self._kept = [None] * len(self._layers)
        self.states = None

    def _hook(self, index: int, keep: Reduction) -> Callable[[nn.Module, Any, Any], None]:
        def on_output(module: nn.Module, args: Any, output: Any) -> None:
            hidden = output if isinstance(output, Tensor) else output[0]
            self._kept[index] = keep(hidden)

        return on_output


def _unchanged(states: Tensor) -> Tensor:
    return states


def _stack_by_device(outputs: list[Tensor], reduce_stack: Reduction) -> Tensor:
    """``reduce_stack`` once for the layers of each device; the result on the last one's."""
    on_device: dict[torch.device, list[int]] = defaultdict(list)
    for index, output in enumerate(outputs):
        on_device[output.device].append(index)
    if len(on_device) == 1:
        return reduce_stack(torch.stack(outputs))
    home = outputs[-1].device
    rows: dict[int, Tensor] = {}
    for indices in on_device.values():
        reduced = reduce_stack(torch.stack([outputs[i] for i in indices])).to(home)
        rows.update(zip(indices, reduced, strict=True))
    return torch.stack([rows[i] for i in range(len(outputs))])
