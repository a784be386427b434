"""What the stock ``lm_eval`` command, and no other program, shows in place of a traceback."""

from __future__ import annotations

import sys

import pytest

from l2_harness.config.errors import ConfigError, NumbersError, StorageError
from l2_harness.registration.one_line import errors_in_one_line

RUN = ["/bin/lm_eval", "--model", "l2hf"]


@pytest.mark.parametrize(
    ("argv", "error", "shown"),
    [
        (RUN, ConfigError("layers=9 is out of range."), "error: layers=9 is out of range."),
        (RUN, StorageError(28, "can't write"), "error: [Errno 28] can't write"),
        (RUN, NumbersError("the model gives no numbers"), "error: the model gives no numbers"),
        (RUN, KeyboardInterrupt(), "interrupted; the same command goes on from the responses in"),
        (["/lib/lm_eval/__main__.py", *RUN[1:]], KeyboardInterrupt(), "interrupted; the same"),
        (["/bin/lm_eval", "--model", "other"], OSError("disk full"), None),
        (["notebook.py", "--model", "l2hf"], KeyboardInterrupt(), None),
        (["notebook.py"], ConfigError("layers=9 is out of range."), None),
    ],
)
def test_in_one_line(
    argv: list[str],
    error: BaseException,
    shown: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "excepthook", lambda *about: left.append(about[1]))
    errors_in_one_line()
    sys.excepthook(type(error), error, None)
    told = capsys.readouterr().err.strip()
    assert left == ([error] if shown is None else [])
    assert told.startswith(shown or "")
    assert len(told.splitlines()) == (shown is not None)


@pytest.mark.parametrize(("rank", "tells"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_one_tells_of_ctrl_c(
    rank: str | None,
    tells: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error may be of one of them alone: each tells of its own."""
    monkeypatch.setattr(sys, "argv", RUN)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    errors_in_one_line()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert ("the same command goes on" in capsys.readouterr().err) == tells
    sys.excepthook(ConfigError, ConfigError("layers=9"), None)
    assert capsys.readouterr().err == "error: layers=9\n"
