"""A response doesn't depend on what runs beside it: queues, preemption, chunks, other requests."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from l2_harness.config import ConfigError
from l2_harness.engines.vllm.scheduler import ReplayingScheduler
from l2_harness.engines.vllm.second_pass import SecondPass
from l2_harness.models.response_desk import ResponseDesk
from l2_harness.models.vllm.l2vllm import L2VLLM

GREEDY = {"until": [], "max_gen_toks": 72, "do_sample": False}
DRAWN = {"until": [], "max_gen_toks": 48, "do_sample": True, "temperature": 0.8}
ENGINE = {"dtype": "float32", "max_model_len": 384, "enforce_eager": True}
#: 16 blocks of 32 tokens, a chunk of 128: responses are preempted.
SMALL = {
    "num_gpu_blocks_override": 16,
    "block_size": 32,
    "max_num_batched_tokens": 128,
    "enable_chunked_prefill": True,
    "max_num_seqs": 24,
}
TECHNIQUES = {
    "recursion": "norm",
    "recursion_min_growth": 0.0,
    "steering": "norm",
    "steering_patience": 3,
    "steering_probability": 1.0,
    "suppression": "peaks",
    "threshold_warmup": 8,
}


def same(found: Any, expected: Any, rows: slice = slice(None)) -> None:
    assert found.texts == expected.texts[rows]
    for a, b in zip(found.traces.itertuples(), expected.traces[rows].itertuples(), strict=True):
        assert list(a.tokens) == list(b.tokens)
        np.testing.assert_allclose(a.norms, b.norms, rtol=1e-5)
        assert [e["row"] for e in a.events] == [e["row"] for e in b.events]
        assert [e["kind"] for e in a.events] == [e["kind"] for e in b.events]


@pytest.mark.parametrize(
    "args", [TECHNIQUES, {"suppression": "shuffled", "threshold_warmup": 8}], ids=["all", "handed"]
)
@pytest.mark.parametrize("prefix_caching", [True, False])
def test_a_small_cache_changes_nothing(
    args: dict[str, Any],
    prefix_caching: bool,
    run: Callable[..., Any],
    demo_prompts: Callable[..., Any],
    pool: Any,
) -> None:
    prompts = demo_prompts(32)
    preempted: list[str] = []
    preempt = ReplayingScheduler._preempt_request

    def counting(self: Any, request: Any, *rest: Any, **kwargs: Any) -> None:
        preempted.append(request.request_id)
        preempt(self, request, *rest, **kwargs)

    ample = run(L2VLLM, prompts, GREEDY, **ENGINE, **args)
    assert ample.info["interventions"]["acted_on"]["suppression"]
    with patch.object(ReplayingScheduler, "_preempt_request", counting):
        caching = {"enable_prefix_caching": prefix_caching}
        small = run(L2VLLM, prompts, GREEDY, **ENGINE, **SMALL, **caching, **args)
    same(small, ample)
    assert small.info["interventions"]["all_layers"] == pytest.approx(
        ample.info["interventions"]["all_layers"], rel=1e-3
    )
    # what is handed from row to row can't be replayed: there nothing may be preempted
    assert bool(preempted) == ("recursion" in args)


def test_alone_and_among_others(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    prompts = demo_prompts(48)
    among = run(L2VLLM, prompts, GREEDY, **ENGINE, **TECHNIQUES)
    for i in (0, 17, 47):
        same(run(L2VLLM, [prompts[i]], GREEDY, **ENGINE, **TECHNIQUES), among, slice(i, i + 1))


def test_second_passes_write_no_keys_and_values(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    compared = []
    run_again = SecondPass.run

    def comparing(self: SecondPass, layer: int, *args: Any) -> torch.Tensor:
        context = self._runner.compilation_config.static_forward_context
        held = [module.kv_cache for module in context.values() if hasattr(module, "kv_cache")]
        before = [cache.clone() for cache in held]
        states = run_again(self, layer, *args)
        compared.append(all(torch.equal(*pair) for pair in zip(before, held, strict=True)))
        return states

    with patch.object(SecondPass, "run", comparing):
        run(L2VLLM, demo_prompts(4), GREEDY, **ENGINE, **TECHNIQUES)
    assert len(compared) > 10
    assert all(compared)


def test_an_interrupted_run_leaves_nothing_behind(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    prompts = demo_prompts(40)
    whole = run(L2VLLM, prompts, GREEDY, **ENGINE, **TECHNIQUES)

    def interrupted(self: Any) -> None:
        raise KeyboardInterrupt

    with patch.object(ResponseDesk, "flush", interrupted), pytest.raises(KeyboardInterrupt):
        run(L2VLLM, prompts, GREEDY, **ENGINE, **TECHNIQUES)
    same(run(L2VLLM, prompts, GREEDY, **ENGINE, **TECHNIQUES), whole)


def test_samples_are_the_same_in_any_company(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    prompts, args = demo_prompts(6), {"num_samples": 4, "selection": "majority", "seed": 3}
    many = run(L2VLLM, prompts, DRAWN, **ENGINE, **args)
    assert len(many.traces) == 24
    own = {tuple(tokens) for tokens in many.traces.tokens[:4]}
    assert len(own) > 1, "samples of one prompt are drawn from streams of their own"
    few = run(L2VLLM, prompts[:2], DRAWN, **ENGINE, **args)
    assert [list(t) for t in few.traces.tokens] == [list(t) for t in many.traces.tokens[:8]]
    assert few.texts == many.texts[:2]
    other = run(L2VLLM, prompts[:2], DRAWN, **ENGINE, **{**args, "seed": 4})
    assert [list(t) for t in other.traces.tokens] != [list(t) for t in few.traces.tokens]


def test_seeds_in_chunked_prefill_on_a_cpu_are_refused(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], pool: Any
) -> None:
    with pytest.raises(ConfigError, match="enable_chunked_prefill"):
        run(L2VLLM, demo_prompts(1), DRAWN, **ENGINE, **SMALL)


def test_all_off_is_the_stock_class(
    run: Callable[..., Any], demo_prompts: Callable[..., Any], instances: Any, pool: Any
) -> None:
    from lm_eval.models.vllm_causallms import VLLM

    from l2_harness.models.vllm.engine_pool import stop_engine
    from l2_harness.paths import demo_model_path

    prompts = demo_prompts(12)
    recorded = run(L2VLLM, prompts, {**GREEDY, "until": ["+"]}, **ENGINE)
    pool.clear()
    requests = [(prompt, {**GREEDY, "until": ["+"]}) for prompt in prompts]
    texts = []
    classes: list[tuple[Any, str, dict[str, Any]]] = [
        (VLLM, str(demo_model_path()), {}),
        (L2VLLM, "demo", {"record": "off"}),
    ]
    for cls, pretrained, args in classes:
        lm = cls(pretrained, batch_size="auto", **ENGINE, **args)
        texts.append(lm.generate_until(instances("generate_until", requests), disable_tqdm=True))
        if cls is VLLM:
            stop_engine(lm.model)
        pool.clear()
    assert recorded.texts == texts[0] == texts[1]
    assert "stop" in set(recorded.traces.finish_reason)
