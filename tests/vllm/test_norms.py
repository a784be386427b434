"""Recorded norms against a plain transformers pass over the same tokens, with no row missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

from vllm import LLM, SamplingParams
from vllm.v1.core.sched.scheduler import Scheduler

from l2_harness.config.looping import LoopingConfig
from l2_harness.engines.decoder_layers import find_decoder_layers
from l2_harness.engines.response_end import ResponseEnd
from l2_harness.engines.vllm.engine import Answer, Ask, VllmEngine
from l2_harness.engines.vllm.engine_settings import engine_settings
from l2_harness.engines.vllm.graph_plan import GraphPlan
from l2_harness.engines.vllm.orders import Order
from l2_harness.engines.vllm.step_watcher import WorkerRun
from l2_harness.models.vllm.engine_pool import stop_engine

#: Too little of everything: prompts in chunks, responses preempted.
STRESS = {
    "dtype": "float32",
    "max_model_len": 384,
    "max_num_seqs": 24,
    "max_num_batched_tokens": 128,
    "enable_chunked_prefill": True,
    "num_gpu_blocks_override": 40,
    "block_size": 32,
}
N_LAYERS = 5


@contextmanager
def engine(folder: Any, layers: tuple[int, ...], **settings: Any) -> Iterator[VllmEngine]:
    settings = {"model": str(folder), **STRESS, **settings}
    plan = GraphPlan.of(layers, ())
    llm = LLM(**settings, **engine_settings(settings, plan, acts=False, looping=LoopingConfig()))
    try:
        found = VllmEngine(llm)
        found.begin(WorkerRun(list(layers), True, False, max(layers) + 1, {}, {}))
        yield found
    finally:
        stop_engine(llm)


def mixed_asks(vocabulary: int, n: int = 48) -> list[Ask]:
    """Prompts of mixed lengths, many with a common beginning; a third of them four times."""
    draw = np.random.default_rng(0)
    common = draw.integers(3, vocabulary, 70).tolist()
    asks = []
    for i in range(n):
        own = draw.integers(3, vocabulary, int(draw.integers(1, 90))).tolist()
        prompt = (common[: int(draw.integers(1, 70))] if i % 2 else []) + own
        params = SamplingParams(
            temperature=0, max_tokens=int(draw.integers(1, 90)), ignore_eos=True, detokenize=False
        )
        asks += [ask(prompt, params)] * (4 if i % 3 == 0 else 1)
    return asks


def ask(prompt: list[int], params: SamplingParams) -> Ask:
    order = partial(Order, first=len(prompt) - 1)
    return Ask(None, prompt, params, order, _whole)


def _whole(output: Any) -> ResponseEnd:
    return ResponseEnd(len(output.outputs[0].token_ids), "length")


def check(answers: list[Answer], model: Any, layers: tuple[int, ...]) -> None:
    for answer in answers:
        prompt, tokens = list(answer.ask.prompt), list(answer.output.outputs[0].token_ids)
        assert answer.rows is not None
        expected, logits = plain_pass(model, prompt + tokens[:-1], len(prompt) - 1)
        assert answer.rows.norms.shape == (len(tokens), len(layers))
        np.testing.assert_allclose(answer.rows.norms, expected[:, layers], rtol=1e-5)
        signals: Any = answer.rows.signals
        log_probs = logits.log_softmax(-1)
        chosen = log_probs.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        np.testing.assert_allclose(signals["logprob"], chosen, atol=1e-3)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        np.testing.assert_allclose(signals["entropy"], entropy, atol=1e-3)


def plain_pass(model: Any, ids: list[int], first: int) -> tuple[np.ndarray, torch.Tensor]:
    states: list[torch.Tensor] = []

    def keep(module: Any, args: Any, output: Any) -> None:
        states.append(output if isinstance(output, torch.Tensor) else output[0])

    hooks = [layer.register_forward_hook(keep) for layer in find_decoder_layers(model)]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, first:].float()
    for hook in hooks:
        hook.remove()
    return torch.stack(states)[:, 0, first:].float().norm(dim=-1).T.numpy(), logits


@pytest.mark.parametrize(
    ("family", "eager"),
    [
        ("llama", True),
        ("gpt2", True),
        ("gemma3", True),
        ("qwen3-moe", True),
        pytest.param("llama", False, marks=pytest.mark.slow),
        pytest.param("gemma3", False, marks=pytest.mark.slow),
    ],
)
def test_under_stress(
    family: str, eager: bool, model_folder: Callable[..., Any], tiny_model: Callable[..., Any]
) -> None:
    """Chunks of prompts, queues, preemption, prefix caching: every row is there, and right."""
    from transformers import AutoModelForCausalLM

    folder = model_folder(family, **({"head_dim": 32} if family in ("gemma3", "qwen3-moe") else {}))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    layers = tuple(range(N_LAYERS))
    preempted: list[str] = []
    preempt = Scheduler._preempt_request

    def counting(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        preempted.append(request.request_id)
        preempt(self, request, *args, **kwargs)

    with (
        patch.object(Scheduler, "_preempt_request", counting),
        # a window of 8 tokens gives blocks back early
        engine(
            folder,
            layers,
            enforce_eager=eager,
            num_gpu_blocks_override=22 if family == "gemma3" else 40,
        ) as found,
    ):
        asks = mixed_asks(model.config.get_text_config().vocab_size)
        answers = [answer for some in found.run(asks) for answer in some]
    assert len(answers) == len(asks) >= 48
    assert len(preempted) >= 20
    check(answers, model, layers)
