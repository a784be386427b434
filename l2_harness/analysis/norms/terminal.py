"""The main findings on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from l2_harness.analysis.norms.study import Study
from l2_harness.findings.section import Section

#: Findings of a section; the others are in its files.
_SHOWN = 3


def print_study(study: Study, sections: Sequence[Section], out: Path) -> None:
    """Each section's first findings, and where everything lies."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for section in sections:
        console.print(f"[bold]{escape(section.title)}[/bold]")
        for finding in section.findings[:_SHOWN]:
            console.print(f"  {escape(finding)}")
        if len(section.findings) > _SHOWN:
            console.print(f"  … {len(section.findings) - _SHOWN} more in {section.name}")
    seconds = sum(study.seconds.values())
    names = ", ".join(section.name for section in sections)
    console.print(
        f"In {out}: {names}; associations.csv, norm_statistics.parquet ({seconds:.1f} s)",
        soft_wrap=True,
        markup=False,
    )
