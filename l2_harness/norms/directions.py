"""Files of directions to steer along: a vector a layer, ``.npz``, named by the layer's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.config.errors import ConfigError


def write_directions(path: Path, directions: Mapping[int, np.ndarray]) -> None:
    """Write (d,) vectors, layer by layer; their lengths are of no account."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        vectors: dict[str, Any] = {str(layer): directions[layer] for layer in sorted(directions)}
        np.savez(file, **vectors)


def read_directions(path: str, layers: Sequence[int]) -> dict[int, np.ndarray]:
    """Layer → (d,) float64 of length 1, of the layers asked for.

    Raises:
        ConfigError: there is no such file, it lacks a layer, or a vector has no direction.
    """
    name = "steering_directions"
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as file:
            found = {int(layer): np.asarray(file[layer], dtype=np.float64) for layer in file.files}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{name}={path!r} cannot be read ({error}). Write such a file with l2-harness sae "
            "directions.",
            name,
        ) from error
    missing = [layer for layer in layers if layer not in found]
    if missing:
        raise ConfigError(
            f"{name}={path!r} has no direction for layer {missing[0]}; it has those of "
            f"{'+'.join(map(str, found))}. Pass layers= with these, or write another file.",
            name,
        )
    lengths = {layer: np.linalg.norm(found[layer]) for layer in layers}
    for layer, length in lengths.items():
        if not (found[layer].ndim == 1 and np.isfinite(length) and length > 0):
            raise ConfigError(
                f"{name}={path!r}: the vector of layer {layer} is no direction.", name
            )
    return {layer: found[layer] / lengths[layer] for layer in layers}
