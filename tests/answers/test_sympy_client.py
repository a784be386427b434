"""The process that compares: any thread, stuck expressions, a process that dies or never starts."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from l2_harness.answers import Verdict, equivalent
from l2_harness.answers.sympy_client import SympyClient

STUCK = (r"\sum_{n=1}^{10^{12}} \frac{\sin n}{n^2+1} + x", r"9^{9^{9^{9}}} + x")


def processor_seconds_of_children() -> float:
    """Of those that have ended; what the clock says depends on what else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def client() -> Iterator[SympyClient]:
    client = SympyClient(seconds=2)
    yield client
    client.close()


def test_equal_and_different(client: SympyClient) -> None:
    assert client.compare("x+1", "1+x", 1e-6) is Verdict.EQUAL
    assert client.compare("x+1", "x+2", 1e-6) is Verdict.DIFFERENT


def test_works_off_the_main_thread_and_on_several() -> None:
    def ask(number: int) -> bool:
        assert threading.current_thread() is not threading.main_thread()
        return equivalent(f"x^2+{number}", f"{number}+x^2") and not equivalent("x", f"x+{number}")

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(1, 21)))


def test_stuck_comparison_is_given_up_and_the_next_one_works(client: SympyClient) -> None:
    begun = processor_seconds_of_children()
    assert client.compare(STUCK[1], "x", 1e-6) in (Verdict.TIMEOUT, Verdict.ERROR)
    assert processor_seconds_of_children() - begun < 12  # the start of the process included
    assert client.compare("x+1", "1+x", 1e-6) is Verdict.EQUAL


def test_killed_process_is_an_error_not_a_crash(client: SympyClient) -> None:
    client.compare("x", "y", 1e-6)
    assert client._worker is not None
    os.kill(client._worker._process.pid, signal.SIGKILL)
    assert client.compare("x+1", "1+x", 1e-6) is Verdict.ERROR
    assert client.compare("x+1", "1+x", 1e-6) is Verdict.EQUAL


def test_process_that_cannot_start_is_an_error(
    client: SympyClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert client.compare("x+1", "1+x", 1e-6) is Verdict.ERROR
    assert "math-verify" in caplog.text


def test_failing_expression_is_an_error_or_different(client: SympyClient) -> None:
    for broken in (r"\frac{1}{0}", r"\int", "=", r"\\\\", "((", "x" * 5000):
        assert client.compare("x+1", broken, 1e-6) is not Verdict.EQUAL
