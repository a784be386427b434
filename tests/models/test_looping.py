"""``loop=`` of l2hf: a deeper model, and who cannot have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

SETTINGS = {"max_gen_toks": 12, "until": []}


def demo(**args: Any) -> L2HF:
    return L2HF("demo", device="cpu", batch_size=4, dtype="float64", **args)


def test_layers_are_those_of_the_deeper_model(
    tmp_path: Path, prompts: list[str], instances: Callable[..., list[Any]]
) -> None:
    requests = instances("generate_until", [(q, SETTINGS) for q in prompts[:3]])
    lm = demo(loop="rys", loop_layers="4-5", record="tokens", trace_dir=str(tmp_path))
    alone = demo(loop="rys", loop_layers="4-5")
    alone.batch_size_per_gpu = 1
    answers = lm.generate_until(requests)
    assert answers == alone.generate_until(requests)
    assert answers != demo().generate_until(requests)
    n_layers = demo().get_model_info()["l2"]["decoder_layers"] + 2
    traces = read_traces(tmp_path)
    late = list(range(n_layers - n_layers // 4, n_layers - 1))
    assert all(list(layers) == late for layers in traces["layers"])
    told = lm.get_model_info()["l2"]
    assert told["decoder_layers"] == n_layers
    rows = sum(len(tokens) - 1 for tokens in traces["tokens"])
    assert told["loop"]["rows"] == rows
    assert told["loop"]["dose"] > 0


def test_steering_goes_on_in_it(prompts: list[str], instances: Callable[..., list[Any]]) -> None:
    requests = instances("generate_until", [(q, SETTINGS) for q in prompts[:2]])
    lm = demo(loop="tflt", suppression="peaks", threshold_warmup=2, threshold_k=0)
    lm.generate_until(requests)
    assert lm.get_model_info()["l2"]["interventions"]["all_layers"]["suppressed"] > 0


def test_recursion_and_a_loop_are_rivals() -> None:
    with pytest.raises(ConfigError, match="loop=tflt and recursion=norm both run layers again"):
        demo(loop="tflt", recursion="norm")


def test_a_block_beyond_the_model() -> None:
    with pytest.raises(ConfigError, match="loop_layers=40-41 is no block of a model of"):
        demo(loop="rys", loop_layers="40-41")


@pytest.mark.parametrize("value", ["5-4", "a", "", "1-2-3"])
def test_no_block(value: str) -> None:
    with pytest.raises(ConfigError, match="is no block of layers"):
        demo(loop="rys", loop_layers=value)
