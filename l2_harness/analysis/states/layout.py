"""The files of a folder of captured states.

    states.json                     settings, and what the verification found
    part-<sequence>-<random>/       responses, complete or not there at all
        index.parquet               a row a response, see INDEX_COLUMNS
        layer-<number>.npy          (rows, d), the rows of its responses one after another
        deviation.json              how far its norms and entropies are from the recorded ones
        square_sums.npy             (layers, d) float64, sums of squares over the rows
    norms_without_outliers.parquet  see `l2_harness.analysis.states.outliers`
    .part-….tmp/                    a part being written, or cut off by a kill

One process at a time writes a folder.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.config.errors import ConfigError
from l2_harness.json_text import check_shape, parse_json
from l2_harness.norms.parquet_files import first_line, read_columns
from l2_harness.whole_files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
SETTINGS = "states.json"
_SHAPE = {"schema": int, "layers": [int], "d_model": int, "dtype": str, "run_id": str}
INDEX = "index.parquet"
SQUARE_SUMS = "square_sums.npy"
DEVIATION = "deviation.json"
WITHOUT_OUTLIERS = "norms_without_outliers.parquet"

#: What tells a captured response from the others, as in the traces.
KEY = ("run_id", "task", "doc_id", "idx", "repeat", "sample")

#: How states are stored: name → numpy's type in the file. numpy has no bfloat16: its bits are
#: kept as whole numbers of 16 bits.
STORED = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}


def layer_file(layer: int) -> str:
    """The name of a layer's file in a part."""
    return f"layer-{layer:03d}.npy"


def part_folders(states: Path) -> list[Path]:
    """The complete parts, in the order in which they were written."""
    return sorted(p for p in states.glob("part-*") if (p / INDEX).is_file())


def new_part(states: Path) -> tuple[Path, Path]:
    """A folder to write a part into, made, and the name that it gets once it is complete."""
    sequence = len(part_folders(states))
    name = f"part-{sequence:06d}-{secrets.token_hex(4)}"
    temporary = states / f".{name}.tmp"
    temporary.mkdir(parents=True)
    return temporary, states / name


def deviations(states: Path) -> dict[str, float]:
    """The largest deviations of norms (relative) and entropies (nats) over all parts."""
    found = [_deviation(part / DEVIATION) for part in part_folders(states)]
    return {
        "max_norm_deviation": max(one["norm"] for one in found),
        "max_entropy_deviation": max(one["entropy"] for one in found),
    }


def read_index(part: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a part's index.

    Raises:
        ConfigError: it is damaged.
    """
    import pyarrow as pa

    path = part / INDEX
    try:
        frame = read_columns(path, columns).to_pandas()
        if "rows" in columns:
            _check_rows(frame["rows"])
        return frame
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: BaseException) -> ConfigError:
    """What is said of a file of a part that can't be used."""
    return ConfigError(
        f"{path} is damaged ({first_line(error)}): delete {path.parent}, then run the same capture "
        "again."
    )


def remove_unfinished(states: Path) -> None:
    """Delete what a killed capture left half written."""
    for path in states.glob(".part-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def write_settings(states: Path, settings: Mapping[str, Any]) -> None:
    """Write ``states.json``, complete or not at all."""
    text = json.dumps({"schema": SCHEMA, **settings}, indent=1, ensure_ascii=False)
    write_atomically(states / SETTINGS, (text + "\n").encode())


def read_settings(states: Path) -> dict[str, Any]:
    """What ``states.json`` says.

    Raises:
        ConfigError: there is none, or it is damaged or a newer version's.
    """
    path = states / SETTINGS
    try:
        settings = parse_json(path.read_bytes())
        check_shape(settings, _SHAPE)
        newer = settings["schema"] > SCHEMA
        if not newer:
            _check_settings(settings)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{states} holds no captured states ({SETTINGS} is missing): write them with "
            "l2-harness capture TRACE_DIR --samples RESULTS --out STATES."
        ) from error
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}): capture into another folder.") from error
    if newer:
        raise ConfigError(f"{path} is a newer version's: install that, or capture again.")
    return dict(settings)


def _deviation(path: Path) -> dict[str, float]:
    try:
        found = parse_json(path.read_bytes())
        check_shape(found, {"norm": float, "entropy": float})
        return {"norm": found["norm"], "entropy": found["entropy"]}
    except (OSError, ValueError, KeyError) as error:
        raise damaged(path, error) from error


def _check_rows(rows: pd.Series) -> None:
    if rows.dtype.kind not in "iu":
        raise ValueError("rows are no whole numbers")
    if not (rows > 0).all():
        raise ValueError("a response without rows")


def _check_settings(settings: Mapping[str, Any]) -> None:
    """All that is needed, and states that can be read."""
    for name in _SHAPE:
        if name not in settings:
            raise ValueError(f"{name} is missing")
    if settings["dtype"] not in STORED:
        raise ValueError(f"dtype is {settings['dtype']!r}")
    if not settings["layers"] or settings["d_model"] < 1:
        raise ValueError("no layer, or no component")
