"""The number that draws the random selector's choice."""

from __future__ import annotations

from l2_harness.random_numbers import uniform_draws


def selection_draw(seed: int, prompt_hash: str, repeat: int) -> float:
    """A number in (0, 1) that belongs to one repeat of a prompt, whatever runs beside it.

    Args:
        seed: of the run.
        prompt_hash: of the prompt.
        repeat: which of lm-eval's repeats of the request.
    """
    return float(uniform_draws(seed, prompt_hash, repeat, 1, purpose="selection")[0])
