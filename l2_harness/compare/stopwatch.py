"""The seconds that a cell has taken over all its attempts, kept through kills."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from l2_harness.whole_files import write_atomically

_EVERY = 2.0


class Stopwatch:
    """Counts while it runs, and writes what it has counted every other second.

    A kill loses at most that. The time of work that a kill lost stays counted: it was spent.

    Args:
        path: where the seconds of earlier attempts are, and where they go; None to keep none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._before = 0.0
        self._started: float | None = None
        if path is not None:
            with suppress(OSError, ValueError):
                self._before = float(path.read_text("ascii"))

    @property
    def seconds(self) -> float:
        """All of them so far."""
        now = 0.0 if self._started is None else time.monotonic() - self._started
        return self._before + now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts within this."""
        self._started = time.monotonic()
        over = threading.Event()
        writer = threading.Thread(target=self._keep_writing, args=(over,), daemon=True)
        writer.start()
        try:
            yield
        finally:
            over.set()
            writer.join()
            self._before, self._started = self.seconds, None
            self._write()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.running():
                return function(*args, **kwargs)

        return counted

    def _keep_writing(self, over: threading.Event) -> None:
        while not over.wait(_EVERY):
            self._write()

    def _write(self) -> None:
        if self._path is not None:
            with suppress(OSError):  # a full disk is for the results to report
                write_atomically(self._path, f"{self.seconds:.3f}\n".encode("ascii"))
