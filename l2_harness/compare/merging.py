"""What the shards of a suite came to, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from l2_harness.compare.cell_files import read_record
from l2_harness.compare.plan import Plan, PlannedCell, make_plan
from l2_harness.compare.runner import outcomes_of
from l2_harness.compare.suite import Suite
from l2_harness.compare.suite_checks import check_suite
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.left_out import few
from l2_harness.lm_eval_files.outcomes import Outcome

#: Cells without a result that an error names.
_NAMED = 20


def merged_outcomes(
    suite: Suite, folders: Sequence[Path], only: Sequence[str] = ()
) -> list[Outcome]:
    """An outcome a cell, as a single run gives them; nothing is run.

    Args:
        suite: with everything that its runs had over it.
        folders: which they went into. A cell that several hold is taken from the first that
            finished it.
        only: globs of the cells that have to be there; all by default.

    Raises:
        ConfigError: there is no such folder, or cells have neither a result nor failed.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--merge {folder}: there is no such folder.")
    plan = make_plan(suite, folders[0], check_suite(suite, only), only)
    wanted = {planned.cell.name for planned in plan.to_run}
    cells = [_best_of(planned, folders) for planned in plan.cells]
    lacking = [p for p in cells if p.cell.name in wanted and not (p.finished or p.failed)]
    if lacking:
        named = few([f"{planned.cell.name} ({planned.why})" for planned in lacking], _NAMED)
        raise ConfigError(
            f"--merge: {len(lacking)} of {len(cells)} cells have no result: {named}. Run what is "
            "left, with the options that are given here, or name the folder that has it."
        )
    return outcomes_of(Plan(cells))


def _best_of(planned: PlannedCell, folders: Sequence[Path]) -> PlannedCell:
    """The cell in the folder where it is furthest."""
    places = [folder / "cells" / planned.cell.name for folder in folders]
    found = [replace(planned, folder=place, record=read_record(place)) for place in places]
    return min(found, key=lambda p: (not p.finished, not p.failed, p.record is None))
