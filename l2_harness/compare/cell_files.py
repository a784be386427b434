"""A cell's folder: what is in it, and what its ``cell.json`` says of how far it is.

cell.json              written when the cell starts and when it ends, each time at once
results_*.json, samples_*.jsonl     lm-eval's own
traces/                of l2hf
seconds.txt            what all attempts took so far
error.log              the traceback of a cell that failed
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from l2_harness.compare.definition import definition_digest, is_same
from l2_harness.config.errors import ConfigError
from l2_harness.json_text import check_shape, parse_json
from l2_harness.lm_eval_files.outcomes import Cost
from l2_harness.whole_files import write_atomically

Status = Literal["running", "done", "failed"]
_SHAPE = {
    **{"name": str, "status": str, "definition": dict, "started": str, "attempts": int},
    **{"batch_size": (int, str, None), "device": (str, None), "finished": (str, None)},
    **{"documents": (int, None), "own_seconds": (float, None), "error": (str, None)},
    "shared_samples": (str, None),
    "cost": {spec.name: (float, None) for spec in fields(Cost)},
}


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    """What ``cell.json`` holds.

    Attributes:
        name: of the cell.
        status: ``running`` also of a cell that a kill cut off.
        definition: everything that its result depends on.
        batch_size, device: how it was run.
        started, finished: ISO times, UTC; of the last attempt.
        attempts: how often it was started.
        documents: how many were answered.
        cost: what it took, as a table shows it.
        own_seconds: of answering in this cell, without the samples that it took from elsewhere.
        shared_samples: below the output folder, where its samples were drawn; None where here.
        error: one line, of a cell that failed.
    """

    name: str
    status: Status
    definition: Mapping[str, Any]
    batch_size: int | str | None = None
    device: str | None = None
    started: str = ""
    finished: str | None = None
    attempts: int = 1
    documents: int | None = None
    cost: Cost = field(default_factory=Cost)
    own_seconds: float | None = None
    shared_samples: str | None = None
    error: str | None = None

    @property
    def digest(self) -> str:
        """Of the definition."""
        return definition_digest(dict(self.definition))

    def ended(self, status: Status, **changes: Any) -> CellRecord:
        """The same cell at its end."""
        return replace(self, status=status, finished=now(), **changes)


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write_record(folder: Path, record: CellRecord) -> None:
    """Make ``cell.json`` say this, or leave it as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asdict(record), "digest": record.digest}, indent=2, default=str)
    write_atomically(folder / "cell.json", (text + "\n").encode("utf-8"))


def read_record(folder: Path) -> CellRecord | None:
    """What ``cell.json`` says; None where there is none.

    Raises:
        ConfigError: it isn't ours, or damaged.
    """
    path = folder / "cell.json"
    if not path.is_file():
        return None
    known = {spec.name for spec in fields(CellRecord)}
    try:
        content = parse_json(path.read_bytes())
        check_shape(content, _SHAPE)
        values = {name: value for name, value in content.items() if name in known}
        values["cost"] = Cost(**values["cost"])
        return _checked(CellRecord(**values))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} isn't what compare writes ({error}). Delete that folder to run its cell again."
        ) from error


def _checked(record: CellRecord) -> CellRecord:
    if record.status not in get_args(Status):
        raise ValueError(f"status is {record.status!r}")
    shared = Path(record.shared_samples or "")
    if shared.is_absolute() or ".." in shared.parts:
        raise ValueError(f"shared_samples is {record.shared_samples!r}, outside of the folder")
    return record


def prepare_folder(folder: Path, definition: Mapping[str, Any]) -> int:
    """Make a cell's folder ready for a run: empty, or with the traces that a rerun goes on from.

    Returns:
        How many attempts of this same definition there were.
    """
    before = read_record(folder)
    if before is None or not is_same(before.definition, definition):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return 0
    for path in _result_files(folder):
        path.unlink()
    (folder / "error.log").unlink(missing_ok=True)
    return before.attempts


def _result_files(folder: Path) -> list[Path]:
    """What lm-eval wrote; a kill may have come before all of it was there."""
    return [*folder.glob("results_*.json"), *folder.glob("samples_*.jsonl")]
