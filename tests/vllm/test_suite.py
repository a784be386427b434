"""A suite whose rows name either engine."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from l2_harness.compare.runner import run_suite
from l2_harness.compare.suite_checks import check_suite
from l2_harness.compare.suite_reader import parse_suite
from l2_harness.config.errors import ConfigError
from l2_harness.models.vllm.engine_pool import EnginePool

SUITE = """
models:
  demo: {args: {pretrained: demo, dtype: float32}}
tasks: [l2_demo]
apply_chat_template: true
limit: 4
batch_size: 8
gen_kwargs: {max_gen_toks: 32}
methods:
  plain: {role: plain}
  vllm: {role: null, engine: vllm, args: {max_model_len: 384, enforce_eager: true}}
  alrr: {args: &alrr {recursion: norm, threshold_warmup: 4, recursion_min_growth: 0}}
  alrr_vllm: {extends: vllm, role: method, args: *alrr}
  stock: {role: null, class: vllm, args: {max_model_len: 384, enforce_eager: true}}
"""


@pytest.mark.slow
def test_rows_of_both_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: EnginePool
) -> None:
    pool.clear()  # an engine that ends takes what others in its process share
    pools: list[Any] = []
    made = EnginePool.__init__

    def noted(pool: Any) -> None:
        made(pool)
        pools.append(pool)

    monkeypatch.setattr(EnginePool, "__init__", noted)
    outcomes = {o.method: o for o in run_suite(parse_suite(SUITE, "t.yaml"), tmp_path)}
    assert {name: o.error for name, o in outcomes.items()} == dict.fromkeys(outcomes)
    responses = {name: _responses(tmp_path, name) for name in outcomes}
    assert responses["plain"] == responses["vllm"] == responses["stock"]
    assert responses["alrr"] == responses["alrr_vllm"]
    passes = {name: o.cost.extra_layer_passes for name, o in outcomes.items()}
    assert passes["alrr"] == passes["alrr_vllm"] != 0
    assert outcomes["alrr_vllm"].cost.layers == outcomes["alrr"].cost.layers == 12
    assert [pool.loads for pool in pools] == [1]


def _responses(out: Path, method: str) -> list[str]:
    (file,) = (out / "cells/demo/l2_demo" / method / "seed0").glob("samples_*.jsonl")
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [line["resps"][0][0] for line in sorted(lines, key=lambda line: line["doc_id"])]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("recursion: norm", "recursio: norm", "line 12: .*did you mean 'recursion'"),
        ("max_model_len: 384,", "max_model_le: 384,", "line 11: .*did you mean 'max_model_len'"),
        ("class: vllm, args: {", "class: vllm, args: {layers: all, ", "Set `class: l2vllm`"),
        ("enforce_eager: true}}\n  alrr:", "layers: 99}}\n  alrr:", "line 11: .*layers"),
        ("384, enforce", "16, enforce", "model 'demo'.*task 'l2_demo'"),
        ("384, enforce", "384, pipeline_parallel_size: 2, enforce", "pipeline parallel"),
    ],
)
def test_mistakes_are_found_before_anything_runs(before: str, after: str, message: str) -> None:
    assert before in SUITE
    with pytest.raises(ConfigError, match=message):
        check_suite(parse_suite(SUITE.replace(before, after), "t.yaml"))
