"""Samples that another system made, as JSON lines.

A line a response, in the order of the samples of its problem:

    problem         what names the question; equal for its responses (required)
    correct         true, false, or a number from 0 to 1 (required)
    response        the text
    answer          what a vote takes it for; read from ``response`` where it is missing
    scores          name → number, larger being better unless the name is one of the selectors'
    n_tokens        length; the response's characters stand in where no line has it
    finish_reason   ``length`` where the token limit cut the response off
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2_harness.analysis.selectors.samples import JudgedResponse, SampleTable, sample_table
from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import as_number
from l2_harness.config.selectors import SELECTORS, Selector
from l2_harness.json_text import parse_json
from l2_harness.norms.trace_checks import text
from l2_harness.selection.vote_answers import answer_kind, vote_answer, vote_answers
from l2_harness.selection.votes import answer_labels

_REQUIRED = ("problem", "correct")


def load_jsonl(path: Path, answers: str = "auto") -> SampleTable:
    """The table of a file.

    Args:
        path: the file.
        answers: how votes compare answers: a kind, or ``auto`` for ``math``.

    Raises:
        ConfigError: a line that is no such object; it is named.
    """
    lines = [_parse(path, i, line) for i, line in enumerate(path.read_bytes().split(b"\n"))]
    records = [record for record in lines if record is not None]
    by_problem: dict[Hashable, list[dict[str, Any]]] = {}
    for record in records:
        by_problem.setdefault(text("problem", str(record["problem"])), []).append(record)
    has_tokens = all("n_tokens" in record for record in records)
    with_labels = any(record.get("answer") or record.get("response") for record in records)
    groups = {
        problem: _judged(of_problem, answers, has_tokens)
        for problem, of_problem in by_problem.items()
    }
    if not groups:
        raise ConfigError(f"{path} holds no response.")
    return sample_table(groups, with_labels=with_labels)


def own_selectors(table: SampleTable) -> list[Selector]:
    """The known selectors, and two for each score that none of them goes by: best, and a vote."""
    known = {selector.score for selector in SELECTORS.values()} | {"length"}
    added = []
    for name in table.candidates.scores:
        if name not in known:
            added.append(Selector(f"max:{name}", f"largest {name}", score=name))
            added.append(Selector(f"vote:{name}", f"vote weighed by {name}", "vote", name))
    return [*SELECTORS.values(), *added]


def _parse(path: Path, index: int, line: bytes) -> dict[str, Any] | None:
    if not line.strip():
        return None
    where = f"{path}, line {index + 1}"
    try:
        record = parse_json(line)
    except ValueError as error:
        raise ConfigError(f"{where}: no JSON ({error}).") from error
    if not isinstance(record, dict) or any(name not in record for name in _REQUIRED):
        raise ConfigError(f"{where}: an object with {' and '.join(_REQUIRED)} is wanted.")
    correct = record["correct"]
    if not isinstance(correct, bool | int | float) or not 0 <= correct <= 1:
        raise ConfigError(f"{where}: correct={correct!r}; true, false or a number from 0 to 1.")
    scores = record.get("scores") or {}
    if not isinstance(scores, Mapping) or None in map(_number, scores.values()):
        raise ConfigError(f"{where}: scores={scores!r}; an object of numbers is wanted.")
    if "n_tokens" in record and _number(record["n_tokens"]) is None:
        raise ConfigError(f"{where}: n_tokens={record['n_tokens']!r}; a number is wanted.")
    return record


def _number(value: Any) -> float | None:
    """A finite number or a flag; None for all else."""
    return float(value) if isinstance(value, bool) else as_number(value)


def _judged(
    records: Sequence[Mapping[str, Any]], answers: str, has_tokens: bool
) -> list[JudgedResponse]:
    """The responses to one problem."""
    kind = answer_kind(None, answers)
    cut = [record.get("finish_reason") == "length" for record in records]
    texts = [str(record.get("response") or "") for record in records]
    if any(record.get("answer") is not None for record in records):
        as_whole = False
        given = [
            str(record["answer"])
            if record.get("answer") is not None
            else vote_answer(text, None, kind, truncated=is_cut)
            for record, text, is_cut in zip(records, texts, cut, strict=True)
        ]
    else:
        given, as_whole = vote_answers(texts, None, kind, truncated=cut)
    labels = answer_labels(given, kind)
    return [
        JudgedResponse(
            float(record["correct"]),
            float(record["n_tokens"] if has_tokens else len(str(record.get("response") or ""))),
            {str(name): float(value) for name, value in (record.get("scores") or {}).items()},
            is_cut,
            int(label),
            as_whole,
        )
        for record, is_cut, label in zip(records, cut, labels, strict=True)
    ]
