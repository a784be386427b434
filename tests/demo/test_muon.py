"""Muon against slow versions written from its definition."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from l2_harness.demo.muon import NEWTON_SCHULZ, Muon, orthogonalise

SHAPES = [(5, 5), (3, 8), (8, 3), (1, 4)]


def by_svd(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The same polynomial, applied to the singular values one matrix at a time."""
    a, b, c = NEWTON_SCHULZ
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(iterations):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vh


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalise_moves_the_singular_values_alone(shape: tuple[int, int]) -> None:
    matrices = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([by_svd(matrix) for matrix in matrices])
    assert torch.allclose(orthogonalise(matrices).double(), expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    kept = torch.linalg.svdvals(matrices / matrices.flatten(1).norm(dim=1)[:, None, None]) > 0.01
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert values[kept].min() > 0.6
    assert values.max() < 1.25


def test_scale_of_the_input_does_not_matter() -> None:
    matrices = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(orthogonalise(matrices), orthogonalise(1000 * matrices), atol=1e-4)


def test_zero_stays_zero() -> None:
    assert not orthogonalise(torch.zeros(1, 3, 4)).any()


def test_two_steps_follow_the_definition() -> None:
    generator = torch.Generator().manual_seed(3)
    parameters = [torch.randn(*shape, generator=generator) for shape in ((6, 3), (3, 6), (6, 3))]
    expected = copy.deepcopy(parameters)
    momenta = [torch.zeros_like(p) for p in parameters]
    muon = Muon(parameters, momentum=0.9)
    for lr in (0.1, 0.05):
        for i, parameter in enumerate(parameters):
            grad = torch.randn(parameter.shape, generator=generator)
            parameter.grad = grad.clone()
            momenta[i] = 0.9 * momenta[i] + 0.1 * grad
            look_ahead = 0.1 * grad + 0.9 * momenta[i]
            rows, columns = grad.shape
            scale = max(1.0, rows / columns) ** 0.5
            expected[i] = expected[i] - lr * scale * by_svd(look_ahead).float()
        muon.step(lr)
    for parameter, value in zip(parameters, expected, strict=True):
        assert torch.allclose(parameter, value, atol=1e-4)


def test_a_matrix_is_fitted() -> None:
    target = torch.randn(8, 4, generator=torch.Generator().manual_seed(4))
    matrix = torch.zeros(8, 4, requires_grad=True)
    muon = Muon([matrix])
    for step in range(300):
        matrix.grad = None
        (matrix - target).square().sum().backward()
        muon.step(0.05 * (1 - step / 300))
    assert (matrix - target).abs().max() < 0.02


def test_a_missing_gradient_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="no gradient"):
        Muon([torch.zeros(2, 2)]).step(0.1)
