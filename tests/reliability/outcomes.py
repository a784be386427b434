"""What a command left in its folder, without what differs between any two runs of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

#: Of the time it took and of when that was.
_TIMES = "seconds.txt"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+-]+\d")
_VARIES = re.compile(
    r"seconds|_time$|^date$|^started$|^finished$|^attempts$|^git_hash$|^memory|rss|^peak|"
    r"^tokens_per|^speed$|^time$|^looks?$|^digest$|_at$"
)


def outcome(folder: Path) -> dict[str, Any]:
    """Relative name → content, as something that two runs can be compared by."""
    # of two files of lm-eval's the later one wins, and the earlier one may be cut off
    latest = {
        _DATE.sub("DATE", path.relative_to(folder).as_posix()): path
        for path in sorted(folder.rglob("*"))
        if _counts(path, folder)
    }
    return {name: _content(path) for name, path in latest.items()}


def _counts(path: Path, folder: Path) -> bool:
    """What is compared: folders that are read as a whole, and files outside of them."""
    if path.is_dir():
        return path.name in _READ_WHOLE
    inside = set(path.relative_to(folder).parts)
    hidden = path.name.startswith(".") or path.name == _TIMES
    return path.is_file() and not hidden and not inside & {*_READ_WHOLE}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names whose content differs, or that only one has."""
    return sorted(name for name in {*one, *other} if not _same(one.get(name), other.get(name)))


def _same(one: Any, other: Any) -> bool:
    """Equal; numbers to a part in a million: what is recalled was stored in float32."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def litter(folder: Path) -> list[str]:
    """Temporaries that are still there."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.tmp"))


def unreadable(folder: Path) -> list[str]:
    """What a reader stumbles over, between a kill and the rerun."""
    from l2_harness.findings.section import SectionError, read_section
    from l2_harness.norms import read_traces

    found = []
    for path in folder.rglob("section.json"):
        try:
            read_section(path.parent)
        except SectionError as error:
            found.append(str(error))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unfinished part
        for path in folder.rglob("traces"):
            if list(path.glob("part-*")):
                read_traces(path)
    return found


def _traces(folder: Path) -> Any:
    from l2_harness.norms import read_traces

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = read_traces(folder)
    columns = ["doc_id", "repeat", "sample", "text", "chosen", "events", "scores", "norms"]
    rows = zip(*(frame[name] for name in columns), strict=True)
    return sorted(
        tuple(value.tobytes() if hasattr(value, "tobytes") else repr(value) for value in row)
        for row in rows
    )


def _states(folder: Path) -> Any:
    from l2_harness.analysis.states.store import StateStore

    store = StateStore(folder)
    columns = ["task", "doc_id", "repeat", "sample", "question", "rows"]
    keys = list(store.index[columns].itertuples(index=False, name=None))
    states = [
        [
            block.states.numpy().tobytes()
            for block in store.blocks(layer, store.responses(), max_rows=1)
        ]
        for layer in store.layers
    ]
    return sorted(zip(keys, zip(*states, strict=True), strict=True))


def _content(path: Path) -> Any:
    if path.is_dir():
        return _READ_WHOLE[path.name](path)
    if path.suffix == ".json":
        return _plain(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        lines = [_plain(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        return sorted(lines, key=lambda line: line.get("doc_id", 0))  # several processes take turns
    if path.suffix == ".csv":
        return _columns(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _columns(path: Path) -> Any:
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return {name: list(table[name]) for name in table if not _VARIES.search(str(name))}


#: Folders of files whose names are drawn → what reads them.
_READ_WHOLE = {"traces": _traces, "states": _states}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not _VARIES.search(k)}
    return [_plain(v) for v in value] if isinstance(value, list) else value
