"""A suite run through lm-eval in this process, a cell at a time; it may be cut off anywhere."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2_harness.compare.cell_files import CellRecord, now, prepare_folder, read_record, write_record
from l2_harness.compare.plan import Plan, PlannedCell, make_plan
from l2_harness.compare.processes import only_one_run, this_rank, wait_for_all, world_size
from l2_harness.compare.progress import Progress, Silent
from l2_harness.compare.registered import register as register_decision
from l2_harness.compare.shards import WHOLE, Shard
from l2_harness.compare.stopwatch import Stopwatch
from l2_harness.compare.strict import strict_arithmetic
from l2_harness.compare.suite import Suite
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.lm_eval_files.outcomes import Cost, Outcome
from l2_harness.models.capabilities import capabilities
from l2_harness.paths import DEMO_MODEL


def run_suite(
    suite: Suite,
    out: Path,
    *,
    only: Sequence[str] = (),
    shard: Shard = WHOLE,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run what is not finished of a suite, and say what all of its cells came to.

    A cell that fails is recorded with its error, and the others go on. A run that is cut off, in
    whatever way, goes on where it was when this is called again: with the cell that was running,
    from its last batch where its model records.

    Args:
        suite: what to compare.
        out: the folder that it all goes into; ``cells/<model>/<task>/<method>/seed<k>`` each.
        only: globs of the cells to run; outcomes are of all cells that have one.
        shard: the share of the cells that this run has; other shards may be at work in the
            same folder.
        progress: told of each step; None for nothing to be shown.

    Returns:
        An outcome a cell of the shard, those that failed included, in the suite's order. Of cells
        that were not asked for and have no result, none. Under accelerate, the first process gets
        them and the others get none.

    Raises:
        ConfigError: something wrong in the suite, or it is to decide something else than what
            was fixed in this folder; nothing has run by then.
    """
    from l2_harness.compare.suite_checks import check_suite

    catalogue = check_suite(suite, only)
    progress = progress or Silent()
    with ExitStack() as stack:
        stack.enter_context(only_one_run(out, shard))
        plan = make_plan(suite, out, catalogue, only, shard)
        if this_rank() == 0:
            whole = plan if shard == WHOLE else make_plan(suite, out, catalogue, only)
            register_decision(suite, whole, out, catalogue)
        wait_for_all()
        if plan.to_run:
            _run(suite, plan, out, catalogue, progress)
    return outcomes_of(plan) if this_rank() == 0 else []


def outcomes_of(plan: Plan) -> list[Outcome]:
    """What the cells of a plan came to, by their files."""
    from l2_harness.compare.cell_outcomes import cell_outcome

    outcomes = []
    for planned in plan.cells:
        record = read_record(planned.folder)
        current = replace_record(planned, record)
        if record is not None and record.status != "running" and current.same_definition:
            outcomes.append(cell_outcome(planned.cell, planned.folder, record))
    return outcomes


def replace_record(planned: PlannedCell, record: CellRecord | None) -> PlannedCell:
    """The cell with what its folder says now."""
    return replace(planned, record=record)


def _run(suite: Suite, plan: Plan, out: Path, catalogue: TaskCatalogue, progress: Progress) -> None:
    from l2_harness.compare.evaluation import environment_once
    from l2_harness.lm_eval_files.quiet import quiet
    from l2_harness.models.pools import pooled_models

    progress.begin(plan)
    with quiet(), environment_once(), strict_arithmetic(suite.strict), pooled_models() as pools:
        held = _HeldModel()
        for planned in plan.to_run:
            if held.changes(planned):
                held.clear()
            pools.make_room(planned.cell.model_class)
            record = _run_cell(suite, planned, out, catalogue, held, progress)
            progress.ended(planned, record)
        held.clear()
    progress.end()


class _HeldModel:
    """The lm-eval model of the last cell, kept for a next one of the same arguments.

    Those that take their weights from the pool are made anew for every cell: that costs nothing,
    and nothing of one cell can reach the next.
    """

    def __init__(self) -> None:
        self._key: Any = None
        self._lm: Any = None

    def changes(self, planned: PlannedCell) -> bool:
        """Whether a cell needs another model than the one that is held."""
        return self._lm is not None and self._key != self._key_of(planned)

    def get(self, planned: PlannedCell, make: Any) -> Any:
        """The model for a cell."""
        if capabilities(planned.cell.model_class).pool is not None:
            return make()
        if self._lm is None:
            self._lm = make()
            self._key = self._key_of(planned)
        return self._lm

    def clear(self) -> None:
        """Let go of it."""
        from l2_harness.compare.evaluation import release

        lm, self._lm, self._key = self._lm, None, None
        release(lm)

    def _key_of(self, planned: PlannedCell) -> tuple[Any, ...]:
        cell = planned.cell
        return (
            cell.model_class,
            cell.model.name,
            str(sorted(cell.args.items())),
            cell.method.batch_size,
        )


