"""A line for each thing that a command tells on stderr."""

from __future__ import annotations

import io
import sys
import warnings

import pytest

from l2_harness.cli.one_line import print_what_can_be, show_warnings, tell
from l2_harness.norms import TraceWarning


def test_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    tell("error: \x1b[31mred\u202e\x00 of\nüber ∑")
    assert capsys.readouterr().err == "l2-harness: error: \ufffd[31mred\ufffd\ufffd of\nüber ∑\n"


def test_a_warning_of_ours_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda m, *more, **_: others.append(str(m)))
        show_warnings()
        for _ in range(2):
            warnings.warn("part-1: left\x1b out", TraceWarning, stacklevel=1)
            warnings.warn("divided by zero", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().err == "l2-harness: warning: part-1: left\ufffd out\n"
    assert others == ["divided by zero"] * 2


def test_what_an_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    print_what_can_be()
    print("• σ is 1")
    assert written.getvalue().strip() == b"? ? is 1"
