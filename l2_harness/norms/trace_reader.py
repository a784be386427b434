"""Trace directories, read into one table: a row a response.

What can't be read is left out with a :class:`TraceWarning` that names the file and the reason,
never silently, and never at the price of the rest.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.config.errors import ConfigError, nearest
from l2_harness.norms.trace_choices import overlay_choices, read_choices
from l2_harness.norms.trace_files import unfinished_parts
from l2_harness.norms.trace_parts import (
    COUNTED,
    Prompt,
    TracePart,
    count_parts,
    keep_first,
    read_parts,
    sorted_by_key,
    warn_of_unfinished,
)
from l2_harness.norms.trace_schema import TraceKey, TraceWarning, trace_schema
from l2_harness.paths import expanded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_RECORD = "Record some with `--model_args ...,record=tokens,trace_dir=DIR`."


def read_traces(
    trace_dir: str | os.PathLike[str],
    *,
    run_id: str | None = None,
    columns: Sequence[str] | None = None,
    task: str | Sequence[str] | None = None,
    prompts: Collection[Prompt] | None = None,
) -> pd.DataFrame:
    """The responses recorded in a directory, a row a response, sorted by :class:`TraceKey`.

    Lists are numpy arrays, read-only views of the table's memory: ``tokens`` (T,), ``layers``
    (L,), ``norms`` (T, L), each signal (T,), ``norm_mean`` (L,); None where nothing was recorded.
    ``events`` is a list of dicts, ``scores`` a dict, ``thinking_end`` a nullable integer. What
    each column holds is said where :class:`~l2_harness.norms.TraceRecord` declares it.

    Args:
        trace_dir: where the runs wrote; several runs and ranks may be in it.
        run_id: only this run.
        columns: only these, in this order; leave the long ones out to save time and memory.
            ``n_tokens``, how many ``tokens`` there are, takes little.
        task: only this task, or these.
        prompts: only responses to these: task, doc_id and idx of each. Others are left out part
            by part, so that long columns of many responses take no memory.

    Raises:
        FileNotFoundError: the directory, or any trace in it, is missing.
        ConfigError: an unknown column, a run or a task that isn't there, nothing readable.

    Warns:
        TraceWarning: a file left out, duplicates dropped, several runs in one table.
    """
    from l2_harness.norms.trace_frame import to_frame

    wanted = _checked_columns(columns)
    # The shape of norms is in two other columns; read them too, and drop them again.
    needed = [*wanted, "tokens", "layers"] if "norms" in wanted else wanted
    table = read_trace_table(
        trace_dir, run_id=run_id, columns=list(dict.fromkeys(needed)), task=task, prompts=prompts
    )
    return to_frame(table)[wanted]


def read_trace_table(
    trace_dir: str | os.PathLike[str],
    *,
    run_id: str | None = None,
    columns: Sequence[str] | None = None,
    task: str | Sequence[str] | None = None,
    prompts: Collection[Prompt] | None = None,
) -> pa.Table:
    """:func:`read_traces` as an Arrow table, for data that is large.

    ``norms`` stays as stored: one flat list a response, row after row, to be reshaped to
    ``(len(tokens), len(layers))``.
    """
    directory = expanded(trace_dir)
    wanted = _checked_columns(columns)
    _check_directory(directory)
    names = list(dict.fromkeys([*TraceKey._fields, "request_hash", *wanted]))
    parts = read_parts(directory, run_id, names, prompts)
    warn_of_unfinished(directory, run_id)
    if prompts is None or not parts:
        _check_found(directory, run_id, parts)
    table = overlay_choices(_without_duplicates(parts), read_choices(directory, run_id))
    _warn_of_several_runs(directory, run_id, table)
    if task is not None:
        table = _only_tasks(table, [task] if isinstance(task, str) else list(task))
    return sorted_by_key(table).select(wanted)


def one_run(run_ids: Iterable[str], trace_dir: str | os.PathLike[str]) -> str:
    """The run that all of some responses are of.

    Args:
        run_ids: of the responses, at least one.
        trace_dir: where they are, for the error.

    Raises:
        ConfigError: several; they are named.
    """
    runs = sorted(set(run_ids))
    if len(runs) > 1:
        raise ConfigError(
            f"{trace_dir} holds {len(runs)} runs: {', '.join(runs)}. Pass --run-id with one of "
            "them."
        )
    return runs[0]


def _checked_columns(columns: Sequence[str] | None) -> list[str]:
    stored = trace_schema().names
    if columns is None:
        return list(stored)
    known = [*stored, *COUNTED]
    if isinstance(columns, str):
        raise ConfigError(f"columns={columns!r} must be a list: columns=[{columns!r}].")
    for name in columns:
        if name not in known:
            match = nearest(name, known)
            hint = f"; did you mean {match!r}?" if match else "."
            raise ConfigError(f"column {name!r} is unknown{hint} Columns: {', '.join(known)}.")
    return list(columns)


def _check_directory(directory: Path) -> None:
    if not directory.exists():
        raise FileNotFoundError(f"{directory} doesn't exist: no traces. {_RECORD}")
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file; pass the folder of the traces.")


def _check_found(directory: Path, run_id: str | None, parts: list[TracePart]) -> None:
    if any(len(part.table) for part in parts):
        return
    unreadable = count_parts(directory, run_id) - len(parts)
    if unreadable:
        raise ConfigError(
            f"{directory}: none of the trace parts could be read ({unreadable} damaged; the "
            "warnings above say how). Delete them and run again."
        )
    if run_id is not None and count_parts(directory):
        runs = sorted({str(r) for p in read_parts(directory, None, ["run_id"]) for r in _runs(p)})
        raise ConfigError(f"{directory} has no run {run_id!r}. Its runs: {', '.join(runs)}.")
    unfinished = len(unfinished_parts(directory, run_id))
    also = f" (only {unfinished} unfinished)" if unfinished else ""
    raise FileNotFoundError(f"{directory} holds no trace parts{also}. {_RECORD}")


def _runs(part: TracePart) -> list[Any]:
    values: list[Any] = part.table["run_id"].unique().to_pylist()
    return values


def _without_duplicates(parts: list[TracePart]) -> pa.Table:
    table, dropped = keep_first(parts, TraceKey._fields)
    for run, number in dropped.items():
        warnings.warn(
            f"run {run!r}: {number} duplicate response{'s' * (number > 1)} dropped, the first "
            f"written kept{_changed_requests(parts, run)}",
            TraceWarning,
            stacklevel=4,
        )
    return table


def _changed_requests(parts: list[TracePart], run_id: Any) -> str:
    """Whether duplicates answer different requests: then they're no mere repetition."""
    hashes: dict[tuple[Any, ...], set[str]] = {}
    for part in parts:
        names = (*TraceKey._fields, "request_hash")
        for row in zip(*(part.table[name].to_pylist() for name in names), strict=True):
            if row[0] == run_id:
                hashes.setdefault(row[:-1], set()).add(row[-1])
    changed = sum(len(found) > 1 for found in hashes.values())
    if not changed:
        return ""
    return (
        f"; {changed} of them answered another request (another prompt or other settings): give "
        "each variant its own run_id or trace_dir"
    )


def _warn_of_several_runs(directory: Path, run_id: str | None, table: pa.Table) -> None:
    if run_id is not None:
        return
    runs = sorted(str(run) for run in table["run_id"].unique().to_pylist())
    if len(runs) > 1:
        warnings.warn(
            f"{directory} holds {len(runs)} runs, all of them returned: {', '.join(runs)}. "
            "Pass run_id to have one.",
            TraceWarning,
            stacklevel=4,
        )


def _only_tasks(table: pa.Table, tasks: list[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = sorted(str(task) for task in table["task"].unique().to_pylist())
    for task in tasks:
        if task not in found:
            match = nearest(task, found)
            hint = f"; did you mean {match!r}?" if match else "."
            raise ConfigError(f"no trace of task {task!r}{hint} Tasks: {', '.join(found)}.")
    return table.filter(pc.is_in(table["task"], value_set=pa.array(tasks, pa.string())))
