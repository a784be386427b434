"""What a command tells on stderr: a line for each thing, whatever a name or a text in it holds."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any


def tell(message: str) -> None:
    """A line from the command."""
    from l2_harness.printable_text import printable_lines

    print(printable_lines(f"l2-harness: {message}"), file=sys.stderr)


def print_what_can_be() -> None:
    """A character that standard output's encoding lacks becomes ``?``, and ends nothing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def show_warnings() -> None:
    """This project's warnings are lines from now on, each told once; others stay as they are."""
    before, told = warnings.showwarning, set[str]()

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if not category.__module__.startswith("l2_harness"):
            before(message, category, *where, **more)
        elif str(message) not in told:
            told.add(str(message))
            tell(f"warning: {message}")

    warnings.showwarning = show
