"""The ``lm_eval`` command: alone, killed and resumed, and as two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from l2_harness.lm_eval_files import join_samples
from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

LIMIT = 12
MODULE = [sys.executable, "-m", "lm_eval"]
TWO_PROCESSES = [
    *[sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    *["-m", "lm_eval"],
]


class Run(NamedTuple):
    """What one evaluation left."""

    results: dict[str, Any]
    traces: pd.DataFrame
    folder: Path


def arguments(folder: Path) -> list[str]:
    args = f"pretrained=demo,record=tokens,trace_dir={folder / 'traces'},layers=late"
    return [
        *["--model", "l2hf", "--model_args", args, "--tasks", "l2_demo,l2_demo_direct"],
        *["--include_path", str(tasks_dir()), "--apply_chat_template", "--device", "cpu"],
        *["--batch_size", "2", "--limit", str(LIMIT), "--output_path", str(folder / "out")],
        "--log_samples",
    ]


def start(words: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def finish(program: list[str], folder: Path) -> Run:
    process = start([*program, *arguments(folder)])
    output, _ = process.communicate()
    assert process.returncode == 0, output[-4000:]
    return read(folder)


def read(folder: Path) -> Run:
    (results,) = folder.glob("out/*/results_*.json")
    return Run(json.loads(results.read_text()), read_traces(folder / "traces"), folder)


@pytest.fixture(scope="module")
def alone(run_command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """In this process; the tests below hold the others to it."""
    folder = tmp_path_factory.mktemp("alone")
    done = run_command("lm_eval", *arguments(folder))
    assert done.returncode == 0, done.stderr[-4000:]
    return read(folder)


def assert_equal(run: Run, other: Run) -> None:
    assert run.results["results"] == other.results["results"]
    assert run.results["config"]["l2"]["rows"] == other.results["config"]["l2"]["rows"]
    keys = ["task", "doc_id", "repeat", "sample", "prompt_hash", "finish_reason", "response"]
    pd.testing.assert_frame_equal(run.traces[keys], other.traces[keys])
    for a, b in zip(run.traces.itertuples(), other.traces.itertuples(), strict=True):
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_allclose(a.norms, b.norms, rtol=1e-4)


def test_summary_and_samples(alone: Run) -> None:
    info = alone.results["config"]["l2"]
    assert set(info["tasks"]) == {"l2_demo", "l2_demo_direct"}
    assert info["responses"] == len(alone.traces) == 2 * LIMIT
    assert info["rows"] == sum(map(len, alone.traces.tokens))


def test_traces_join_the_sample_files(alone: Run) -> None:
    joined = join_samples(alone.traces, alone.folder / "out")
    assert len(joined) == 2 * LIMIT
    for task, rows in joined.groupby("task"):
        score = alone.results["results"][task]["exact_match,number"]
        assert rows["metric_exact_match"].mean() == pytest.approx(score)
        ends = rows.response.str.extract(r"####\s*(\d+)\s*$")[0]
        assert (ends == rows.target.astype(str)).mean() == pytest.approx(score)


@pytest.mark.process
def test_two_processes_share_the_documents(alone: Run, tmp_path: Path) -> None:
    run = finish(TWO_PROCESSES, tmp_path)
    assert_equal(run, alone)
    ranks = {part.name.split("-r")[1][0] for part in (tmp_path / "traces").glob("part-*")}
    assert ranks == {"0", "1"}
    samples = next(tmp_path.glob("out/*/samples_l2_demo_2*.jsonl")).read_text().splitlines()
    assert sorted(json.loads(line)["doc_id"] for line in samples) == list(range(LIMIT))


@pytest.mark.process
def test_killed_and_resumed(run_command: Callable[..., Any], alone: Run, tmp_path: Path) -> None:
    process = start([*MODULE, *arguments(tmp_path)])
    while process.poll() is None and len(list(tmp_path.glob("traces/part-*"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = set(tmp_path.glob("traces/part-*"))
    assert 3 <= len(before) < LIMIT, "the run was over before it could be killed"
    done = run_command("lm_eval", *arguments(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
    run = read(tmp_path)
    assert_equal(run, alone)
    assert before < set(tmp_path.glob("traces/part-*"))
    assert len(run.traces) == 2 * LIMIT
