"""The runs that a trace folder holds, and whether one of them is the same as another."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.engines.model_files import ROLES
from l2_harness.norms import read_run_settings

logger = logging.getLogger(__name__)

#: Setting: the digests of the model's files (:mod:`l2_harness.engines.model_files`).
MODEL_FILES = "model_files"
#: What told weights apart before there were those digests, and still does in older runs.
WEIGHTS = "weights"


@dataclass(frozen=True)
class RecordedRun:
    """A run of a trace folder: its id, and all that determines its responses."""

    run_id: str
    settings: Mapping[str, Any]

    @property
    def is_old(self) -> bool:
        """Whether it was recorded before the digests of all of a model's files."""
        return MODEL_FILES not in self.settings


def recorded_runs(trace_dir: Path) -> list[RecordedRun]:
    """The runs that are described in a trace folder, by id; what is no description is left out."""
    found = []
    for path in sorted(trace_dir.glob("run-*.json")):
        run_id = path.stem.removeprefix("run-")
        try:
            found.append(RecordedRun(run_id, read_run_settings(trace_dir, run_id)))
        except ValueError as error:
            logger.warning("%s", error)
    return found


def differences(run: RecordedRun, settings: Mapping[str, Any]) -> list[str]:
    """What differs between a recorded run and another's settings, in words; nothing if equal.

    Where a model lies does not count if its files are known. A run that is old is compared by
    what it has.

    Args:
        run: that is there.
        settings: of the other.
    """
    theirs, ours = _plain(run.settings), _plain(settings)
    their_files, our_files = theirs.pop(MODEL_FILES, {}), ours.pop(MODEL_FILES, {})
    ignored: set[str] = set()
    found = []
    if their_files and our_files:
        ignored = {*ROLES, WEIGHTS}
        found = _changed_files(their_files, our_files)
    names = sorted({*theirs, *ours} - ignored)
    return found + [
        f"{name}={theirs.get(name)} there, {ours.get(name)} here"
        for name in names
        if str(theirs.get(name)) != str(ours.get(name))
    ]


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As the file of a run holds them."""
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain


def _changed_files(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    found = []
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            found.append(f"{name} {_change(name in theirs, name in ours)}")
    return found


def _change(there: bool, here: bool) -> str:
    if there and here:
        return "has changed"
    return "is gone" if there else "is new"
