"""A folder that an earlier version recorded into is resumed by the same arguments."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from l2_harness.models.evaluated import _settings
from l2_harness.models.recorder import run_id
from l2_harness.norms import read_run_settings

SCHEMA2 = Path(__file__).parents[1] / "norms" / "data" / "schema2"
RUN = "ce182ff3619c"
ARGS: dict[str, Any] = {
    "dtype": "float32",
    "record": "tokens",
    "layers": "2-3",
    "recursion": "norm",
    "threshold_warmup": 2,
    "steering": "norm",
    "steering_patience": 2,
    "num_samples": 2,
    "selection": "l2",
    "seed": 3,
}


def test_the_same_arguments_have_the_same_run_id() -> None:
    stored = read_run_settings(SCHEMA2, RUN)
    assert run_id(stored) == RUN
    own = _settings("demo", {**ARGS, "trace_dir": "x", "batch_size": 4, "device": "cpu"})
    assert own | {"seed": 3} == {name: stored[name] for name in own}
    assert set(stored) - set(own) == {"weights", "thresholds", "monitored_layers", "l2_harness"}


@pytest.mark.parametrize(
    "changed", [{"batch_size": 1}, {"device": "cuda"}, {"max_batch_size": 3}, {"resume": False}]
)
def test_how_the_work_is_done_is_not_in_it(changed: dict[str, Any]) -> None:
    assert _settings("demo", ARGS | changed) == _settings("demo", ARGS)


@pytest.mark.parametrize(
    "changed", [{"record": "summary"}, {"parallelize": True}, {"coe": True}, {"dtype": "float64"}]
)
def test_all_else_is(changed: dict[str, Any]) -> None:
    assert _settings("demo", ARGS | changed) != _settings("demo", ARGS)


def test_what_preset_paper_means_now_is_in_it() -> None:
    """It meant the defaults once, so that a run of then is another one."""
    now = _settings("demo", {**ARGS, "preset": "paper"})
    assert now == _settings("demo", {**ARGS, "preset": "paper", "steering_trigger": "peak"})
    own = {**ARGS, "preset": "paper", "steering_trigger": "low"}
    assert _settings("demo", own)["steering_trigger"] == "low"
    off = {**ARGS, "preset": "paper", "steering": "off"}
    assert "steering_trigger" not in _settings("demo", off)


def test_the_run_goes_on(tmp_path: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir
    from l2_harness.registration import register

    register()
    folder = tmp_path / "traces"
    shutil.copytree(SCHEMA2, folder)
    results = simple_evaluate(
        model="l2hf",
        model_args={"pretrained": "demo", **ARGS, "trace_dir": str(folder)},
        tasks=["l2_demo"],
        task_manager=TaskManager(include_path=str(tasks_dir())),
        limit=2,
        gen_kwargs={"max_gen_toks": 16, "do_sample": True, "temperature": 0.8},
        apply_chat_template=True,
        batch_size=2,
        device="cpu",
    )
    assert results["config"]["l2"]["run_id"] == RUN
    assert {path.name for path in folder.iterdir()} == {path.name for path in SCHEMA2.iterdir()}
