"""A small share of the fuzzing of every parser: ``fuzz.py`` has the rest.

hypothesis makes the choices, so that an input that fails is told in its smallest form.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import fuzz
import parsers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INPUTS = 60


@pytest.mark.parametrize("name", parsers.TARGETS)
def test_only_its_own_errors(name: str, tmp_path: Path) -> None:
    target = parsers.TARGETS[name]
    call = parsers.quietly(target.call)

    @settings(
        max_examples=INPUTS if target.share > 0.1 else 5,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms())
    def check(rng: Random) -> None:
        parsers.emptied(tmp_path / "input")
        try:
            call(target.inputs(rng), tmp_path / "input")
        except target.errors:
            return

    check()


def test_faults_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the campaign is there to notice: another error, a wrong value, more than a second."""

    def broken(value: int, folder: Path) -> None:
        if value == 3:
            raise KeyError(value)
        assert value != 4
        if value == 5:
            sum(range(10_000_000))

    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    target = parsers.Target(lambda rng: rng.randint(1, 5), broken)
    monkeypatch.setitem(parsers.TARGETS, "broken", target)
    tally = fuzz.fuzz("broken", 40, 0, tmp_path / "input")
    assert {kind.split()[0] for kind in tally.faults} == {
        "KeyError",
        "AssertionError",
        "FaultError",
    }
