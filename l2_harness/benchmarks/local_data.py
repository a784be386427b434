"""The offline switch: the rows of a data set from a JSONL file in place of the hub.

The folder is the task metadata's ``l2_data`` (lm_eval's ``--metadata l2_data=DIR``) or the
environment variable ``L2_HARNESS_DATA``. A task's YAML says which file it reads and how the
file's columns are called where they differ from the hub's; ``columns.json`` in the folder may say
otherwise, ``{"gsm8k/test.jsonl": {"question": "frage"}}``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.json_text import check_shape, parse_json

DATA_VARIABLE = "L2_HARNESS_DATA"
COLUMNS_FILE = "columns.json"


def data_folder(metadata: Mapping[str, Any]) -> Path | None:
    """The folder of local data, or None where the hub is to be used.

    Raises:
        ConfigError: the folder does not exist.
    """
    named = metadata.get("l2_data") or os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    folder = Path(str(named)).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"l2_data={str(named)!r} is no folder. Give one, or none for the hub.")
    return folder


def read_rows(folder: Path, file: str, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a local file under the hub's column names.

    Args:
        folder: where local data is.
        file: the file's name below it.
        columns: hub column -> the file's column. A file that has the hub's name needs no map.

    Raises:
        ConfigError: the file is missing, is no JSONL, or lacks a column.
    """
    path = folder / file
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; without l2_data the hub is used.")
    own_names = columns_of(folder).get(file, {})
    names = {column: own_names.get(column, name) for column, name in columns.items()}
    rows = [_renamed(row, names, f"{path}:{line}") for line, row in _numbered_rows(path)]
    if not rows:
        raise ConfigError(f"{path} holds no row.")
    return rows


def columns_of(folder: Path) -> dict[str, dict[str, str]]:
    """What ``columns.json`` says: file -> hub column -> column.

    Raises:
        ConfigError: it is not of that form.
    """
    path = folder / COLUMNS_FILE
    if not path.is_file():
        return {}
    maps = _parse(path.read_bytes(), str(path))
    try:
        check_shape(list(maps.values()), [dict])
        check_shape([name for own in maps.values() for name in own.values()], [str])
    except ValueError:
        raise ConfigError(f'{path} must read {{"FILE": {{"HUB COLUMN": "COLUMN"}}}}.') from None
    return maps


def _numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse(line, f"{path}:{number}")


def _parse(text: bytes, where: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise ConfigError(f"{where} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{where} holds a {type(value).__name__}, not an object.")
    return value


def _renamed(row: Mapping[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    renamed = {}
    for column, name in names.items():
        found = name if name in row else column
        if found not in row:
            raise ConfigError(
                f"{where} has no column {name!r}; it has {', '.join(map(repr, row))}. "
                f"Name the right one in {COLUMNS_FILE}."
            )
        renamed[column] = row[found]
    return renamed
