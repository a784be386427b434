"""The process that compares expressions, seen from outside: started when needed, killed when stuck.

math-verify limits its time with signals, which work on the main thread only and not while Python
is inside one long operation. A process can be ended from any thread at any time, and the system
ends it by its processor time: on a busy machine the clock says nothing about an expression.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import IO, Any

from l2_harness.answers.verdict import Verdict

#: Processor time for one comparison, in seconds.
COMPARE_SECONDS = 5.0
#: Seconds for the process to import sympy on a busy machine.
START_SECONDS = 120.0
#: How much longer than its processor time a comparison may take on a busy machine; without limits
#: on processor time (on Windows), not at all.
BUSY = 20.0 if hasattr(signal, "SIGXCPU") else 1.0
#: Characters above which an expression is not read.
LONGEST_EXPRESSION = 2_000
#: Verdicts that are kept.
KEPT = 1 << 16

logger = logging.getLogger(__name__)


class SympyClient:
    """Compares expressions in a worker process, one at a time; any thread may ask.

    Verdicts are kept: the responses to one question share few answers. So are the expressions that
    took too long to read, which are not tried again.
    """

    def __init__(self, seconds: float = COMPARE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._verdicts: OrderedDict[tuple[str, str, float], Verdict] = OrderedDict()
        self._endless: set[str] = set()
        self._budget = threading.local()

    @contextlib.contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Of what this thread compares inside, the part after so much processor time times out."""
        outer = getattr(self._budget, "ends", math.inf)
        self._budget.ends = min(outer, self._clock() + seconds)
        try:
            yield
        finally:
            self._budget.ends = outer

    def seconds_left(self) -> float:
        """What is left of this thread's budget; without one, there is no end."""
        return getattr(self._budget, "ends", math.inf) - self._clock()

    def compare(self, gold: str, answer: str, tolerance: float) -> Verdict:
        """Whether two tidied expressions are equal. Never raises: a failure is a verdict."""
        key = (gold, answer, tolerance)
        with self._lock:
            if key in self._verdicts:
                self._verdicts.move_to_end(key)
                return self._verdicts[key]
            seconds = min(self._seconds, self.seconds_left())
            too_long = max(len(gold), len(answer)) > LONGEST_EXPRESSION
            if too_long or seconds <= 0 or not self._endless.isdisjoint((gold, answer)):
                return Verdict.TIMEOUT
            try:
                verdict = self._ask(gold, answer, tolerance, seconds)
            except (OSError, ValueError) as error:
                self.close()
                logger.warning("Could not compare %.80r with %.80r: %s", gold, answer, error)
                return Verdict.ERROR
            if verdict is not Verdict.TIMEOUT or seconds == self._seconds:
                self._verdicts[key] = verdict
            if len(self._verdicts) > KEPT:
                self._verdicts.popitem(last=False)
        return verdict

    def close(self) -> None:
        """End the worker; the next comparison starts another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _ask(self, gold: str, answer: str, tolerance: float, seconds: float) -> Verdict:
        request = {"gold": gold, "answer": answer, "tolerance": tolerance, "seconds": seconds}
        try:
            reply = self._running().ask(request)
        except TimeoutError:
            if self._worker is not None and self._worker.reading is not None:
                self._endless.add(self._worker.reading)
            self.close()
            self._spend(seconds)
            logger.warning("Gave up comparing %.80r with %.80r: too long.", gold, answer)
            return Verdict.TIMEOUT
        self._spend(reply["seconds"])
        return _verdict(reply, gold, answer)

    def _clock(self) -> float:
        """Processor time of this thread and of the worker on its behalf."""
        return time.thread_time() + getattr(self._budget, "spent", 0.0)

    def _spend(self, seconds: float) -> None:
        self._budget.spent = getattr(self._budget, "spent", 0.0) + seconds

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
        self.reading: str | None = None
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

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request.

        Raises:
            TimeoutError: no reply in the processor time that the request allows.
            OSError: the process has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        while "reading" in (reply := self._receive(request["seconds"] * BUSY)):
            self.reading = reply["reading"]
        return reply

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
        if not line and -self._process.wait() == getattr(signal, "SIGXCPU", None):
            raise TimeoutError
        if not line:
            raise OSError("the process that compares expressions ended; is math-verify installed?")
        return json.loads(line)


#: The client of this process.
sympy_client = SympyClient()
atexit.register(sympy_client.close)
