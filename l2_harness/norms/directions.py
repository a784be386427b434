"""Files of directions to steer along: a vector a layer, ``.npz``, named by the layer's number."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from l2_harness.config.errors import ConfigError
from l2_harness.paths import expanded

_MOST_BYTES = 2**28


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
        found = _vectors(expanded(path))
    # a zip archive's faults, and a header is read as Python and fails as Python does
    except (
        *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError),
        *(RuntimeError, KeyError, TypeError, SyntaxError, TokenError, MemoryError, OverflowError),
    ) as error:
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


def _vectors(path: Path) -> dict[int, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it unpacks to {size / 2**20:.0f} MiB, more than vectors take")
    with np.load(path, allow_pickle=False) as file:
        return {int(layer): np.asarray(file[layer], dtype=np.float64) for layer in file.files}
