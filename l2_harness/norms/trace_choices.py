"""Scores and choices that were known only after their responses had been written.

A request's samples may need several rounds of decoding. Each round goes to a trace part at once,
so that an interruption loses nothing of it; which sample lm-eval gets is known after the last
round. What the earlier rounds could not say then follows in a small file of its own:

    choice-<run_id>-r<rank>-<random>.jsonl    a line a response: its key, scores and chosen

Every reader of traces takes these lines over the part's own ``scores`` and ``chosen``.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.json_text import check_shape, parse_json
from l2_harness.norms.trace_schema import ResumeKey, TraceWarning
from l2_harness.whole_files import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

#: (run_id, the response within it)
ChoiceKey = tuple[str, ResumeKey]


@dataclass(frozen=True)
class Choice:
    """What became known of one response: its scores, and whether lm-eval got it."""

    scores: Mapping[str, float]
    chosen: bool


def write_choices(
    trace_dir: Path, run_id: str, rank: int, choices: Mapping[ResumeKey, Choice]
) -> Path:
    """Store choices in a new file, on disk when this returns.

    Raises:
        OSError: it can't be written; nothing is left behind.
    """
    lines = [
        json.dumps(
            {"key": list(key), "scores": dict(choice.scores), "chosen": choice.chosen},
        )
        for key, choice in choices.items()
    ]
    path = trace_dir / f"choice-{run_id}-r{rank}-{secrets.token_hex(6)}.jsonl"
    write_atomically(path, ("\n".join(lines) + "\n").encode("ascii"))
    return path


def read_choices(trace_dir: Path, run_id: str | None = None) -> dict[ChoiceKey, Choice]:
    """The choices of one run, or of all of them.

    Warns:
        TraceWarning: a file that is no file of choices; it is left out.
    """
    found: dict[ChoiceKey, Choice] = {}
    for path in sorted(trace_dir.glob(f"choice-{run_id or '*'}-r*-*.jsonl")):
        run = path.name.removeprefix("choice-").rsplit("-r", 1)[0]
        if run_id in (None, run):
            found.update({(run, key): choice for key, choice in _read(path).items()})
    return found


def overlay_choices(table: pa.Table, choices: Mapping[ChoiceKey, Choice]) -> pa.Table:
    """``table`` with the ``scores`` and ``chosen`` of those of its responses that have a choice.

    Args:
        table: with ``run_id``, the columns of :class:`ResumeKey`, and any of the two.
        choices: of :func:`read_choices`.
    """
    import pyarrow as pa

    names = [name for name in ("scores", "chosen") if name in table.column_names]
    if not choices or not names:
        return table
    keys = [table[name].to_pylist() for name in ("run_id", *ResumeKey._fields)]
    known = [choices.get((key[0], ResumeKey(*key[1:]))) for key in zip(*keys, strict=True)]
    for name in names:
        values = [
            own if choice is None else _stored(choice, name)
            for own, choice in zip(table[name].to_pylist(), known, strict=True)
        ]
        field = table.schema.field(name)
        table = table.set_column(
            table.schema.get_field_index(name), field, pa.array(values, field.type)
        )
    return table


def _stored(choice: Choice, name: str) -> Any:
    return list(choice.scores.items()) if name == "scores" else choice.chosen


def _read(path: Path) -> dict[ResumeKey, Choice]:
    try:
        lines: Sequence[dict[str, Any]] = [
            parse_json(line) for line in path.read_text("ascii").splitlines()
        ]
        for line in lines:
            check_shape(line, {"key": list, "scores": dict, "chosen": bool})
            check_shape(list(line["scores"].values()), [float], "a score")
        return {ResumeKey(*line["key"]): Choice(line["scores"], line["chosen"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path}: no file of choices ({error!r}); left out", TraceWarning, 2)
        return {}
