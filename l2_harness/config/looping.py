"""Running a block of layers again for every token, prompt included: the ``loop_*`` arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import number, whole
from l2_harness.config.options import choice, option

#: Layers of the block where none is named: about the middle of the model, as in TFLT's windows.
WIDTH = 4
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True)
class LayerBlock:
    """Layers ``first`` to ``last``, both inclusive, from 0."""

    first: int
    last: int

    @classmethod
    def parse(cls, name: str, value: Any) -> LayerBlock:
        """From ``12-15`` or one number.

        Raises:
            ConfigError: any other value.
        """
        if isinstance(value, LayerBlock):
            return value
        found = _RANGE.fullmatch(str(value).strip())
        if found is not None:
            first, last = int(found[1]), int(found[2] or found[1])
            if first <= last:
                return cls(first, last)
        raise ConfigError(
            f"{name}={value!r} is no block of layers. Pass its first and last layer, from 0, such "
            f"as {name}=12-15."
        )

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True)
class LoopingConfig:
    """``loop`` and ``loop_*``: rivals of recursion that change the model, not single rows.

    With F the block and x its input, ``loop_passes`` times:

    - ``tflt``, training-free looped transformers (arXiv 2605.23872): x ← x + (α/K)(F(x) − x). As
      in the replication github.com/singularity119/Training-Free-Looped-Transformers-Reproduction
      (``src/tflt/strategies.py``, ``_damped_euler``): K = 2, α = 1, windows of about 4 layers in
      the middle of the stack.
    - ``rys``, Repeat Your Self (dnhkng.github.io/posts/rys): x ← F(x), the layers of the block
      once more in the list. Which block is good depends on the model; there is no usual one.

    A layer has keys and values of its own in every pass, so that a token is computed in the same
    way in a prompt and after it. TFLT's replication loops the prompt alone by default; this loops
    what is generated too.
    """

    loop: str = option(
        "off",
        choice("off", "tflt", "rys"),
        "run a block of layers again for every token, prompt included: in damped steps (`tflt`), "
        "or as it is (`rys`)",
    )
    loop_layers: LayerBlock | None = option(
        None, LayerBlock.parse, f"the block, such as `12-15` (default: {WIDTH} in the middle)"
    )
    loop_passes: int = option(2, whole(2), "K, how often the block runs")
    loop_alpha: float = option(
        1.0, number(0), "`tflt`: α, over all passes: each takes a step of α/K"
    )

    @property
    def enabled(self) -> bool:
        """Whether it is on."""
        return self.loop != "off"

    def as_dict(self) -> dict[str, Any]:
        """The arguments that are given, as a model's are written."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {n: str(v) if isinstance(v, LayerBlock) else v for n, v in given.items()}

    @property
    def step(self) -> float:
        """How much of F(x) − x a pass adds to x."""
        return self.loop_alpha / self.loop_passes if self.loop == "tflt" else 1.0

    def block(self, n_layers: int) -> range:
        """The layers that are run again, of a model with ``n_layers``.

        Raises:
            ConfigError: a layer that the model does not have.
        """
        if self.loop_layers is None:
            width = min(WIDTH, n_layers)
            first = (n_layers - width) // 2
            return range(first, first + width)
        if self.loop_layers.last >= n_layers:
            raise ConfigError(
                f"loop_layers={self.loop_layers} is no block of a model of {n_layers} decoder "
                f"layers. Allowed: layers from 0 to {n_layers - 1}.",
                "loop_layers",
            )
        return range(self.loop_layers.first, self.loop_layers.last + 1)

    def path(self, n_layers: int) -> list[int]:
        """The model's layers in the order in which they run."""
        block = self.block(n_layers) if self.enabled else range(0)
        again = [layer for _ in range(self.loop_passes - 1) for layer in block]
        end = block.stop if self.enabled else n_layers
        return [*range(end), *again, *range(end, n_layers)]
