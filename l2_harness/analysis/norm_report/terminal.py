"""The main findings on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from l2_harness.analysis.norm_report.study import Study
from l2_harness.analysis.sections import Section


def print_study(study: Study, sections: Sequence[Section], out: Path) -> None:
    """Each section's findings, and where everything lies."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for section in sections:
        console.print(f"[bold]{escape(section.title)}[/bold]")
        for finding in section.findings:
            console.print(f"  {escape(finding)}")
    seconds = sum(study.seconds.values())
    names = ", ".join(section.name for section in sections)
    console.print(
        f"In {out}: {names}; associations.csv, norm_statistics.parquet ({seconds:.1f} s)",
        soft_wrap=True,
        markup=False,
    )
