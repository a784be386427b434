"""A section's figure inside a page: no other file is needed to see it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from l2_harness.findings.section import Section, SectionError

#: Drawings of many thousand points are shown as PNG: as SVG they would slow the page down.
MOST_SVG_BYTES = 400_000

_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Picture:
    """A figure, ready to be shown.

    Attributes:
        title, caption, alt: the figure's.
        source: a data: address. As an image's source it runs no script, whatever the file holds.
        files: those beside the report, by the name of their format.
    """

    title: str
    caption: str
    alt: str
    source: str
    files: dict[str, Path]


def pictures(section: Section) -> Sequence[Picture]:
    """The figures of a section that was read or written.

    Raises:
        SectionError: a file is missing.
    """
    if section.figures and section.folder is None:
        raise SectionError(
            f"section {section.name!r} has figures but no folder: write_section writes them."
        )
    result = []
    for figure in section.figures:
        assert section.folder is not None
        files = {end: section.folder / f"{figure.name}.{end}" for end in ("png", "svg")}
        present = {end: file for end, file in files.items() if file.is_file()}
        if not present:
            raise SectionError(f"{files['png']} is missing; run the section's command again.")
        source = _data_address(present)
        result.append(Picture(figure.title, figure.caption, figure.alt, source, present))
    return result


def _data_address(files: dict[str, Path]) -> str:
    svg = files.get("svg")
    small = svg is not None and svg.stat().st_size <= MOST_SVG_BYTES
    kind = "svg" if small or "png" not in files else "png"
    content = base64.b64encode(files[kind].read_bytes()).decode("ascii")
    return f"data:{_TYPES[kind]};base64,{content}"
