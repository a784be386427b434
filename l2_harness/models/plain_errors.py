"""What the ``lm_eval`` command shows of a wrong argument: the message, without a traceback.

lm-eval lets every exception through to Python. A message that names an argument and the way out
is hard to find below the fifty lines of a traceback, so those errors are told as this project's
own command tells them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from l2_harness.config import ConfigError

_COMMANDS = ("lm_eval.__main__", "lm_eval", "lm-eval")


def tell_plainly(model: str) -> None:
    """Let a :class:`ConfigError` end the ``lm_eval`` command with one line on stderr.

    Elsewhere (a script, a notebook) and for any other error nothing changes; the exit status
    is 1 as before.

    Args:
        model: what the line begins with, such as ``l2hf``.
    """
    before = sys.excepthook
    if not _is_lm_eval_command() or isinstance(before, _PlainHook):
        return
    sys.excepthook = _PlainHook(model, before)


class _PlainHook:
    def __init__(self, model: str, before: object) -> None:
        self._model = model
        self._before = before

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ConfigError):
            print(f"{self._model}: error: {error}", file=sys.stderr)
        elif callable(self._before):
            self._before(kind, error, traceback)


def _is_lm_eval_command() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return (Path(sys.argv[0]).stem if spec is None else spec.name) in _COMMANDS
