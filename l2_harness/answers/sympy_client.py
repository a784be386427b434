"""The process that compares expressions, seen from outside: started when needed, killed when stuck.

math-verify limits its time with signals, which work on the main thread only and not while Python
is inside one long operation. A process can be killed from any thread at any time.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from typing import IO, Any

from l2_harness.answers.verdict import Verdict

#: Seconds for one comparison, and for the process to import sympy on a busy machine.
COMPARE_SECONDS = 5.0
START_SECONDS = 120.0

logger = logging.getLogger(__name__)


class SympyClient:
    """Compares expressions in a worker process, one at a time; any thread may ask."""

    def __init__(self, seconds: float = COMPARE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    def compare(self, gold: str, answer: str, tolerance: float) -> Verdict:
        """Whether two tidied expressions are equal. Never raises: a failure is a verdict."""
        request = {"gold": gold, "answer": answer, "tolerance": tolerance}
        with self._lock:
            try:
                reply = self._running().ask(request, self._seconds)
            except TimeoutError:
                self.close()
                logger.warning("Gave up comparing %.80r with %.80r: too long.", gold, answer)
                return Verdict.TIMEOUT
            except (OSError, ValueError) as error:
                self.close()
                logger.warning("Could not compare %.80r with %.80r: %s", gold, answer, error)
                return Verdict.ERROR
        return _verdict(reply, gold, answer)

    def close(self) -> None:
        """End the worker; the next comparison starts another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _running(self) -> _Worker:
        # A forked child must not share its parent's pipes.
        if self._worker is None or self._worker.owner != os.getpid():
            self._worker = _Worker()
        return self._worker


def _verdict(reply: dict[str, Any], gold: str, answer: str) -> Verdict:
    if "equal" in reply:
        return Verdict.EQUAL if reply["equal"] else Verdict.DIFFERENT
    logger.warning("Could not compare %.80r with %.80r: %s", gold, answer, reply.get("error"))
    return Verdict.ERROR


class _Worker:
    """One process, and the thread that reads what it writes."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        search_path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "l2_harness.answers.sympy_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": search_path},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._receive(START_SECONDS)

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply to one request.

        Raises:
            TimeoutError: no reply within ``seconds``.
            OSError: the process has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._receive(seconds)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str]) -> None:
        try:
            for line in stream:
                self._lines.put(line)
        except ValueError:  # closed by kill()
            pass
        self._lines.put("")

    def _receive(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None
        if not line:
            raise OSError("the process that compares expressions ended; is math-verify installed?")
        return json.loads(line)


#: The client of this process.
sympy_client = SympyClient()
atexit.register(sympy_client.close)
