"""Which responses are captured, each with its prompt: traces beside lm-eval's sample files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.states.layout import KEY
from l2_harness.analysis.states.questions import halves, question_id, question_order
from l2_harness.config.errors import ConfigError
from l2_harness.norms.trace_reader import one_run

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    *("run_id", "task", "request_type", "doc_id", "idx", "window", "repeat", "sample"),
    *("prompt_hash", "prompt_tokens", "tokens", "thinking_end", "layers", "norms", "norm_mean"),
    *("entropy", "events"),
)


@dataclass(frozen=True, eq=False)
class Wanted:
    """A response to be captured.

    Attributes:
        key: the values of ``layout.KEY``.
        question: see :func:`~l2_harness.analysis.states.questions.question_id`.
        prompt: its text.
        prompt_tokens: how many tokens the run gave the model of it.
        tokens: (T,) the response.
        thinking_end: row of the token that ended the thinking, or None.
        layers: those whose norms were recorded.
        norms: (T, layers) as recorded, or None where the run kept means only.
        norm_mean: (layers,) as recorded.
        entropy: (T,) as recorded, or None.
    """

    key: tuple[Any, ...]
    question: str
    prompt: str
    prompt_tokens: int
    tokens: np.ndarray
    thinking_end: int | None
    layers: tuple[int, ...]
    norms: np.ndarray | None
    norm_mean: np.ndarray
    entropy: np.ndarray | None

    @property
    def length(self) -> int:
        """Positions of the forward pass: prompt and response without its last token."""
        return self.prompt_tokens + len(self.tokens) - 1

    def __str__(self) -> str:
        key = dict(zip(KEY, self.key, strict=True))
        which = ", ".join(f"{name} {key[name]}" for name in ("doc_id", "repeat", "sample"))
        return f"task {key['task']}, {which}"


def wanted_responses(
    trace_dir: str | os.PathLike[str],
    samples: str | os.PathLike[str],
    *,
    run_id: str | None = None,
    tasks: Sequence[str] = (),
    responses: int | None = None,
    split: str = "all",
    seed: int = 0,
) -> list[Wanted]:
    """The generated responses of one recorded run, with their prompts.

    Args:
        trace_dir: where the run was recorded.
        samples: lm-eval's sample files of the same run, which have the prompts.
        run_id: which run, where there are several.
        tasks: only these.
        responses: at most so many of each task, of the first questions in the seed's order,
            which are the same in every task.
        split: ``all``, or ``half`` for the first half of the questions in the seed's order.
        seed: of that order.

    Raises:
        ConfigError: several runs; interventions; a prompt that the sample files don't have.
        FileNotFoundError: no traces, or no sample files.
        ValueError: a task that isn't there.
    """
    from l2_harness.norms import read_traces

    traces = read_traces(trace_dir, run_id=run_id, columns=_COLUMNS, task=list(tasks) or None)
    traces = traces[traces["request_type"] == "generate_until"]
    _check(traces, trace_dir)
    found = _with_prompts(traces, samples)
    if split == "half":
        kept = set(halves([w.question for w in found], seed)[0])
        found = [w for w in found if w.question in kept]
    return found if responses is None else _first(found, responses, seed)


def _check(traces: pd.DataFrame, trace_dir: str | os.PathLike[str]) -> None:
    if traces.empty:
        raise ConfigError(
            "the traces hold no generated response (generate_until): nothing to capture."
        )
    run_id = one_run(traces["run_id"], trace_dir)
    if (traces["events"].map(len) > 0).any():
        raise refused(run_id)


def refused(run_id: str) -> ConfigError:
    """Why a run with interventions isn't captured."""
    return ConfigError(
        f"run {run_id} was decoded with interventions (recursion, steering or suppression). "
        "Teacher forcing runs the plain model, whose states are not those of that run: capture a "
        "run without them."
    )


def _with_prompts(traces: pd.DataFrame, samples: str | os.PathLike[str]) -> list[Wanted]:
    from l2_harness.lm_eval_files.samples import read_samples

    tasks = sorted(set(traces["task"]))
    prompts: dict[tuple[str, str], tuple[str, str]] = {}
    for task, logged in read_samples(samples, tasks).items():
        for sample in logged:
            for digest, prompt in zip(sample.prompt_hashes, sample.prompts, strict=True):
                if digest is not None and prompt is not None:
                    prompts[task, digest] = prompt, question_id(sample.doc, digest)
    missing = [
        f"{row.task} {row.doc_id}"
        for row in traces.itertuples()
        if (row.task, row.prompt_hash) not in prompts
    ]
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(traces)} responses have a prompt that {samples} does not "
            f"hold (first: task {missing[0]}): the sample files are another run's. Pass those "
            "that lm_eval wrote beside these traces, or --task with the tasks that they hold."
        )
    return [_wanted(row, *prompts[row.task, row.prompt_hash]) for row in traces.itertuples()]


def _wanted(row: Any, prompt: str, question: str) -> Wanted:
    return Wanted(
        key=tuple(getattr(row, name) for name in KEY),
        question=question,
        prompt=prompt,
        prompt_tokens=int(row.prompt_tokens),
        tokens=np.asarray(row.tokens, dtype=np.int64),
        thinking_end=None
        if row.thinking_end is None or _missing(row.thinking_end)
        else int(row.thinking_end),
        layers=tuple(int(layer) for layer in row.layers),
        norms=row.norms,
        norm_mean=row.norm_mean,
        entropy=row.entropy,
    )


def _missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _first(found: list[Wanted], responses: int, seed: int) -> list[Wanted]:
    rank = {q: i for i, q in enumerate(question_order((w.question for w in found), seed))}
    by_task: dict[str, list[Wanted]] = {}
    for one in sorted(found, key=lambda w: rank[w.question]):
        by_task.setdefault(one.key[1], []).append(one)
    return [one for of_task in by_task.values() for one in of_task[:responses]]
