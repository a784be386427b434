"""Traces beside lm-eval's verdicts: the join with the files of ``--log_samples``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.samples import LoggedSample, read_samples
from l2_harness.norms.trace_schema import TraceWarning
from l2_harness.whole_files import storable

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("task", "request_type", "doc_id", "idx", "repeat", "prompt_hash")


def join_samples(
    traces: pd.DataFrame, samples: str | os.PathLike[str], *, filter: str | None = None
) -> pd.DataFrame:
    """Each response with its document's metrics, a row a response and filter.

    A document with several filters appears once for each: take one with ``filter="..."`` or
    through the column of that name before counting anything.

    A trace's ``repeat`` of its ``idx`` is lm-eval's ``resps[idx][repeat]``. lm-eval's metrics
    are per document, under one filter. ``metrics_judge`` is ``response`` where the document
    has this one response, so that the metric judges it, and ``document`` where several
    responses share the metric: the choices of a multiple-choice document; the windows of a
    rolling text; samples, of which lm-eval got the ``chosen`` one; ``repeats``, of which most
    filters let one pass (``take_first``: repeat 0) or merge them.

    Documents meet on ``doc_id``, and their prompts are compared. With lm-eval's ``--samples``
    its log numbers documents otherwise than its requests: they then meet on the prompt, and
    among equal prompts in their order, with a warning.

    Args:
        traces: of :func:`~l2_harness.norms.read_traces`, one run.
        samples: a ``samples_<task>_<date>.jsonl``, or a folder, searched with its subfolders;
            of several files of one task in one folder the latest counts.
        filter: only this filter, such as ``strict-match``.

    Returns:
        The columns of ``traces``, then ``filter``, ``filtered_resp`` (of this idx and repeat;
        strings, as lm-eval logs them), ``target``, ``logged_doc_id``, ``metrics_judge``, and
        ``metric_<name>`` for each metric of any task. Missing for a response that no sample
        belongs to.

    Raises:
        FileNotFoundError: no sample file, or none of the traces' tasks.
        ConfigError: missing columns; an unknown filter; sample files of one task in two
            folders; samples that are of other prompts altogether.

    Warns:
        TraceWarning: responses without a sample, documents without a trace, several runs.
    """
    _check_traces(traces)
    return joined(traces, read_samples(samples, sorted(set(traces["task"]))), filter)


def joined(
    traces: pd.DataFrame, logged: Mapping[str, list[LoggedSample]], filter: str | None
) -> pd.DataFrame:
    """:func:`join_samples` with samples that have been read, by task."""
    import pandas as pd

    verdicts: dict[int, list[dict[str, Any]]] = {}
    for task, own in logged.items():
        verdicts.update(_of_task(task, traces[traces["task"] == task], _chosen(own, filter)))
    positions, rows = [], []
    for position, label in enumerate(traces.index):
        for row in verdicts.get(label, [{}]):
            positions.append(position)
            rows.append(row)
    unmatched = len(traces) - len(verdicts)
    if unmatched:
        have = "has" if unmatched == 1 else "have"
        _warn(f"{unmatched} of {len(traces)} responses {have} no line in the sample files")
    result = traces.iloc[positions].reset_index(drop=True)
    return pd.concat([result, pd.DataFrame(rows, index=result.index)], axis=1)


def _check_traces(traces: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in traces]
    if missing:
        raise ConfigError(f"join_samples needs the columns {', '.join(missing)} of the traces too.")
    if not traces.index.is_unique:
        raise ConfigError("the traces' index isn't unique: call reset_index(drop=True) first.")
    runs = sorted(set(traces["run_id"])) if "run_id" in traces else []
    if len(runs) > 1:
        _warn(f"traces of {len(runs)} runs meet the sample files of one: {', '.join(runs)}")


def _chosen(samples: list[LoggedSample], filter: str | None) -> list[LoggedSample]:
    if filter is None:
        return samples
    names = sorted({sample.filter for sample in samples})
    if filter not in names:
        raise ConfigError(f"filter={filter!r} isn't in the samples. Filters: {', '.join(names)}.")
    return [sample for sample in samples if sample.filter == filter]


def _of_task(
    task: str, traces: pd.DataFrame, samples: list[LoggedSample]
) -> dict[int, list[dict[str, Any]]]:
    """The columns to add to each trace of one task, by index label."""
    if not samples:
        return {}
    # A rank that lm-eval pads answers some requests more often than the task asks for.
    repeats = min(sample.repeats for sample in samples)
    by_doc: dict[int, dict[str, LoggedSample]] = {}
    again: set[int] = set()
    for sample in samples:
        kept = by_doc.setdefault(sample.doc_id, {}).setdefault(sample.filter, sample)
        if kept is not sample and sample.filter:  # older files name none
            again.add(sample.doc_id)
    if again:
        told = "document is" if len(again) == 1 else "documents are"
        _warn(
            f"task {task!r}: {len(again)} {told} logged twice under one filter, of which the first "
            "line counts"
        )
    any_filter = {doc_id: next(iter(of_doc.values())) for doc_id, of_doc in by_doc.items()}
    logged_id = _match_documents(task, traces, any_filter)
    untraced = len(by_doc) - len(logged_id)
    if untraced > 0:
        _warn(f"task {task!r}: {untraced} logged documents without a trace (from --use_cache?)")
    responses = traces["doc_id"].value_counts()
    result: dict[int, list[dict[str, Any]]] = {}
    for label, doc_id, idx, repeat in traces[["doc_id", "idx", "repeat"]].itertuples():
        if doc_id in logged_id:
            alone = repeats == 1 and responses[doc_id] == 1
            result[label] = [
                _columns(sample, int(idx), int(repeat), repeats, alone)
                for sample in by_doc[logged_id[doc_id]].values()
            ]
    return result


def _columns(
    sample: LoggedSample, idx: int, repeat: int, repeats: int, alone: bool
) -> dict[str, Any]:
    """One sample line beside one response of its document."""
    columns = {
        "filter": sample.filter,
        "filtered_resp": sample.filtered_response(idx, repeat, repeats),
        "target": sample.target,
        "logged_doc_id": sample.doc_id,
        "metrics_judge": "response" if alone and sample.requests == 1 else "document",
        **{f"metric_{name}": value for name, value in sample.metrics.items()},
    }
    return {
        storable(name): storable(value) if isinstance(value, str) else value
        for name, value in columns.items()
    }


def _match_documents(
    task: str, traces: pd.DataFrame, logged: Mapping[int, LoggedSample]
) -> dict[int, int]:
    """The logged doc_id of each traced doc_id."""
    prompts: dict[int, tuple[int, str]] = {}
    for doc_id, idx, digest in traces[["doc_id", "idx", "prompt_hash"]].itertuples(index=False):
        prompts.setdefault(int(doc_id), (int(idx), str(digest)))
    same = {doc_id: doc_id for doc_id in prompts if doc_id in logged}
    # One side may lack documents (a limit, a cache); where each has some that the other lacks,
    # the numbers mean different things, even if those in common have equal prompts.
    nested = len(same) in (len(prompts), len(logged))
    if nested and all(logged[doc_id].asks(*prompts[doc_id]) for doc_id in same):
        return same
    matched = _match_prompts(prompts, logged)
    if not matched:
        raise ConfigError(
            f"task {task!r}: the sample file holds other prompts than the traces: it is another "
            "run's, or one with another prompt template. Pass the file of the same run."
        )
    _warn(f"task {task!r}: doc_ids differ between samples and traces; matched by prompt")
    return matched


def _match_prompts(
    prompts: Mapping[int, tuple[int, str]], logged: Mapping[int, LoggedSample]
) -> dict[int, int]:
    """Documents of equal prompts, in ascending order, where there are as many on both sides."""
    traced: dict[tuple[int, str], list[int]] = {}
    for doc_id in sorted(prompts):
        traced.setdefault(prompts[doc_id], []).append(doc_id)
    matched: dict[int, int] = {}
    for (idx, digest), doc_ids in traced.items():
        found = sorted(d for d, sample in logged.items() if sample.asks(idx, digest))
        if len(found) == len(doc_ids):
            matched.update(zip(doc_ids, found, strict=True))
    return matched


def _warn(message: str) -> None:
    warnings.warn(message, TraceWarning, stacklevel=3)
