"""Random numbers that belong to one response, whatever runs beside it.

A stream is a counter-based generator whose key is a digest of what the response is: the seed, the
prompt and the sample's number. Its n-th draw is then the same in every batch, order and process.
"""

from __future__ import annotations

import hashlib

import numpy as np

_BITS = 48


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
