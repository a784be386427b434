"""The recorded responses of one task, a row each, and the groups that share a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from l2_harness.config.layers import LayerSelection
from l2_harness.norms import ResumeKey, read_traces
from l2_harness.norms.trace_reader import one_run

#: With the run they tell a response from all others.
KEYS = tuple(name for name in ResumeKey._fields if name != "request_hash")
#: What is small of a response; rows are read part by part elsewhere.
LIGHT = (
    *("prompt_hash", "prompt_tokens", "n_tokens", "response", "answer", "finish_reason"),
    *("thinking_end", "layers", "scores", "chosen"),
)


def read_groups(trace_dir: Path, run_id: str | None, task: str) -> pd.DataFrame:
    """The generated responses of one task, a row each, with the column ``group``.

    The samples of a request are a group; where each request has one sample, its repeats are.

    Raises:
        ConfigError: several runs and none named.
        ValueError: no generated response.
    """
    traces = read_traces(trace_dir, run_id=run_id, columns=["run_id", *KEYS, *LIGHT], task=task)
    traces = traces[traces["request_type"] == "generate_until"].reset_index(drop=True)
    if traces.empty:
        raise ValueError(f"{trace_dir} holds no generated response of task {task!r}.")
    one_run(traces["run_id"], trace_dir)
    parts = ["doc_id", "idx"] if (traces["sample"] == 0).all() else ["doc_id", "idx", "repeat"]
    traces["group"] = list(traces[parts].itertuples(index=False, name=None))
    return traces


def generated_tasks(trace_dir: Path, run_id: str | None = None) -> list[str]:
    """The tasks that have generated responses in a folder, in alphabetical order."""
    keys = read_traces(trace_dir, run_id=run_id, columns=["task", "request_type"])
    return sorted(set(keys[keys["request_type"] == "generate_until"]["task"]))


def layer_columns(
    recorded: Sequence[int] | np.ndarray, layers: LayerSelection | None
) -> list[int] | None:
    """Where the wanted layers are among the recorded ones; None for all of them.

    Raises:
        ValueError: one was not recorded.
    """
    if layers is None:
        return None
    known = [int(layer) for layer in recorded]
    wanted = layers.resolve(max(known) + 1)
    absent = sorted(set(wanted) - set(known))
    if absent:
        raise ValueError(
            f"--layers asks for layer {absent[0]}, which was not recorded. Recorded: "
            f"{'+'.join(map(str, known))}. Leave --layers out to have them all."
        )
    return [known.index(layer) for layer in wanted]
