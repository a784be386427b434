"""The command line that is running, as a section names it."""

from __future__ import annotations

import shlex
import sys


def command_line() -> str:
    """What the user typed; under the command's own name, also of ``python -m l2_harness.cli``."""
    return shlex.join(["l2-harness", *sys.argv[1:]])
