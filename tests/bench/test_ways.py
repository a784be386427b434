"""What benchmarks run beside this project, and models made for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from l2_harness.bench import interventions
from l2_harness.bench.continuous import continuous_batching
from l2_harness.bench.gpu import OFF, STOCK, WAYS, measure_gpu
from l2_harness.bench.interventions import measure_interventions
from l2_harness.bench.workloads import deep_demo_model, greedy_demo
from l2_harness.paths import demo_model_path


def test_continuous_batching_answers_what_hf_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.models.huggingface import HFLM

    work = greedy_demo(3, 2, max_new_tokens=24)
    lm = HFLM(str(work.model), batch_size=2, device="cpu", dtype="float32")
    texts = lm.generate_until(work.requests(lm), disable_tqdm=True)
    done: list[dict[str, Any]] = []
    real = type(lm.model).generate_batch

    def kept(*args: Any, **kwargs: Any) -> Any:
        done.append(real(*args, **kwargs))
        return done[-1]

    monkeypatch.setattr(type(lm.model), "generate_batch", kept)
    continuous_batching(lm, work)()
    tokens = [one.generated_tokens for one in done[0].values()]
    assert [lm.tok_decode(ids, skip_special_tokens=True) for ids in tokens] == texts


def test_layers_that_are_added_change_nothing(tmp_path: Path) -> None:
    folder = deep_demo_model(15, tmp_path)
    small, deep = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64)
        for path in (demo_model_path(), folder)
    )
    assert deep.config.num_hidden_layers == len(deep.model.layers) == 15
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        states = deep(ids, output_hidden_states=True)
        assert torch.equal(states.logits, small(ids).logits)
    assert torch.equal(states.hidden_states[12], states.hidden_states[14])


def test_every_way_of_the_gpu_benchmark_runs() -> None:
    (cost,) = measure_gpu(["qwen3-tiny"], [2], 2, lambda text: None, context=24, new_tokens=8)
    assert set(cost.times) == {STOCK, *WAYS}
    assert cost.equal[OFF] == cost.settings["responses"] == 8
    names = [figure.name for figure in cost.figures]
    assert "off / hf (qwen3-tiny, batch 2)" in names
    assert [name.split(" (")[0] for name in names[1:]] == [
        f"{way} / off" for way in WAYS if way != OFF
    ]


def test_interventions_say_where_their_time_goes() -> None:
    cost = measure_interventions(2, 2, 2, lambda text: None, max_new_tokens=24)
    assert set(cost.parts) == set(interventions.WAYS)
    for way, parts in cost.parts.items():
        assert ("the technique" in parts) == (way != interventions.THRESHOLDS)
        assert all(share > 0 for share in parts.values())
    assert "second passes" in cost.parts["recursion=always"]
    assert "second passes" not in cost.parts["steering=norm"]
