"""A section: what one analysis found, as files that stand alone and as a part of the report.

A folder a section. ``section.json`` has the words, ``<table>.csv`` each table and ``<figure>.png``
and ``.svg`` each figure, so that everything can be used without this project. ``l2-harness report``
reads the folders back and knows nothing of what made them.

In a table the columns ``x``, ``x_low`` and ``x_high`` are a value and its 95 % interval; whoever
shows it may show them as one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness import __version__
from l2_harness.config.errors import ConfigError
from l2_harness.findings.csv_files import read_csv, write_csv
from l2_harness.findings.figures import save_figure
from l2_harness.json_text import check_shape, parse_json
from l2_harness.whole_files import write_text_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

SCHEMA = 1
FILE = "section.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SHAPE = {
    **{"schema": int, "version": str, "name": str, "title": str, "order": int, "command": str},
    **{"findings": [str], "caveats": [str], "settings": dict},
    "tables": [{"name": str, "title": str, "caption": str, "meanings": dict}],
    "figures": [{"name": str, "title": str, "caption": str, "alt": str}],
}


class SectionError(ConfigError):
    """A folder that holds no section, or a damaged one; names the file and the way out."""


class NewerSectionError(SectionError):
    """A section that this version can't read, and so doesn't replace either."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of figures.

    Attributes:
        name: of the file, lower case.
        title: over it.
        frame: the rows; plain numbers and texts, a plain index that is left out.
        caption: what it shows and how to read it, a sentence or two.
        meanings: column → what it is, with its unit; columns without one speak for themselves.
        brief: the columns that a terminal shows; without any the table is in its file alone.
    """

    name: str
    title: str
    frame: pd.DataFrame
    caption: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)
    brief: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture.

    Attributes:
        name: of the files, lower case.
        title: over it.
        caption: what it shows and how to read it, a sentence or two.
        alt: what is seen in it, for whoever can't see it.
        drawing: the picture, to be written; None in a section that was read.
    """

    name: str
    title: str
    caption: str
    alt: str
    drawing: Drawing | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Section:
    """What one analysis found.

    Attributes:
        name: of the folder, lower case.
        title: its heading.
        order: where it stands in a report, small first.
        findings: at most three short sentences, negative ones too; what a table or a figure shows
            is not told again.
        caveats: what the findings do not show and what could not be done, a line each.
        settings: what they were made of and with; plain values.
        command: the command that makes them.
        tables: in order.
        figures: in order.
        folder: where it was read from or written to.
    """

    name: str
    title: str
    order: int = 50
    findings: Sequence[str] = ()
    caveats: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        names = [t.name for t in self.tables] + [f.name for f in self.figures]
        for name in (self.name, *names):
            _check_name(name)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"section {self.name!r} has two parts named {', '.join(twice)}.")


def write_section(section: Section, out: Path) -> Path:
    """Write a section into ``out/<name>``, replacing what an earlier one left there.

    ``section.json`` comes last: a folder that has it is complete.
    """
    folder = out / section.name
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    for table in section.tables:
        write_csv(table.frame, folder / f"{table.name}.csv")
    for figure in section.figures:
        if figure.drawing is None:
            raise ValueError(f"figure {figure.name!r} of {section.name!r} has no drawing to write.")
        save_figure(figure.drawing, folder / figure.name)
    text = json.dumps(_as_dict(section), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomically(folder / FILE, text + "\n")
    return folder


def read_section(folder: Path) -> Section:
    """The section that :func:`write_section` wrote.

    Raises:
        SectionError: there is none, it is damaged, or a newer version wrote it.
    """
    content = _described(folder)
    try:
        tables = [
            Table(frame=read_csv(folder / f"{table['name']}.csv"), **table)
            for table in content.pop("tables")
        ]
        figures = [Figure(**figure) for figure in content.pop("figures")]
        return Section(**content, tables=tables, figures=figures, folder=folder)
    except FileNotFoundError as error:
        raise SectionError(
            f"{folder}: {error.filename} is missing; run its command again."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error


def _described(folder: Path) -> dict[str, Any]:
    """What ``section.json`` says, whose names are those of files in the folder.

    Raises:
        SectionError: there is none, it is damaged, or a newer version wrote it.
    """
    path = folder / FILE
    try:
        content: dict[str, Any] = parse_json(path.read_bytes())
        check_shape(content, _SHAPE)
        if content.pop("schema") > SCHEMA:
            raise NewerSectionError(f"{path}: written by a newer version; this one reads {SCHEMA}.")
        content.pop("version")
        for part in (*content["tables"], *content["figures"]):
            _check_name(part["name"])
    except NewerSectionError:
        raise
    except FileNotFoundError as error:
        raise SectionError(f"{folder}: {path} is missing; run its command again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error
    return content


def _damaged(folder: Path, error: Exception) -> SectionError:
    return SectionError(f"{folder / FILE}: no section ({error!r}); run its command again.")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} names a file: use lower-case letters, digits, _ and -.")


def find_sections(folder: Path) -> list[Section]:
    """All sections in and below a folder, in the order of a report.

    Raises:
        SectionError: the folder holds none, or a damaged one.
    """
    found = [read_section(path.parent) for path in sorted(folder.rglob(FILE))]
    if not found:
        raise SectionError(
            f"{folder} holds no section: run `l2-harness analyze`, `select`, `sae`, `causal` or "
            "`compare` with --out in it first."
        )
    return sorted(found, key=lambda section: (section.order, section.name))


def _remove_earlier(folder: Path) -> None:
    """What an earlier section wrote here, its description first."""
    path = folder / FILE
    if not path.exists():
        return
    files: list[str] = []
    try:
        earlier = _described(folder)
        files += [f"{table['name']}.csv" for table in earlier["tables"]]
        files += [f"{one['name']}.{end}" for one in earlier["figures"] for end in ("png", "svg")]
    except NewerSectionError:
        raise
    except SectionError:  # damaged: what is written now takes its place
        pass
    path.unlink()
    for name in files:
        (folder / name).unlink(missing_ok=True)


def _as_dict(section: Section) -> dict[str, Any]:
    def told(of: object, names: Sequence[str]) -> dict[str, Any]:
        return {name: getattr(of, name) for name in names}

    names = ("name", "title", "order", "findings", "caveats", "settings", "command")
    content = {
        "schema": SCHEMA,
        "version": __version__,
        **told(section, names),
        "tables": [told(t, ("name", "title", "caption", "meanings")) for t in section.tables],
        "figures": [told(f, ("name", "title", "caption", "alt")) for f in section.figures],
    }
    return dict(plain(content))


def plain(value: Any) -> Any:
    """``value`` as JSON has it: None for what is not finite, text for what it doesn't know."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
