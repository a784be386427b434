"""Interventions as model_args of ``l2hf``: where they act, what is told, what is refused."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_eval.models.huggingface import HFLM

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces
from l2_harness.norms.calibration import read_calibration, write_calibration
from l2_harness.paths import tasks_dir

ACTING = {
    "recursion": "norm",
    "recursion_min_growth": 0.0,
    "steering": "norm",
    "steering_patience": 3,
    "steering_probability": 1,
    "steering_low": "q0.4",
    "suppression": "random",
    "threshold_warmup": 8,
}
SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 60}


@pytest.fixture(scope="module")
def questions() -> list[str]:
    from l2_harness.demo.tokenizer import chat_prompt

    lines = (tasks_dir() / "l2_demo" / "test.jsonl").read_text("utf-8").splitlines()
    return [chat_prompt(json.loads(line)["question"], thinking=True) for line in lines[:5]]


def demo(folder: Path | None = None, **args: Any) -> L2HF:
    record = {"record": "tokens", "trace_dir": str(folder)} if folder else {"record": "off"}
    return L2HF("demo", **{"device": "cpu", "batch_size": 4, **record, **args})


def test_counters_are_in_the_traces_and_the_result_file(
    questions: list[str],
    instances: Callable[..., list[Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lm = demo(tmp_path, **ACTING)
    lm.generate_until(instances("generate_until", [(q, SETTINGS) for q in questions]))
    with caplog.at_level(logging.INFO):
        told = lm.get_model_info()["l2"]["interventions"]
    assert f"interventions on {len(questions)} responses: rows" in caplog.text
    assert told["settings"]["recursion"] == "norm"
    assert told["settings"]["steering_strength"] == 0.5
    assert told["responses"] == len(questions)
    sums: dict[str, int] = {}
    traces = read_traces(tmp_path)
    for trace in traces.itertuples():
        counters = [event for event in trace.events if event["kind"] == "counters"]
        assert [event["layer"] for event in counters] == [9, 10]
        for event in counters:
            counts = json.loads(event["detail"])
            assert counts["rows"] == len(trace.tokens)
            for name, number in counts.items():
                sums[name] = sums.get(name, 0) + number
        opened = [event for event in trace.events if event["kind"] == "recursion"]
        assert len(opened) == sum(
            json.loads(event["detail"]).get("gates_opened", 0) for event in counters
        )
    assert sums == {name: number for name, number in told["all_layers"].items() if number}
    assert {"gates_opened", "suppressed"} <= sums.keys()
    assert json.dumps(told)


def test_settings_are_told_in_full_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        lm = demo(preset="reference", recursion="norm")
    for expected in (
        "preset=reference",
        "threshold_scope=pooled",
        "recursion_warmup=500",
        "steering_warmup=200",
        "recursion_max_passes=10",
        "recursion_max_ratio=7.0",
    ):
        assert f"intervention setting {expected}" in caplog.text
    (warning,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert "threshold_scope=pooled (preset=reference)" in warning
    assert lm.get_model_info()["l2"]["interventions"]["settings"]["preset"] == "reference"


def test_all_off_equals_stock(questions: list[str], instances: Callable[..., list[Any]]) -> None:
    from l2_harness.paths import demo_model_path

    off: dict[str, Any] = dict.fromkeys(("recursion", "steering", "suppression"), "off")
    requests = instances("generate_until", [(q, SETTINGS) for q in questions])
    stock = HFLM(str(demo_model_path()), device="cpu", batch_size=4)
    assert demo(**off).generate_until(requests) == stock.generate_until(requests)


def test_scores_are_untouched_unless_asked_for(
    questions: list[str], instances: Callable[..., list[Any]]
) -> None:
    requests = instances("loglikelihood", [(q, " Ada has 12 shells .") for q in questions])
    plain = demo().loglikelihood(requests)
    acting: dict[str, Any] = {"suppression": "peaks", "threshold_k": 0.0, "threshold_warmup": 4}
    assert demo(**acting).loglikelihood(requests) == plain
    assert demo(**acting, intervene_on="all").loglikelihood(requests) != plain


def test_a_run_of_other_settings_is_not_resumed_from(
    questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
) -> None:
    requests = instances("generate_until", [(questions[0], SETTINGS)])
    for args in ({}, ACTING, ACTING | {"steering_strength": 0.4}):
        demo(tmp_path, **args).generate_until(requests)
    with pytest.warns(UserWarning, match="3 runs"):
        assert len(read_traces(tmp_path)) == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"recursion": "nrom"}, "recursion='nrom' is unknown; did you mean 'norm'? Allowed: off"),
        ({"recursion": "norm", "decoding": "stock"}, "Pass decoding=loop, or recursion=off"),
        (
            {"recursion": "norm", "threshold": "fixed", "threshold_values": "3:10"},
            "no value for layer 9",
        ),
        ({"suppression": "shuffled", "layers": "10"}, "monitored is 10 alone. Pass layers=all"),
        ({"steering_strenght": 0.2}, "did you mean 'steering_strength'?"),
        ({"threshold": "calibrated", "calibration": "nowhere.json"}, "is not a file"),
    ],
)
def test_errors(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        demo(**args)


def test_settings_that_the_loop_cannot_run(
    questions: list[str], instances: Callable[..., list[Any]]
) -> None:
    request = instances("generate_until", [(questions[0], SETTINGS | {"num_beams": 2})])
    with pytest.raises(ValueError, match=r"beam search: the decode loop cannot.*turn them off"):
        demo(recursion="norm").generate_until(request)


def test_a_layer_that_cannot_run_again_is_refused_and_still_monitored(
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
) -> None:
    model = tiny_model("qwen3-next")
    common = {"tokenizer": tokenizer, "batch_size": 2, "layers": "all"}
    with pytest.raises(ValueError, match=r"layer 0 .* is linear attention.*Layers that can: 3"):
        L2HF(model, recursion="norm", **common)
    requests = instances("generate_until", [(p, SETTINGS | {"max_gen_toks": 5}) for p in prompts])
    for args in ({}, {"suppression": "peaks"}, {"recursion": "norm", "layers": "3"}):
        lm = L2HF(model, **{**common, **args})
        lm.generate_until(requests)
        assert lm.get_model_info()["l2"]["rows"] > 0


class TestCalibration:
    def test_from_a_task_and_from_traces(
        self, run_command: Callable[..., Any], tmp_path: Path
    ) -> None:
        """The command, on a task and on what a run has recorded: the same percentiles."""
        calibrated = run_command(
            *["l2-harness", "calibrate", "--out", tmp_path / "a.json", "--limit", 3],
            *["--device", "cpu", "--model_args", "pretrained=demo,layers=3+10"],
        )
        assert calibrated.returncode == 0, calibrated.stderr
        evaluated = run_command(
            *["lm_eval", "--model", "l2hf", "--tasks", "l2_demo", "--limit", 3],
            *["--include_path", tasks_dir(), "--apply_chat_template", "--device", "cpu"],
            *["--batch_size", 16, "--output_path", tmp_path / "out", "--model_args"],
            f"pretrained=demo,layers=3+10,record=tokens,trace_dir={tmp_path / 'traces'},"
            "suppression=peaks,suppression_factor=1",
        )
        assert evaluated.returncode == 0, evaluated.stderr
        traced = run_command(
            *["l2-harness", "calibrate", "--out", tmp_path / "b.json"],
            *["--traces", tmp_path / "traces"],
        )
        assert traced.returncode == 0, traced.stderr
        first, second = (read_calibration(tmp_path / name) for name in ("a.json", "b.json"))
        assert list(first) == [3, 10]
        for layer, values in first.items():
            assert values == pytest.approx(second[layer], rel=1e-5)
        norms = np.concatenate(list(read_traces(tmp_path / "traces").norms))
        assert first[10]["p90"] == pytest.approx(np.percentile(norms[:, 1], 90), rel=1e-5)
        (results,) = tmp_path.glob("out/*/results_*.json")
        told = json.loads(results.read_text())["config"]["l2"]["interventions"]
        assert told["settings"]["suppression"] == "peaks"
        assert told["all_layers"]["rows"] == 2 * len(norms)

    def test_it_is_what_the_threshold_is(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        file = tmp_path / "calibration.json"
        spread = np.linspace(100, 600, 1001)
        write_calibration(file, {9: spread, 10: spread + 50})
        args = {
            "suppression": "peaks",
            "threshold": "calibrated",
            "threshold_quantile": 0.75,
            "calibration": str(file),
            "threshold_warmup": 1,
        }
        demo(tmp_path / "traces", **args).generate_until(
            instances("generate_until", [(q, SETTINGS) for q in questions])
        )
        thresholds = {
            (event["layer"], json.loads(event["detail"])["threshold"])
            for events in read_traces(tmp_path / "traces").events
            for event in events
            if event["kind"] == "suppression"
        }
        assert thresholds == {(9, 475.0), (10, 525.0)}

    def test_traces_without_norms(
        self, questions: list[str], instances: Callable[..., list[Any]], tmp_path: Path
    ) -> None:
        from l2_harness.models.calibrate import calibrate, calibrate_from_traces

        demo(record="summary", trace_dir=str(tmp_path)).generate_until(
            instances("generate_until", [(questions[0], SETTINGS)])
        )
        with pytest.raises(ValueError, match="record them with record=tokens"):
            calibrate_from_traces(tmp_path / "c.json", tmp_path)
        with pytest.raises(ValueError, match="record='tokens': l2-harness calibrate records"):
            calibrate(tmp_path / "c.json", {"record": "tokens"}, ["l2_demo"])
