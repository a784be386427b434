"""How responses are decoded and sampled: ``num_samples``, ``seed`` and the sampling settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import number, whole
from l2_harness.config.options import boolean, choice, option

#: Sampling settings that a task's generation_kwargs, model_args and the model's own
#: generation_config may all give.
SAMPLING = ("temperature", "top_p", "top_k", "min_p")


@dataclass(frozen=True)
class DecodingConfig:
    """``decoding``, ``num_samples``, ``seed``, and defaults for what a task leaves open."""

    decoding: str = option(
        "loop",
        choice("loop", "stock"),
        "`loop`: our decode loop where the model allows it; `stock`: transformers' generate",
    )
    num_samples: int = option(
        1,
        whole(1, 100_000),
        "responses sampled for each request; all go to the traces",
        affects="choice",
    )
    seed: int | None = option(
        None,
        whole(0),
        "of the responses' random streams; lm-eval's `--seed` for torch where not given",
    )
    temperature: float | None = option(
        None,
        number(0),
        "softmax temperature, where the task gives none (0: greedy decoding)",
    )
    top_p: float | None = option(None, number(0, 1), "nucleus sampling, where the task gives none")
    top_k: int | None = option(
        None, whole(0), "tokens that sampling keeps (0: all), where the task gives none"
    )
    min_p: float | None = option(
        None,
        number(0, 1),
        "least probability relative to the likeliest token's, where the task gives none",
    )

    @property
    def sampling(self) -> dict[str, float | int]:
        """The sampling settings that model_args give."""
        given = {name: getattr(self, name) for name in SAMPLING}
        return {name: value for name, value in given.items() if value is not None}


def asks_to_sample(do_sample: Any) -> bool:
    """What a request's ``do_sample`` says; a word may stand for the switch.

    Raises:
        ConfigError: a word that is neither true nor false (lm-eval's ``hf`` takes any for true).
    """
    return boolean("do_sample", do_sample) if isinstance(do_sample, str) else bool(do_sample)


def check_room(max_gen_toks: int, positions: int, where: str) -> None:
    """Whether a response of that many tokens leaves room for a prompt.

    Raises:
        ConfigError: it takes all of the model's positions.
    """
    if max_gen_toks >= positions:
        raise ConfigError(
            f"max_gen_toks={max_gen_toks} ({where}) leaves no room for a prompt: the model takes "
            f"{positions} positions. Pass a smaller max_gen_toks.",
            "max_gen_toks",
        )
