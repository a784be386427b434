"""``l2-harness compare --from``: outcomes of folders of results, and what is left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from l2_harness.lm_eval_files.outcomes import Outcome

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        help="Run nothing: compare these folders of lm-eval results, of any model class. DIR, "
        "DIR=method or DIR=model/method.",
    ),
]
Plain = Annotated[
    str | None,
    typer.Option(
        help="With --from: the method that all are compared with; else the one named plain, else "
        "the first."
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        help="With --from: a metric, a filter or both, exact_match,number; else a task's first."
    ),
]
PairBy = Annotated[
    str, typer.Option(help="With --from: what makes two questions the same: document or doc_id.")
]
Subtasks = Annotated[
    bool, typer.Option("--subtasks", help="With --from: every task of a group for itself.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="These cells only: model/task/method, globs; or a method's name. With --from, these "
        "rows and plain."
    ),
]
Tasks = Annotated[
    str | None,
    typer.Option(help="In place of the suite's: a,b. With --from, of those there; globs."),
]
Seeds = Annotated[
    str | None, typer.Option(help="In place of the suite's: 0,1,2. With --from, of those there.")
]


@dataclass(frozen=True)
class Narrowed:
    """Which of the outcomes are wanted; all where nothing is named.

    Attributes:
        tasks: names or globs.
        seeds: of runs.
        only: ``model/task/method``, each of which may be a glob; or a method's name.
    """

    tasks: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    only: Sequence[str] = ()

    def has_task(self, task: str) -> bool:
        """Whether a task is wanted."""
        return not self.tasks or any(fnmatchcase(task, pattern) for pattern in self.tasks)

    def has(self, outcome: Outcome) -> bool:
        """Whether an outcome is; plain is what the others are compared with."""
        if self.seeds is not None and outcome.seed not in self.seeds:
            return False
        return not self.only or outcome.role == "plain" or _is_named(outcome, self.only)


def folder_outcomes(
    folders: Sequence[str],
    narrowed: Narrowed,
    metric: str | None,
    plain: str | None,
    pair_by: str,
    subtasks: bool,
) -> tuple[list[Outcome], list[str]]:
    """The outcomes that are wanted, and sentences about what can't be compared.

    Raises:
        ConfigError: nothing is left.
    """
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.options import choice
    from l2_harness.lm_eval_files.folders import read_folders
    from l2_harness.lm_eval_files.left_out import few, told

    found = read_folders(
        folders,
        metric=metric,
        plain=plain,
        pair_by=choice("document", "doc_id")("--pair-by", pair_by),
        subtasks=subtasks,
        tasks=narrowed.has_task,
    )
    kept = [outcome for outcome in found.outcomes if narrowed.has(outcome)]
    rows = [o for o in kept if not narrowed.only or _is_named(o, narrowed.only)]
    if not rows:
        there = dict.fromkeys(
            f"{o.model or '*'}/{o.task}/{o.method}, seed {o.seed}" for o in found.outcomes
        )
        raise ConfigError(f"--only and --seeds leave nothing of {few(list(there))}.")
    return kept, told(found.left_out)


def _is_named(outcome: Outcome, patterns: Sequence[str]) -> bool:
    names = (outcome.model, outcome.task, outcome.method)
    return any(
        outcome.method == pattern
        or (len(parts := pattern.rsplit("/", 2)) == 3 and all(map(fnmatchcase, names, parts)))
        for pattern in patterns
    )
