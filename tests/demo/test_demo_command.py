"""The command as a user runs it; its statistics have tests of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from l2_harness.norms import read_traces

LIMIT = 6
FILES = [
    "summary.json",
    "responses.csv",
    "profile.csv",
    "correlations.csv",
    "correlation_by_layer.csv",
    "profile.png",
    "correlation_by_layer.png",
]


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Threads that share a core with other tests slow a tiny model down a hundredfold.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "l2_harness.cli", "demo", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    folder = tmp_path_factory.mktemp("demo")
    done = _run("--limit", str(LIMIT), "--out", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout, done.stderr


def test_it_writes_every_file(first_run: tuple[Path, str, str]) -> None:
    out, _, _ = first_run
    for name in FILES:
        assert (out / name).stat().st_size > 100, name
    for model in ("hf", "l2hf"):
        names = [path.name for path in (out / "lm_eval" / model).iterdir()]
        assert len([n for n in names if n.startswith("results_")]) == 1
        for task in ("l2_demo", "l2_demo_direct"):
            assert len([n for n in names if n.startswith(f"samples_{task}_2")]) == 1


def test_summary_holds_the_figures(first_run: tuple[Path, str, str]) -> None:
    summary = json.loads((first_run[0] / "summary.json").read_text())
    assert summary["responses_equal"] is True
    assert summary["equal_responses"] == {"l2_demo": [6, 6], "l2_demo_direct": [6, 6]}
    assert summary["accuracy"]["hf"] == summary["accuracy"]["l2hf"]
    assert set(summary["seconds"]) == {"hf", "l2hf"}
    assert summary["limit"] == LIMIT
    layers = summary["layers"]
    assert len(layers) == len(summary["profile"]) >= 12
    assert layers[-1] not in summary["late_layers"]["late"]
    assert layers[-1] in summary["late_layers"]["late and last"]
    assert len(summary["correlations"]) == 8
    assert summary["verdict"]


def test_tables_agree_with_the_traces(first_run: tuple[Path, str, str]) -> None:
    out, _, _ = first_run
    responses = pd.read_csv(out / "responses.csv")
    assert responses["arm"].value_counts().to_dict() == {"thinking": LIMIT, "direct": LIMIT}
    traces = read_traces(out / "traces", task="l2_demo")
    thinking = responses[responses["arm"] == "thinking"].sort_values("doc_id")
    expected = [norms[:, 3].mean() for norms in traces.sort_values("doc_id")["norms"]]
    assert thinking["norm_3"].tolist() == pytest.approx(expected, rel=1e-5)
    profile = pd.read_csv(out / "profile.csv")
    assert profile["thinking"][3] == pytest.approx(sum(expected) / LIMIT, rel=1e-5)


def test_output_is_readable(first_run: tuple[Path, str, str]) -> None:
    out, stdout, stderr = first_run
    for text in (
        "[4/4]",
        "Responses equal under hf and l2hf: l2_demo: 6 of 6; l2_demo_direct: 6 of 6",
        "Mean norm per layer",
        "What this shows",
        f"In {out.name}",
    ):
        assert text in stdout
    # Only lm-eval's progress bars are left on stderr.
    assert "generate_until" in stderr
    for noise in ("Traceback", "Warning", "WARNING", "fatal:", "INFO"):
        assert noise not in stdout + stderr


def test_a_rerun_takes_up_the_traces(first_run: tuple[Path, str, str]) -> None:
    out, _, _ = first_run
    before = {path: path.stat().st_mtime_ns for path in (out / "traces").rglob("*.parquet")}
    again = _run("--limit", "4", "--out", "out", cwd=out.parent)
    assert again.returncode == 0, again.stderr
    assert "Traceback" not in again.stderr
    assert "not computed again" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (out / "traces").rglob("*.parquet")} == before
    summary = json.loads((out / "summary.json").read_text())
    assert summary["equal_responses"] == {"l2_demo": [4, 4], "l2_demo_direct": [4, 4]}
    assert len(pd.read_csv(out / "responses.csv")) == 8


def test_an_output_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = _run("--limit", "4", "--out", "taken", cwd=tmp_path)
    assert done.returncode == 2
    assert "--out taken" in done.stderr
    assert "Traceback" not in done.stderr
