"""The norms of a run of lm-eval as the calibration file of ``threshold=calibrated``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.config import ConfigError
from l2_harness.models.capabilities import DEFAULT_CLASS
from l2_harness.norms import read_traces
from l2_harness.norms.calibration import write_calibration

_OURS = ("record", "trace_dir")


def calibrate(
    out: Path, model_args: Mapping[str, Any], tasks: Sequence[str], **evaluation: Any
) -> dict[int, int]:
    """Run tasks with ``l2hf``, and write the percentiles of every monitored layer's norms.

    Args:
        out: the calibration file.
        model_args: of ``l2hf``; ``layers`` says which layers the file is to hold.
        tasks: names of lm-eval tasks.
        **evaluation: further arguments of ``lm_eval.simple_evaluate``.

    Returns:
        Layer → how many rows it is calibrated on.

    Raises:
        ConfigError: model_args that the command sets itself.
    """
    import lm_eval

    for name in _OURS:
        if name in model_args:
            raise ConfigError(
                f"{name}={model_args[name]!r}: l2-harness calibrate records on its own. Leave "
                f"{name} out, or pass --traces with a folder that a run has recorded into."
            )
    with tempfile.TemporaryDirectory() as folder:
        args = {**model_args, "record": "tokens", "trace_dir": folder}
        lm_eval.simple_evaluate(
            model=DEFAULT_CLASS, model_args=args, tasks=list(tasks), bootstrap_iters=0, **evaluation
        )
        source = {"model_args": dict(model_args), "tasks": list(tasks)}
        return calibrate_from_traces(out, Path(folder), source)


def calibrate_from_traces(
    out: Path, trace_dir: Path, source: Mapping[str, Any] | None = None
) -> dict[int, int]:
    """The same from traces that are there, recorded with ``record=tokens``.

    Raises:
        ConfigError: traces without norms, or of runs with other layers.
    """
    traces = read_traces(trace_dir, columns=["layers", "norms", "tokens"])
    if any(norms is None for norms in traces.norms):
        raise ConfigError(
            f"{trace_dir} holds responses without norms: record them with record=tokens."
        )
    monitored = {tuple(layers.tolist()) for layers in traces.layers}
    if len(monitored) > 1:
        raise ConfigError(
            f"{trace_dir} holds runs of different layers ({sorted(monitored)}): calibrate from "
            "one of them, in a folder of its own."
        )
    (layers,) = monitored
    norms = np.concatenate(list(traces.norms))
    by_layer = {layer: norms[:, column] for column, layer in enumerate(layers)}
    write_calibration(out, by_layer, source or {"traces": trace_dir.name})
    return {layer: int(np.isfinite(values).sum()) for layer, values in by_layer.items()}
