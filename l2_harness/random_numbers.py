"""Random numbers that belong to one response, whatever runs beside it.

A number depends on the seed, the prompt, the sample's number, the purpose and its place in the
response, and on nothing else: not on batch neighbours, their order, or how often a row is
replayed. There are two kinds.

- :func:`uniform_draws`: a response's numbers from the first on, for its tokens and for choices.
  A Philox generator keyed by a digest.
- :func:`draw_bits` and what is made of them: the numbers of one (layer, row), in any order. A
  hash of a key and a counter: the output function of SplitMix64 (Steele, Lea and Flood, "Fast
  splittable pseudorandom number generators", OOPSLA 2014), applied once for the purpose and once
  for the counter. Scalar draws are made on the host, which then knows which rows can be meant at
  all; whole vectors are made where the states are.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

from l2_harness.config.techniques import purpose_number

_BITS = 48
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)


def uniform_draws(
    seed: int, prompt_hash: str, sample: int, count: int, purpose: str = "tokens"
) -> np.ndarray:
    """The first ``count`` draws of a response's stream, (count,) float64 in the open (0, 1).

    Longer calls begin with the draws of shorter ones. A draw has 48 bits, and its product with
    a positive number is below that number even after rounding.

    Args:
        seed: of the run.
        prompt_hash: any text that stands for the prompt.
        sample: which of the prompt's samples.
        count: how many.
        purpose: streams of different purposes are independent.
    """
    text = f"{purpose}\n{seed}\n{prompt_hash}\n{sample}"
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    # raw bits, since numpy promises them for good and not what it makes of them
    raw = np.random.Philox(key=key).random_raw(count)
    return ((raw >> np.uint64(64 - _BITS)).astype(np.float64) + 0.5) * 2.0**-_BITS


def stream_key(seed: int, prompt_hash: str, sample: int) -> int:
    """The 64-bit key of one response's random numbers.

    Args:
        seed: of the run.
        prompt_hash: :func:`l2_harness.norms.hash_prompt` of the prompt.
        sample: tells the responses to one prompt apart, repeats included.
    """
    digest = hashlib.sha256(f"{seed}|{prompt_hash}|{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def draw_bits(
    keys: np.ndarray, purpose: str, layer: int | np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """64 random bits for each row, uint64 of the arguments' common shape.

    Args:
        keys: uint64, of each row's response.
        purpose: one that a technique declares.
        layer: decoder layer index, or uint64 ones.
        rows: each row's index in its response, from 0.
    """
    offset = np.uint64((purpose_number(purpose) * _GOLDEN) % 2**64)
    first = (np.asarray(layer, dtype=np.uint64) << np.uint64(32)) + np.uint64(1)
    counter = rows.astype(np.uint64) + first
    return _mix(_mix(keys + offset) + counter * np.uint64(_GOLDEN))


def uniforms(bits: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) from the upper 53 of 64 bits, float64 of the same shape."""
    return (bits >> np.uint64(11)) * 2.0**-53


def normal_vectors(bits: Tensor, size: int) -> Tensor:
    """Standard normal vectors, (n, size) float64, by Box and Muller's method.

    Args:
        bits: (n,) int64, what :func:`draw_bits` gave, read as signed.
        size: coordinates a vector.
    """
    import torch

    hashed = _element_bits(bits, size)
    first = (((hashed >> 32) & 0xFFFFFFFF).double() + 0.5) / 2**32
    second = (hashed & 0xFFFFFFFF).double() / 2**32
    return (-2 * first.log()).sqrt() * (2 * torch.pi * second).cos()


def permutations(bits: Tensor, size: int) -> Tensor:
    """A random order of ``size`` coordinates for each of bits: (n,) int64; (n, size) int64."""
    return _element_bits(bits, size).argsort(dim=1)


def _element_bits(bits: Tensor, size: int) -> Tensor:
    import torch

    steps = torch.arange(1, size + 1, device=bits.device) * _signed(_GOLDEN)
    z = bits.unsqueeze(1) + steps
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
        # int64 shifts keep the sign: the mask makes it the shift of an unsigned number
        z = (z ^ ((z >> shift) & (2 ** (64 - shift) - 1))) * _signed(multiplier)
    return z


def _mix(z: np.ndarray) -> np.ndarray:
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(multiplier)
    return z


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
