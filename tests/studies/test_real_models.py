"""The study from end to end on the packaged model, and its choice of a level."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from l2_harness.findings.section import find_sections
from l2_harness.studies.real_models import CANDIDATES, Model, middling

COMMAND = [sys.executable, "-m", "l2_harness.studies.real_models", "--model", "demo", "--quick"]


def study(out: Path) -> str:
    done = subprocess.run([*COMMAND, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.process
def test_every_step_runs_once(tmp_path: Path) -> None:
    out = tmp_path / "study"
    first = study(out)
    taken = pd.read_csv(out / "steps.csv")
    assert taken["done"].all()
    assert (taken["attempts"] == 1).all()
    assert all(f" {name}: " in first for name in taken["step"])
    names = {section.name for section in find_sections(out)}
    assert {"norms", "confounds", "profiles", "token_kinds", "course"} <= names
    assert {"selection", "leaderboard", "costs", "causal"} <= names
    assert {"sae_quality", "sae_features", "sae_trend", "sae_correlate", "sae_bound"} <= names
    assert str(tmp_path) not in (out / "report.html").read_text("utf-8")
    assert "[" not in study(out), "a step that is done was run again"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, 0),
        ({2: (0.3, 1.0), 3: (0.5, 1.0)}, 2),
        ({0: (0.3, 0.2), 3: (0.25, 0.9)}, 3),
        ({0: (1.0, 1.0), 3: (0.12, 1.0)}, 3),
        ({number: (number / 10, 0.0) for number in range(5)}, 2),
    ],
    ids=[
        "nothing is right",
        "first",
        "what is cut off has no answer",
        "nearest to half",
        "all cut",
    ],
)
def test_the_level(scores: dict[int, tuple[float, float]], expected: int) -> None:
    found = {one: scores.get(i, (0.0, 1.0)) for i, one in enumerate(CANDIDATES)}
    assert middling(found) == CANDIDATES[expected]


def test_layers_are_spread_to_the_last_but_one() -> None:
    assert Model("x", "x", 30, True).spread(5) == [6, 11, 17, 22, 28]
    assert Model("x", "x", 3, True).spread(5) == [0, 1]
