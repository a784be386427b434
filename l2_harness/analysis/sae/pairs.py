"""Questions that were answered both ways, and what features do in either answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states.questions import halves
from l2_harness.analysis.states.store import StateStore, chunks
from l2_harness.config.errors import ConfigError, unknown_value


@dataclass(frozen=True)
class Pairs:
    """The two tasks and the halves of their common questions.

    Attributes:
        thinking, direct: tasks.
        seed: of the halves.
        chosen_on: questions that features are chosen on.
        held: the others, which everything else is measured on.
    """

    thinking: str
    direct: str
    seed: int
    chosen_on: tuple[str, ...]
    held: tuple[str, ...]


def pair_tasks(store: StateStore, thinking: str | None, direct: str | None, seed: int) -> Pairs:
    """The questions that both tasks have, halved.

    Args:
        store: the states.
        thinking: task.
        direct: task; where one is the other's name with ``_direct``, neither need be named.
        seed: of the halves.

    Raises:
        ConfigError: tasks that aren't there, or with fewer than four questions in common.
    """
    tasks = sorted(set(store.index["task"]))
    if thinking is None and direct is None:
        named = [(t, f"{t}_direct") for t in tasks if f"{t}_direct" in tasks]
        if len(named) != 1:
            raise ConfigError(
                f"which of the tasks {', '.join(tasks)} are the thinking and the direct one? Pass "
                "--thinking and --direct."
            )
        thinking, direct = named[0]
    for option, task in (("--thinking", thinking), ("--direct", direct)):
        if task not in tasks:
            raise unknown_value(option, task, tasks)
    assert thinking is not None
    assert direct is not None
    index = store.index
    common = set(index.loc[index["task"] == thinking, "question"]) & set(
        index.loc[index["task"] == direct, "question"]
    )
    if len(common) < 4:
        raise ConfigError(
            f"{thinking} and {direct} have {len(common)} questions in common (documents with the "
            "same content): capture both tasks of the same set, with the same --seed."
        )
    first, second = halves(common, seed)
    return Pairs(thinking, direct, seed, tuple(first), tuple(second))


@dataclass(frozen=True, eq=False)
class QuestionMeans:
    """Some questions' mean activations.

    Attributes:
        questions: (q,) their identities.
        thinking, direct: (q, features) mean over each response's rows, then over its responses.
        fired: (features,) rows of thinking responses in which a feature is active.
        rows: how many such rows there are.
    """

    questions: tuple[str, ...]
    thinking: Tensor
    direct: Tensor
    fired: Tensor
    rows: int


def question_means(
    store: StateStore,
    loaded: LoadedSae,
    pairs: Pairs,
    questions: Sequence[str],
    features: Sequence[int] | None = None,
) -> Iterator[QuestionMeans]:
    """Mean activations of every question, some questions at a time, in bounded memory.

    Args:
        store: the states.
        loaded: an SAE.
        pairs: the tasks.
        questions: which ones, in order.
        features: only these; all of them otherwise.
    """
    by_task = {t: _by_question(store, t) for t in (pairs.thinking, pairs.direct)}
    lengths = store.index["rows"].to_numpy()
    sizes = np.array(
        [sum(int(lengths[r].sum()) for r in (by_task[t][q] for t in by_task)) for q in questions]
    )
    for start, end in chunks(sizes, loaded.rows_at_once):
        own = questions[start:end]
        means, fired, rows = {}, torch.zeros(0), 0
        for task, known in by_task.items():
            acts = _activations(store, loaded, [known[q] for q in own], features)
            means[task] = acts.means
            if task == pairs.thinking:
                fired, rows = acts.fired, acts.rows
        yield QuestionMeans(tuple(own), means[pairs.thinking], means[pairs.direct], fired, rows)


@dataclass(frozen=True, eq=False)
class _Activations:
    means: Tensor
    fired: Tensor
    rows: int


def _activations(
    store: StateStore,
    loaded: LoadedSae,
    responses: list[np.ndarray],
    features: Sequence[int] | None,
) -> _Activations:
    """Means by question, from the means of its responses, and how often features fire."""
    flat = np.concatenate(responses)
    lengths = torch.from_numpy(store.index["rows"].to_numpy()[flat].astype(np.int64))
    states = store.take(loaded.layer, store.rows_of(flat))
    acts = loaded.encode(states, features)
    of_response = torch.segment_reduce(acts, "mean", lengths=lengths, axis=0)
    counts = torch.tensor([len(r) for r in responses])
    means = torch.segment_reduce(of_response, "mean", lengths=counts, axis=0)
    return _Activations(means, (acts != 0).sum(0), len(acts))


def _by_question(store: StateStore, task: str) -> dict[str, np.ndarray]:
    index = store.index[store.index["task"] == task]
    return {str(q): np.asarray(group.index) for q, group in index.groupby("question")}
