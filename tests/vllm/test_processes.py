"""The stock ``lm_eval --model l2vllm``, in processes of its own: several, killed, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from l2_harness.norms import read_traces
from l2_harness.paths import tasks_dir

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

pytestmark = pytest.mark.process

ARGS = {
    "pretrained": "demo",
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 448,
    "record": "tokens",
    "layers": "all",
    "recursion": "norm",
    "recursion_min_growth": 0.0,
    "suppression": "peaks",
    "threshold_warmup": 8,
}
LIMIT = 12


def command(folder: Path, **args: Any) -> list[str]:
    given = {**ARGS, "trace_dir": folder / "traces", **args}
    words = ",".join(f"{name}={value}" for name, value in given.items())
    return [
        *(sys.executable, "-m", "lm_eval", "--model", "l2vllm", "--model_args", words),
        *("--include_path", str(tasks_dir()), "--tasks", "l2_demo", "--limit", str(LIMIT)),
        *("--apply_chat_template", "--output_path", str(folder / "out"), "--log_samples"),
    ]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "TORCHDYNAMO_DISABLE": "1", "OMP_NUM_THREADS": "1", **changes}


def ran(folder: Path, variables: Mapping[str, str], **args: Any) -> pd.DataFrame:
    done = subprocess.run(
        command(folder, **args), env=dict(variables), capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return traces(folder)


def traces(folder: Path) -> pd.DataFrame:
    return read_traces(folder / "traces").sort_values("doc_id").reset_index(drop=True)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(found) == len(expected) == LIMIT
    for a, b in zip(found.itertuples(), expected.itertuples(), strict=True):
        assert list(a.tokens) == list(b.tokens)
        np.testing.assert_allclose(a.norms, b.norms, rtol=1e-5)
        events = [[(e["row"], e["layer"], e["kind"]) for e in one.events] for one in (a, b)]
        assert events[0] == events[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    ran(folder, environment(VLLM_ENABLE_V1_MULTIPROCESSING="0"))
    return folder


def test_the_result_file_says_what_was_recorded_and_done(alone: Path) -> None:
    (file,) = (alone / "out").rglob("results_*.json")
    info = json.loads(file.read_text())["config"]["l2"]
    assert info["record"] == "tokens"
    assert info["decoder_layers"] == 12
    assert info["interventions"]["acted_on"]["recursion"]
    assert info["interventions"]["all_layers"]["rows"] == 12 * sum(map(len, traces(alone).tokens))


def test_an_engine_in_another_process(alone: Path, tmp_path: Path) -> None:
    assert_same(ran(tmp_path, environment(VLLM_ENABLE_V1_MULTIPROCESSING="1")), traces(alone))


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="tensor parallel 2 takes two cores")
def test_tensor_parallel(alone: Path, tmp_path: Path) -> None:
    variables = environment(VLLM_ENABLE_V1_MULTIPROCESSING="1", VLLM_CPU_OMP_THREADS_BIND="0|1")
    assert_same(ran(tmp_path, variables, tensor_parallel_size=2), traces(alone))


SEVERAL = {
    "tensor parallel": (
        {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "VLLM_CPU_OMP_THREADS_BIND": "0|1"},
        {"tensor_parallel_size": 2},
    ),
    "data parallel": ({"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}, {"data_parallel_size": 2}),
}


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="tensor parallel 2 takes two cores")
@pytest.mark.skipif(find_spec("ray") is None, reason="data parallel takes ray")
def test_layers_that_run_again_for_every_token(tmp_path: Path) -> None:
    """A looped model is no other in several processes."""
    loop = {"loop": "tflt", "recursion": "off"}
    variables = environment(VLLM_ENABLE_V1_MULTIPROCESSING="0")
    expected = ran(tmp_path / "alone", variables, **loop)
    for name, (changes, args) in SEVERAL.items():
        assert_same(
            ran(tmp_path / name.replace(" ", "_"), environment(**changes), **args, **loop), expected
        )


def test_a_killed_run_goes_on(alone: Path, tmp_path: Path) -> None:
    variables = environment(VLLM_ENABLE_V1_MULTIPROCESSING="0")
    # two at a time, so that some are complete while others are not
    args = {"max_num_seqs": 2}
    process = subprocess.Popen(
        command(tmp_path, **args), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 300
    while not list((tmp_path / "traces").glob("*.parquet")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = len(traces(tmp_path))
    assert left
    assert_same(ran(tmp_path, variables, **args), traces(alone))


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("pipeline_parallel_size=2", "pipeline parallel"),
        ("worker_cls=mine", "worker_cls"),
        ("recursoin=norm", "did you mean 'recursion'"),
        ("decoding=stock", "--model vllm"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(
    argument: str, said: str, run_command: Callable[..., Any]
) -> None:
    done = run_command(
        "lm_eval", "--model", "l2vllm", "--model_args", f"pretrained=demo,{argument}",
        "--include_path", tasks_dir(), "--tasks", "l2_demo", "--limit", 1,
    )  # fmt: skip
    assert done.returncode
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.skipif(find_spec("ray") is None, reason="data parallel takes ray")
def test_data_parallel(alone: Path, tmp_path: Path) -> None:
    variables = environment(VLLM_ENABLE_V1_MULTIPROCESSING="0")
    assert_same(ran(tmp_path, variables, data_parallel_size=2), traces(alone))
