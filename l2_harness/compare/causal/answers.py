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
from l2_harness.lm_eval_files.outcomes import Outcome

if TYPE_CHECKING:
    import pandas as pd

TRACES = "traces"
_COLUMNS = ["task", "doc_id", "idx", "repeat", "sample", "tokens", "finish_reason", "events"]


@dataclass(frozen=True)
class Answer:
    """What an arm answered to one question, means over its responses.

    Attributes:
        edits, left: states edited, and edits not made that were due.
        tokens: length.
        truncated: share that the token limit ended.
        text: tells one answer from another.
        by_layer: layer → edits there.
    """

    edits: float
    left: float
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
            row |= {name: getattr(answer, name) for name in ("edits", "left", "tokens")}
            row["truncated"] = answer.truncated
            row |= {f"{AT_LAYER}{m}": edits for m, edits in answer.by_layer.items()}
            if usual is not None:
                row["changed"] = float(answer.text != usual.text)
        rows.append(row)
    return rows


def read_answers(folder: Path) -> dict[str, Answer]:
    """Question → answer, of a folder with ``traces`` and lm-eval's sample files; {} without.

    The questions' keys are the documents' hashes, after the task's name where there are several.
    """
    from l2_harness.norms import read_traces

    traces = folder / TRACES
    samples = sorted(folder.glob("samples_*.jsonl"))
    if not traces.is_dir() or not samples:
        return {}
    keys: dict[tuple[str, int], str] = {}
    scored: dict[str, str] = {}
    for path in samples:
        task = path.name.removeprefix("samples_").rsplit("_", 1)[0]
        prefix = f"{task}:" if len(samples) > 1 else ""
        for line in path.read_text("utf-8").splitlines():
            sample = json.loads(line)
            key = prefix + sample["doc_hash"]
            keys[task, int(sample["doc_id"])] = key
            scored[key] = json.dumps(sample["resps"])
    found: dict[str, list[tuple[Any, ...]]] = {}
    table = read_traces(traces, run_id=_run_id(folder), columns=_COLUMNS)
    for row in table.itertuples(index=False):
        key = keys.get((row.task, int(row.doc_id)), "")
        found.setdefault(key, []).append(_response(row))
    found.pop("", None)
    return {key: _merged(responses, scored[key]) for key, responses in found.items()}


def _run_id(folder: Path) -> str | None:
    """Which run of the traces the results are of."""
    for path in folder.glob("results_*.json"):
        run_id = (json.loads(path.read_text("utf-8"))["config"].get("l2") or {}).get("run_id")
        return None if run_id is None else str(run_id)
    return None


def _response(row: Any) -> tuple[Any, ...]:
    counts = {
        int(e["layer"]): json.loads(e["detail"])
        for e in row.events or ()
        if e["kind"] == "counters"
    }
    edits = {layer: int(c.get("suppressed", 0)) for layer, c in counts.items()}
    left = sum(c.get("suppression_credits_left", 0) for c in counts.values())
    generated = row.finish_reason is not None
    text = np.asarray(row.tokens).tobytes().hex() if generated else None
    return edits, left, len(row.tokens), row.finish_reason == "length", text


def _merged(responses: Sequence[tuple[Any, ...]], scored: str) -> Answer:
    edits, left, tokens, truncated, texts = zip(*responses, strict=True)
    # the text of a scored continuation is given: what an edit changes is its score
    return Answer(
        edits=float(np.mean([sum(each.values()) for each in edits])),
        left=float(np.mean(left)),
        tokens=float(np.mean(tokens)),
        truncated=float(np.mean(truncated)),
        text=scored if None in texts else "|".join(texts),
        by_layer={m: float(np.mean([each.get(m, 0) for each in edits])) for m in edits[0]},
    )
