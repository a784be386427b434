"""Sections and responses as one HTML file that needs nothing else, and no network.

Everything that comes from a model, a task or a user is escaped by the template engine or, in the
page of responses, put in as text by the script. Were that ever to fail, the page's Content
Security Policy still forbids every script but its own, which it knows by their hashes, and every
address but data: images.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from l2_harness import __version__
from l2_harness.findings.section import Section, find_sections
from l2_harness.findings.table_view import table_view
from l2_harness.report.palette import palette_css
from l2_harness.report.pictures import pictures
from l2_harness.report.responses.views import ResponseSet
from l2_harness.report.settings import setting_texts
from l2_harness.report.visible_text import prose, visible
from l2_harness.whole_files import write_text_atomically

if TYPE_CHECKING:
    from jinja2 import Environment

FILE = "report.html"

_SCRIPTS = ("dom.js", "tables.js", "norms.js", "tokens.js", "plot.js", "panel.js", "viewer.js")


def write_report(
    folder: Path,
    *,
    responses: ResponseSet | None = None,
    title: str | None = None,
    out: Path | None = None,
) -> Path:
    """Every section in and below a folder, as one file.

    Args:
        folder: where the sections are.
        responses: those to be shown, of :func:`l2_harness.report.load_responses`.
        title: of the page; by default it names the folder.
        out: the file, ``folder/report.html`` by default.

    Returns:
        The file.

    Raises:
        SectionError: the folder holds no section, or a damaged one.
    """
    out = out if out is not None else folder / FILE
    sections = find_sections(folder)
    title = title if title is not None else f"Report on {folder.resolve().name}"
    text = render_report(sections, title=title, responses=responses, base=out.parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out, text)
    return out


def responses_page(responses: ResponseSet, *, title: str = "Responses") -> str:
    """The page of responses on its own, as HTML."""
    return render_report((), title=title, responses=responses)


def render_report(
    sections: Sequence[Section],
    *,
    title: str,
    responses: ResponseSet | None = None,
    base: Path | None = None,
) -> str:
    """Sections in the order given, and responses, as the HTML of one page.

    Args:
        sections: read or written ones, whose figures lie in their folders.
        title: of the page.
        responses: those to be shown, or none.
        base: the folder that the page will lie in, from which links to the sections' files go
            out; None for a page without such links.

    Raises:
        SectionError: a figure's file is missing.
    """
    style, theme, script = _style(), _resource("theme.js"), _script()
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            title=title,
            version=__version__,
            policy=_policy(style, theme, script),
            style=Markup(style),
            theme=Markup(theme),
            script=Markup(script),
            sections=_section_views(sections, base),
            responses=responses,
            data=_data(responses),
        )
    )


def _section_views(sections: Sequence[Section], base: Path | None) -> list[dict[str, Any]]:
    taken: dict[str, int] = {}
    views = []
    for section, title in zip(sections, _titles(sections), strict=True):
        taken[section.name] = number = taken.get(section.name, 0) + 1
        folder = section.folder
        views.append(
            {
                "anchor": f"s-{section.name}" + (f"-{number}" if number > 1 else ""),
                "title": title,
                "findings": section.findings,
                "caveats": section.caveats,
                "settings": setting_texts(section.settings),
                "command": section.command,
                "folder": _link(folder, base),
                "pictures": [
                    (picture, {end: _link(file, base) for end, file in picture.files.items()})
                    for picture in pictures(section)
                ],
                "tables": [
                    (table_view(table), _link(folder and folder / f"{table.name}.csv", base))
                    for table in section.tables
                ],
            }
        )
    return views


def _titles(sections: Sequence[Section]) -> list[str]:
    """Each section's own, with the folders that tell it from others of the same title."""
    places: dict[str, list[tuple[str, ...]]] = {}
    for section in sections:
        places.setdefault(section.title, []).append(_place(section))
    return [
        f"{section.title}: {place}"
        if (place := _apart(_place(section), places[section.title]))
        else section.title
        for section in sections
    ]


def _place(section: Section) -> tuple[str, ...]:
    """The folders that a section's own is in."""
    return () if section.folder is None else section.folder.parent.parts


def _apart(place: tuple[str, ...], places: Sequence[tuple[str, ...]]) -> str:
    """Of folders, what not all of several paths begin or end with."""
    start = _shared(places)
    end = _shared([other[start:][::-1] for other in places])
    return "/".join(place[start : len(place) - end])


def _shared(paths: Sequence[tuple[str, ...]]) -> int:
    """How many of their first parts are the same in all."""
    parts = zip(*paths, strict=False)
    return sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, parts))


def _link(file: Path | None, base: Path | None) -> str | None:
    """A relative address, or None where there is nothing to be relative to."""
    if file is None or base is None:
        return None
    return quote(Path(os.path.relpath(file, base)).as_posix())


def _data(responses: ResponseSet | None) -> Markup | None:
    """The responses as JSON that no HTML parser takes for markup."""
    from jinja2.utils import htmlsafe_json_dumps

    from l2_harness.report.responses.packing import packed

    if responses is None:
        return None
    return htmlsafe_json_dumps(packed(responses), allow_nan=False, separators=(",", ":"))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("l2_harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "visible": visible}
    return environment


@cache
def _style() -> str:
    return palette_css() + _resource("style.css")


@cache
def _script() -> str:
    """The scripts in one function, so that nothing of them is global."""
    return "(() => {\n'use strict';\n" + "\n".join(map(_resource, _SCRIPTS)) + "})();\n"


@cache
def _resource(name: str) -> str:
    return (files("l2_harness.report") / "templates" / name).read_text("utf-8")


def _policy(style: str, *scripts: str) -> str:
    """A Content Security Policy under which these run, and nothing else."""
    hashes = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
