"""Which decoder layers are monitored: ``late``, ``all``, or a list such as ``20-26+30``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from l2_harness.config.errors import ConfigError, unknown_value

_PRESETS = ("late", "all")
#: No model has layers of more figures, and a range of them would fill the memory.
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True)
class LayerSelection:
    """A choice of layers that is not tied to a model yet.

    ``+`` separates the items of a list, since lm-eval splits ``--model_args`` at commas.
    Layers count from 0.
    """

    preset: str | None = "late"
    indices: tuple[int, ...] = ()

    @classmethod
    def parse(cls, value: object) -> LayerSelection:
        """From ``late``, ``all``, ``20-26+30``, one number, or a JSON list of numbers.

        Raises:
            ConfigError: any other value.
        """
        if isinstance(value, LayerSelection):
            return value
        if isinstance(value, str) and value.strip() in _PRESETS:
            return cls(preset=value.strip())
        return cls(preset=None, indices=_indices(value))

    def resolve(self, n_layers: int) -> tuple[int, ...]:
        """The monitored layers of a model with ``n_layers`` decoder layers, ascending.

        ``late`` is the last quarter without the last layer, which feeds the final norm
        and whose magnitude behaves unlike its neighbours'; where it is the only one, it is that.

        Raises:
            ConfigError: a listed layer that the model does not have.
        """
        if self.preset == "all":
            return tuple(range(n_layers))
        if self.preset == "late":
            return _late(n_layers)
        outside = [i for i in self.indices if i >= n_layers]
        if outside:
            raise ConfigError(
                f"layers={self} asks for layer {outside[0]}, but the model has {n_layers} "
                f"decoder layers. Allowed: 0-{n_layers - 1}, late, all.",
                "layers",
            )
        return self.indices

    def __str__(self) -> str:
        return self.preset or "+".join(str(i) for i in self.indices)


def _late(n_layers: int) -> tuple[int, ...]:
    if n_layers == 1:
        return (0,)
    # Below 8 layers the last quarter is the last layer alone: its neighbour stands in.
    first = min(n_layers - max(1, n_layers // 4), n_layers - 2)
    return tuple(range(first, n_layers - 1))


def _indices(value: object) -> tuple[int, ...]:
    if isinstance(value, str | int):
        items: Sequence[object] = value.split("+") if isinstance(value, str) else [value]
    elif isinstance(value, Sequence):
        items = value
    else:
        items = ()
    found = [i for item in items for i in _range(item, value)]
    if not found:
        raise _malformed(value)
    return tuple(sorted(set(found)))


def _range(item: object, whole: object) -> range:
    match = _RANGE.fullmatch(str(item).strip())
    if match is None or isinstance(item, bool):
        raise _malformed(whole)
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first:
        raise ConfigError(
            f"layers={whole!r} has the range {first}-{last}, which runs backwards; "
            f"write {last}-{first}.",
            "layers",
        )
    return range(first, last + 1)


def _malformed(value: object) -> ConfigError:
    return unknown_value("layers", value, [*_PRESETS, "a list such as 20-26+30 (from 0)"])
