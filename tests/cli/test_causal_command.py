"""``l2-harness causal`` on the embedded model, as a user runs it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from l2_harness.cli import main
from l2_harness.compare.causal.runs import runs_of
from l2_harness.findings.section import find_sections
from l2_harness.norms import read_traces

LIMIT = 3
ARMS = 11  # plain, the sham, and three of each of scale, angle and norm


def run(out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    words = [
        *["l2-harness", "causal", "--tasks", "l2_demo", "--limit", str(LIMIT), "--factors", "0.1"],
        *["--model-args", "threshold_warmup=8,dtype=float32", "--device", "cpu"],
        *["--gen-kwargs", "max_gen_toks=60", "--out", str(out), *more],
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("causal")
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(out, monkeypatch)
    return out


def test_section_and_files(folder: Path) -> None:
    (section,) = find_sections(folder)
    assert (section.name, section.order) == ("causal", 40)
    assert section.command.startswith("l2-harness causal --tasks l2_demo --limit 3")
    assert section.settings["seed"] == 0
    assert any("changed no response" in text for text in section.caveats)
    assert 1 <= len(section.findings) <= 3
    cells = folder / "runs" / "cells" / "demo" / "l2_demo"
    assert len(list(cells.iterdir())) == ARMS
    assert len(list(cells.glob("*/seed0/results_*.json"))) == ARMS
    assert len(list(cells.glob("*/seed0/samples_l2_demo_*.jsonl"))) == ARMS


def test_the_table_is_what_lm_eval_and_the_traces_say(folder: Path) -> None:
    table = pd.read_csv(folder / "causal" / "answers.csv")
    (runs,) = runs_of(table)
    assert len(runs.arms) == ARMS
    assert len(runs.questions) == LIMIT
    for name, of_arm in runs.arms.items():
        cell = folder / "runs" / "cells" / "demo" / "l2_demo" / name / "seed0"
        (results,) = cell.glob("results_*.json")
        content = json.loads(results.read_text())
        metrics = content["results"]["l2_demo"]
        accuracy = next(v for k, v in metrics.items() if k.startswith("exact_match,"))
        assert of_arm.scores.mean() == pytest.approx(accuracy)
        traces = read_traces(cell / "traces", columns=["tokens", "finish_reason"])
        assert of_arm.tokens.sum() == sum(map(len, traces.tokens))
        if of_arm.arm.where:
            told = content["config"]["l2"]["interventions"]
            assert of_arm.edits.sum() == told["all_layers"]["suppressed"]
            assert of_arm.left.sum() == told["all_layers"]["suppression_credits_left"]
            for layer, edits in of_arm.by_layer.items():
                assert edits * LIMIT == pytest.approx(told["layers"][str(layer)]["suppressed"])
        else:
            assert of_arm.edits.sum() == 0
    assert sum(a.edits.sum() for a in runs.arms.values()) > 5


def test_a_second_run_takes_what_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And runs an arm whose folder is gone, and those whose definition is another one."""
    section = (folder / "causal" / "section.json").read_bytes()
    shutil.rmtree(folder / "runs" / "cells" / "demo" / "l2_demo" / "peaks-norm-0")
    run(folder, monkeypatch)
    said = capfd.readouterr()
    assert "10 of 11 cells are done already" in said.err
    assert "[1/1] demo/l2_demo/peaks-norm-0/seed0" in said.err
    assert (folder / "causal" / "section.json").read_bytes() == section
    assert "Accuracy by arm" in said.out
    assert "l2-harness report" in said.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--factors", "half"), "--factors 'half' is not a list of numbers"),
        (("--factors", "2"), "factor 2 is not allowed"),
        (("--model-args", "suppression=peaks"), "suppression differs from arm to arm"),
        (("--tasks", "l2_dem"), "l2_demo"),
        (("--model-args", "layers=10"), "needs two of them"),
    ],
)
def test_errors(
    more: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["l2-harness", "causal", "--out", str(tmp_path), *more])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("results_*.json"))
