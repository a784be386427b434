"""``l2-harness selectors``: the names that ``selection=`` takes, and what they mean."""

from __future__ import annotations


def command() -> None:
    """List the ways to choose among sampled responses."""
    from rich.console import Console
    from rich.table import Table

    from l2_harness.config.selectors import ALIASES, ORACLE, SELECTORS

    table = Table(title="selection=NAME, with num_samples=N")
    table.add_column("name", no_wrap=True)
    table.add_column("chooses")
    for selector in SELECTORS.values():
        table.add_row(selector.name, selector.meaning)
    for alias, name in ALIASES.items():
        table.add_row(alias, f"the recommended ℓ2 score: {name}")
    table.add_row(ORACLE.name, f"in `l2-harness select` only: {ORACLE.meaning}")
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table, highlight=False)
