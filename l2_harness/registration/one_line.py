"""The stock ``lm_eval`` command says what is wrong, or how to go on after Ctrl-C, in one line.

Without it a user of that command finds the message below the traceback of lm-eval's own code.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType

_COMMANDS = frozenset({"lm_eval", "lm-eval"})
_OURS = ("l2hf", "l2vllm")
_INTERRUPTED = (
    "interrupted; the same command goes on from the responses in its trace_dir (record=tokens), "
    "and begins anew without one"
)


def errors_in_one_line() -> None:
    """Where lm-eval's command runs, show an error of ours as its message, and Ctrl-C of a model of
    ours as the way on; leave all others.

    In any other program, such as a script or a notebook, tracebacks stay.
    """
    before = sys.excepthook

    def show(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        told = _told(error) if _is_lm_eval() else None
        if told is None:
            before(kind, error, traceback)
        elif not isinstance(error, KeyboardInterrupt) or os.environ.get("RANK", "0") == "0":
            print(told, file=sys.stderr)  # Ctrl-C reaches all processes of a run: one tells

    sys.excepthook = show


def _told(error: BaseException) -> str | None:
    from l2_harness.config.errors import ConfigError, NumbersError, StorageError
    from l2_harness.printable_text import printable_lines

    if isinstance(error, ConfigError | NumbersError | StorageError):
        return printable_lines(f"error: {error}")
    return f"\n{_INTERRUPTED}" if isinstance(error, KeyboardInterrupt) and _is_ours() else None


def _is_lm_eval() -> bool:
    """Known once the program has its arguments: while ``-m`` finds its module they are others."""
    started = Path(sys.argv[0] if sys.argv else "")
    return (started.parent.name if started.name == "__main__.py" else started.stem) in _COMMANDS


def _is_ours() -> bool:
    """Whether the run is of a model of this project: loaded, or named on the command line."""
    return "l2_harness.models" in sys.modules or any(word in _OURS for word in sys.argv)
