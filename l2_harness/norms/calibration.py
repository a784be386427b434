"""The calibration file: percentiles of every layer's norms in a run, as JSON.

``{"version": 1, "source": {…}, "layers": {"20": {"count": …, "mean": …, "p1": …, … "p99": …}}}``
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import as_number
from l2_harness.config.thresholds import CALIBRATED_PERCENTS, ThresholdConfig
from l2_harness.json_text import parse_json
from l2_harness.whole_files import write_atomically

CALIBRATION_VERSION = 1
_PERCENTILES = tuple(f"p{percent}" for percent in CALIBRATED_PERCENTS)
_REMEDY = "Write it anew with l2-harness calibrate."


def write_calibration(
    path: str | Path,
    norms_by_layer: Mapping[int, np.ndarray],
    source: Mapping[str, Any] | None = None,
) -> None:
    """Write each layer's count, mean and percentiles, the file complete or not at all.

    Args:
        path: the file; an older one is replaced.
        norms_by_layer: layer index → (rows,) norms; those that are not finite do not count.
        source: where the norms come from (model, tasks), to be read by people.

    Raises:
        ValueError: no layer, or a layer without a finite norm.
    """
    if not norms_by_layer:
        raise ValueError("A calibration file needs the norms of at least one layer; got none.")
    layers = {str(layer): _describe(layer, norms_by_layer[layer]) for layer in norms_by_layer}
    content = {"version": CALIBRATION_VERSION, "source": dict(source or {}), "layers": layers}
    write_atomically(Path(path), (json.dumps(content, indent=1) + "\n").encode())


def read_calibration(path: str | Path) -> dict[int, dict[str, float]]:
    """Layer index → ``count``, ``mean``, ``p1`` … ``p99``.

    Raises:
        ConfigError: the file can't be read, or does not hold what :func:`write_calibration`
            puts there.
    """
    try:
        content = parse_json(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"calibration={str(path)!r} can't be read: {error}. {_REMEDY}") from error
    layers = content.get("layers") if isinstance(content, dict) else None
    if not isinstance(layers, dict) or content.get("version") != CALIBRATION_VERSION:
        raise ConfigError(
            f"calibration={str(path)!r} is no calibration file of version {CALIBRATION_VERSION}. "
            f"{_REMEDY}"
        )
    for layer, values in layers.items():
        _check(path, layer, values)
    return {int(layer): values for layer, values in layers.items()}


def calibrated_values(path: str | Path, quantile: float, layers: Sequence[int]) -> dict[int, float]:
    """The thresholds of the monitored layers: a quantile of each one's norms in the file.

    Raises:
        ConfigError: the file is malformed, or lacks a layer.
    """
    calibration = read_calibration(path)
    missing = [layer for layer in layers if layer not in calibration]
    if missing:
        raise ConfigError(
            f"calibration={str(path)!r} holds the layers {'+'.join(map(str, calibration))}, but "
            f"layer {missing[0]} is monitored too. Write it anew with layers= of this run, or "
            "pass layers= with those that it holds."
        )
    return {layer: calibration[layer][f"p{round(quantile * 100)}"] for layer in layers}


def threshold_values(config: ThresholdConfig, layers: Sequence[int]) -> dict[int, float]:
    """The monitored layers' thresholds where they are known from the start; {} for ``iqr``.

    Raises:
        ConfigError: a monitored layer without a value, or a malformed calibration file.
    """
    if config.threshold_values is not None:
        return config.threshold_values.of_layers(layers)
    if config.calibration is not None:
        return calibrated_values(config.calibration, config.threshold_quantile, layers)
    return {}


def _describe(layer: int, norms: np.ndarray) -> dict[str, float]:
    values = np.asarray(norms, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        raise ValueError(f"Layer {layer} has no finite norm to calibrate a threshold from.")
    percentiles = np.percentile(values, CALIBRATED_PERCENTS).tolist()
    return {
        "count": int(values.size),
        "mean": float(values.mean()),
        **dict(zip(_PERCENTILES, percentiles, strict=True)),
    }


def _check(path: str | Path, layer: str, values: Any) -> None:
    fault = None if layer.isdecimal() and len(layer) < 6 else "is no layer"
    names = ("count", "mean", *_PERCENTILES)
    if not isinstance(values, dict) or not all(_is_number(values.get(name)) for name in names):
        fault = f"lacks a number among {', '.join(names)}"
    elif values["count"] < 1 or np.any(np.diff([values[name] for name in _PERCENTILES]) < 0):
        fault = "counts no row, or has percentiles that do not ascend"
    if fault:
        raise ConfigError(f"calibration={str(path)!r}: entry {layer!r} {fault}. {_REMEDY}")


def _is_number(value: Any) -> bool:
    found = as_number(value)
    return not isinstance(value, str) and found is not None and found >= 0
