"""``decision.json``: what a suite is to decide and how, written before its first response.

Each time results are looked at is added to it, with how many of the planned runs were there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2_harness import __version__
from l2_harness.compare.cell_files import now
from l2_harness.compare.leaderboard.options import Options
from l2_harness.compare.plan import Plan
from l2_harness.compare.suite import Suite, TaskRow
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.errors import ConfigError
from l2_harness.findings.verdicts import planned, rule
from l2_harness.findings.words import capital, count, listed
from l2_harness.json_text import parse_json
from l2_harness.lm_eval_files.outcomes import Outcome
from l2_harness.lm_eval_files.tasks import load_task
from l2_harness.whole_files import write_atomically

FILE = "decision.json"
#: What a run may differ in from one that goes on in the same folder; the rule's words follow from
#: the rest.
_LATER = ("rule", "written", "version", "done_before", "looks")


def register(suite: Suite, plan: Plan, out: Path, catalogue: TaskCatalogue) -> None:
    """Write what is to be decided into the output folder, or see that it still is the same.

    Raises:
        ConfigError: the folder has another rule, other methods or other questions.
    """
    if suite.decision is None:
        return
    path, content = out / FILE, _content(suite, plan, catalogue)
    if not path.is_file():
        _write(path, content)
        return
    before = _read(path)
    changed = [k for k in content if k not in _LATER and before.get(k) != content[k]]
    if changed:
        raise ConfigError(
            f"{path} fixed what is to be decided before the first response, and this run differs "
            f"in {listed(changed)}. Pass another --out, or undo the change."
        )


def looked(out: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """Note that results were looked at, and say what a reader of the verdicts has to know.

    Args:
        out: of the suite.
        outcomes: of what has been run.
    """
    path = out / FILE
    if not path.is_file():
        return []
    content = _read(path)
    done = sum(outcome.error is None for outcome in outcomes)
    content["looks"].append({"time": now(), "runs": done})
    _write(path, content)
    return _notes(content, done)


def _content(suite: Suite, plan: Plan, catalogue: TaskCatalogue) -> dict[str, Any]:
    decision, options = suite.decision, Options()
    assert decision is not None
    compared = [m for m in suite.methods if m.role not in ("plain", "null")]
    plain = next(m.name for m in suite.methods if m.role == "plain")
    pairs = decision.pairs(plain, {m.name for m in suite.methods}.__contains__)
    content = {
        "rule": rule(decision.margin, options.level, len(compared) + len(pairs)),
        "margin_points": decision.margin,
        "level": options.level,
        "models": [model.name for model in suite.models],
        "methods": {method.name: method.role for method in suite.methods},
        "claims": [
            {"says": one.says, "method": one.method, "over": one.over or plain}
            for one in decision.claims
        ],
        "questions": {task.name: question_count(task, catalogue) for task in suite.tasks},
        "runs": len(plan.cells),
        "written": now(),
        "version": __version__,
        "done_before": sum(planned.finished for planned in plan.cells),
        "looks": [],
    }
    plain_values: dict[str, Any] = json.loads(json.dumps(content))
    return plain_values


def question_count(task: TaskRow, catalogue: TaskCatalogue) -> int | None:
    """How many questions a task asks; None where its data can't be had now."""
    folders = [Path(path) for path in task.include_path]
    total = 0
    for leaf in catalogue.leaves(task.task):
        try:
            questions = len(load_task(leaf, folders, task.metadata).eval_docs)
        except ConfigError:  # the run itself says what is wrong, and goes on with other tasks
            return None
        if task.limit is not None:
            limit = math.ceil(questions * task.limit) if task.limit < 1 else int(task.limit)
            questions = min(limit, questions)
        total += questions
    return total


def _notes(content: dict[str, Any], done: int) -> list[str]:
    """How much of what was planned there is, and how often it was looked at before."""
    known = list(content["questions"].values())
    questions = None if None in known else sum(known)
    notes = [
        f"{capital(planned(questions, content['runs']))}; the rule was written "
        f"{content['written']}, before the first response."
    ]
    if content["done_before"]:
        notes = [
            f"The rule was written {content['written']}, when {content['done_before']} of "
            f"{count(content['runs'], 'run')} had been done: it was not fixed beforehand."
        ]
    if done < content["runs"]:
        notes.append(
            f"Stopped early: {done} of {count(content['runs'], 'run')} are there. What is missing "
            "has no verdict, and the correction is for what is compared here."
        )
    early = sum(look["runs"] < content["runs"] for look in content["looks"][:-1])
    if early:
        notes.append(
            f"Results were looked at {count(early, 'time')} before all runs were done; a verdict "
            "that decided when to stop is worth less than it says."
        )
    return notes


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json(path.read_bytes())
        return {**content, "looks": list(content["looks"]), "runs": int(content["runs"])}
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ConfigError(f"{path} is damaged ({error}). Pass another --out.") from error


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_atomically(path, (text + "\n").encode("utf-8"))
