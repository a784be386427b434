"""The stock ``lm_eval`` command says what is wrong with an argument in one line.

Without it a user of that command finds the message below the traceback of lm-eval's own code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

_COMMANDS = frozenset({"lm_eval", "lm-eval"})


def errors_in_one_line() -> None:
    """Where lm-eval's command runs, show a ConfigError as its message; leave all others.

    In any other program, such as a script or a notebook, tracebacks stay.
    """
    started = Path(sys.argv[0] if sys.argv else "")
    name = started.parent.name if started.name == "__main__.py" else started.stem
    if name not in _COMMANDS:
        return
    before = sys.excepthook

    def show(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        from l2_harness.config.errors import ConfigError

        if isinstance(error, ConfigError):
            print(f"error: {error}", file=sys.stderr)
        else:
            before(kind, error, traceback)

    sys.excepthook = show
