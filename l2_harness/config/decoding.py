"""How responses are decoded and sampled: ``num_samples``, ``seed`` and the sampling settings."""

from __future__ import annotations

from dataclasses import dataclass

from l2_harness.config.numbers import number, whole
from l2_harness.config.options import choice, option

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
        whole(1),
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