def _run_cell(
    suite: Suite,
    planned: PlannedCell,
    out: Path,
    catalogue: TaskCatalogue,
    held: _HeldModel,
    progress: Progress,
) -> CellRecord:
    """Run one cell; its record at the end, which is also on disk."""
    first = this_rank() == 0
    settings = _settings(suite, planned)
    record = CellRecord(
        name=planned.cell.name,
        status="running",
        definition=planned.definition,
        started=now(),
        shared_samples=None,
        **settings,
    )
    if first:
        attempts = prepare_folder(planned.folder, planned.definition)
        record = replace(record, attempts=attempts + 1)
        write_record(planned.folder, record)
    wait_for_all()
    progress.started(planned, record)
    try:
        record = _evaluated(planned, record, settings, out, catalogue, held)
    except Exception as error:  # whatever it is, the other cells can still run
        from l2_harness.compare.evaluation import one_line

        record = record.ended("failed", error=one_line(error))
        if first:
            (planned.folder / "error.log").write_text(traceback.format_exc(), "utf-8")
            write_record(planned.folder, record)
        held.clear()
        if world_size() > 1:  # who knows where the others are: in step again after a restart
            raise
        return record
    if first:
        write_record(planned.folder, record)
    wait_for_all()  # the others look whether a cell's samples are there
    return record


def _settings(suite: Suite, planned: PlannedCell) -> dict[str, Any]:
    """How a cell is run, beyond what it is."""
    cell = planned.cell
    sizes = (cell.method.batch_size, cell.model.batch_size, suite.batch_size)
    return {
        "batch_size": next(size for size in sizes if size is not None),
        "device": _device(suite, cell.model_class),
    }


def _device(suite: Suite, model_class: str) -> str | None:
    if suite.device is not None or capabilities(model_class).pool != "hf":
        return suite.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _evaluated(
    planned: PlannedCell,
    record: CellRecord,
    settings: Mapping[str, Any],
    out: Path,
    catalogue: TaskCatalogue,
    held: _HeldModel,
) -> CellRecord:
    """The record of a cell that has been evaluated and whose files are written."""
    from l2_harness.compare.cell_cost import cell_cost
    from l2_harness.compare.evaluation import evaluate, make_lm, save
    from l2_harness.compare.peak_memory import peak_bytes, start_peak

    cell, traces = planned.cell, planned.folder / "traces"
    source = _usable_source(planned)
    args = run_arguments(planned, source)
    start_peak()
    with _threads(cell.args):
        lm = held.get(planned, lambda: make_lm(cell.model_class, args, cell.seed, **settings))
        watch = Stopwatch(planned.folder / "seconds.txt" if this_rank() == 0 else None)
        evaluated = evaluate(lm, cell, args, catalogue, watch.timed, **settings)
    if evaluated is None:
        return record.ended("done")
    save(evaluated, cell, planned.folder)
    cost = cell_cost(evaluated, cell, traces, watch.seconds, peak_bytes())
    own = cost.seconds
    shared = None
    if source is not None:
        cost = _with_samples(cost, source)
        shared = source.folder.relative_to(out).as_posix()
    return record.ended(
        "done",
        documents=evaluated.documents,
        cost=cost,
        own_seconds=own,
        shared_samples=shared,
    )


def _usable_source(planned: PlannedCell) -> PlannedCell | None:
    """Where its samples are; None where they could not be drawn, so that it tries itself."""
    if planned.source is None:
        return None
    source = replace_record(planned.source, read_record(planned.source.folder))
    return source if source.finished else None


def run_arguments(planned: PlannedCell, source: PlannedCell | None) -> dict[str, Any]:
    """model_args as lm-eval gets them: where traces go is the runner's to say."""
    args, can = planned.cell.args, capabilities(planned.cell.model_class)
    if not can.records:
        from l2_harness.engines.hf.loading import resolve_pretrained

        given = args.get("pretrained")
        return args if given is None else {**args, "pretrained": resolve_pretrained(given, args)}
    # the rows of samples that were drawn elsewhere are there already
    record = args.get("record", "tokens" if source is None else "summary")
    args["record"] = record
    if record not in ("off", False):
        args["trace_dir"] = str(planned.folder / "traces")
    if source is not None:
        args["samples_from"] = str(source.folder / "traces")
    if planned.matched is not None:
        args["matched_to"] = str(planned.matched.folder / "traces")
    return args


def _with_samples(cost: Cost, source: PlannedCell) -> Cost:
    """The cost with this cell's share of the time that drawing its samples took."""
    assert source.record is not None
    drawn = source.record.cost
    if cost.seconds is None or drawn.seconds is None or not cost.samples or not drawn.samples:
        return cost
    share = drawn.seconds * cost.samples / drawn.samples
    peaks = [peak for peak in (cost.peak_bytes, drawn.peak_bytes) if peak is not None]
    return replace(
        cost, seconds=round(cost.seconds + share, 3), peak_bytes=max(peaks, default=None)
    )


def _threads(args: Mapping[str, Any]) -> Any:
    from l2_harness.compare.processes import few_threads

    return few_threads(args.get("pretrained") == DEMO_MODEL)
