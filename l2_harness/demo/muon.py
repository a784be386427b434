"""Muon in float32, its work shared out over data-parallel processes.

Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): the update
of a matrix is its Nesterov momentum with all singular values moved towards 1 by five Newton-Schulz
steps. torch.optim.Muon does the same but casts to bfloat16, which is some ten times slower than
float32 on a CPU without bfloat16 arithmetic, and takes one matrix at a time; here matrices of one
shape go through in one batched product.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from l2_harness.demo.processes import rank, sum_over_processes, world_size

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic a x + b x^3 + c x^5 (same source)."""


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Nearly orthogonal matrices with the singular vectors of `matrices`.

    matrices: (n, rows, columns) float32. Singular values of the result lie in about 0.7..1.2.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.transpose(-2, -1)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(iterations):
        gram = x @ x.transpose(-2, -1)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.transpose(-2, -1)


class Muon:
    """Muon over a list of 2-D parameters whose gradients every process already shares."""

    def __init__(self, parameters: list[Tensor], momentum: float = 0.95) -> None:
        self.parameters = parameters
        self.momentum = momentum
        self.buffers = [torch.zeros_like(p) for p in parameters]
        self._shapes: dict[torch.Size, list[int]] = defaultdict(list)
        for index, parameter in enumerate(parameters):
            self._shapes[parameter.shape].append(index)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One update; each process orthogonalises its share, and the shares are summed."""
        updates = [torch.zeros_like(p) for p in self.parameters]
        directions = [self._direction(index) for index in range(len(self.parameters))]
        for shape, indices in self._shapes.items():
            mine = indices[rank() :: world_size()]
            if not mine:
                continue
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            orthogonal = orthogonalise(torch.stack([directions[i] for i in mine]))
            for i, update in zip(mine, orthogonal, strict=True):
                updates[i] = update * scale
        sum_over_processes(updates)
        for parameter, update in zip(self.parameters, updates, strict=True):
            parameter.add_(update, alpha=-lr)

    def _direction(self, index: int) -> Tensor:
        """Nesterov's look-ahead: the gradient mixed with the momentum that has just seen it."""
        grad = self.parameters[index].grad
        if grad is None:
            raise RuntimeError("Muon.step was called before backward: a parameter has no gradient.")
        self.buffers[index].lerp_(grad, 1 - self.momentum)
        return grad.lerp(self.buffers[index], self.momentum)
