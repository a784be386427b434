"""Outcomes of the arms and their files → the table that :mod:`~.runs` reads.

Scores are the outcomes'. How many states were edited, and how long and which the responses are,
is in the traces beside lm-eval's files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.compare.causal.arms import PLAIN, Arm
from l2_harness.compare.causal.runs import AT_LAYER
from l2_harness.config.errors import ConfigError
from l2_harness.config.techniques import counters, edit_sums
from l2_harness.lm_eval_files.outcomes import Outcome
from l2_harness.lm_eval_files.questions import question_keys, question_of
from l2_harness.lm_eval_files.runs import find_runs
from l2_harness.lm_eval_files.samples import read_lines

if TYPE_CHECKING:
    import pandas as pd

TRACES = "traces"
_OF_ANSWER = ("edits", "left", "change", "places", "tokens")
_COLUMNS = ["task", "doc_id", "idx", "repeat", "sample", "tokens", "finish_reason", "events"]


@dataclass(frozen=True)
class Answer:
    """What an arm answered to one question, means over its responses.

    Attributes:
        edits, left: states edited, and edits not made that were due.
        change, places: sums of the edited states' ‖Δ‖/‖h‖ (of a sink the others' mean) and rows.
        tokens: length.
        truncated: share that the token limit ended.
        text: tells one answer from another.
        by_layer: layer → edits there.
    """

    edits: float
    left: float
    change: float
    places: float
    tokens: float
    truncated: float
    text: str
    by_layer: Mapping[int, float]


def answer_table(outcomes: Sequence[Outcome], arms: Sequence[Arm]) -> pd.DataFrame:
    """A row a task, arm and question, the arms in the order given.

    Args:
        outcomes: one a task and arm, ``method`` being the arm's name; others are left out. Those
            that failed, or have no folder with traces, have less or nothing to tell.
        arms: what was run.

    Raises:
        ConfigError: the plain arm of a task has no scores.
    """
    import pandas as pd

    by_name = {arm.name: place for place, arm in enumerate(arms)}
    chosen = [o for o in outcomes if o.method in by_name]
    tasks = list(dict.fromkeys(o.task for o in chosen))
    chosen.sort(key=lambda o: (tasks.index(o.task), by_name[o.method]))
    plain: dict[str, Mapping[str, Answer]] = {}
    rows: list[dict[str, Any]] = []
    for outcome in chosen:
        answers = read_answers(outcome.folder) if outcome.folder and not outcome.error else {}
        if outcome.method == PLAIN:
            plain[outcome.task] = answers
        arm = arms[by_name[outcome.method]]
        rows += _rows(outcome, arm, answers, plain.get(outcome.task, {}))
    _check_plain(chosen, tasks)
    return pd.DataFrame(rows)


def _check_plain(outcomes: Sequence[Outcome], tasks: Sequence[str]) -> None:
    for task in tasks:
        plain = [o for o in outcomes if o.task == task and o.method == PLAIN]
        if not plain or not plain[0].scores:
            why = plain[0].error if plain and plain[0].error else "it has not run"
            raise ConfigError(
                f"task {task!r} has no answers of the plain arm, which all are compared with: {why}"
            )


def _rows(
    outcome: Outcome, arm: Arm, answers: Mapping[str, Answer], plain: Mapping[str, Answer]
) -> list[dict[str, Any]]:
    about = {
        "task": outcome.task,
        "arm": arm.name,
        "where": arm.where,
        "mode": arm.mode if arm.where else None,
        "factor": arm.factor,
    }
    rows = []
    for question, score in outcome.scores.items():
        row = {**about, "question": question, "score": score}
        answer, usual = answers.get(question), plain.get(question)
        if answer is not None:
            row |= {name: getattr(answer, name) for name in _OF_ANSWER}
            row["truncated"] = answer.truncated
            row |= {f"{AT_LAYER}{m}": edits for m, edits in answer.by_layer.items()}
            if usual is not None:
                row["changed"] = float(answer.text != usual.text)
        rows.append(row)
    return rows


def read_answers(folder: Path) -> dict[str, Answer]:
    """Question → answer, of a folder with ``traces`` and lm-eval's files; {} without.

    The questions' keys are the outcomes': after the task's name where there are several tasks.
    """
    from l2_harness.norms import read_traces

    traces = folder / TRACES
    runs = find_runs(folder).runs if traces.is_dir() else []
    if not runs:
        return {}
    run = runs[0]
    keys: dict[tuple[str, int], str] = {}
    scored: dict[str, str] = {}
    files = {task: file for task in run.tasks if (file := run.samples_of(task)) is not None}
    for task, file in files.items():
        samples = {(s.doc_id, question_of(s)): s for s in read_lines(file.path, lambda _: None)}
        for document, key in question_keys(samples).items():
            key = f"{task}:{key}" if len(files) > 1 else key
            keys[task, document[0]] = key
            scored[key] = json.dumps(samples[document].filtered)
    found: dict[str, list[tuple[Any, ...]]] = {}
    run_id = (run.config.get("l2") or {}).get("run_id")
    table = read_traces(traces, run_id=run_id, columns=_COLUMNS)
    for row in table.itertuples(index=False):
        key = keys.get((row.task, int(row.doc_id)), "")
        found.setdefault(key, []).append(_response(row))
    found.pop("", None)
    return {key: _merged(responses, scored[key]) for key, responses in found.items()}


def _response(row: Any) -> tuple[Any, ...]:
    counts = {
        int(e["layer"]): json.loads(e["detail"])
        for e in row.events or ()
        if e["kind"] == "counters"
    }
    edits = {layer: int(c.get("suppressed", 0)) for layer, c in counts.items()}
    whole = {name: sum(c.get(name, 0) for c in counts.values()) for name in counters()}
    _, change, places = edit_sums(whole) or (0, 0, 0)
    left = whole["suppression_credits_left"]
    generated = row.finish_reason is not None
    text = np.asarray(row.tokens).tobytes().hex() if generated else None
    return edits, left, change, places, len(row.tokens), row.finish_reason == "length", text


def _merged(responses: Sequence[tuple[Any, ...]], scored: str) -> Answer:
    edits, left, change, places, tokens, truncated, texts = zip(*responses, strict=True)
    # the text of a scored continuation is given: what an edit changes is its score
    return Answer(
        edits=float(np.mean([sum(each.values()) for each in edits])),
        left=float(np.mean(left)),
        change=float(np.mean(change)),
        places=float(np.mean(places)),
        tokens=float(np.mean(tokens)),
        truncated=float(np.mean(truncated)),
        text=scored if None in texts else "|".join(texts),
        by_layer={m: float(np.mean([each.get(m, 0) for each in edits])) for m in edits[0]},
    )
