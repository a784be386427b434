"""Recorded rows of every model family against a plain pass over each response alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

FAMILIES = (
    "llama qwen2 qwen3 qwen3-moe mistral mixtral gemma2 gemma3 phi3 olmo2 gpt-neox gpt2 granite "
    "smollm3 glm4 deepseek-v3 qwen3-next gpt-oss bloom ctrl"
).split()
FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "layernorm")


@contextmanager
def without_final_norm(model: Any) -> Iterator[None]:
    """The last entry of ``output_hidden_states`` is normally taken after the final norm."""
    base = model.base_model
    name = next(name for name in FINAL_NORMS if hasattr(base, name))
    norm = getattr(base, name)
    setattr(base, name, torch.nn.Identity())
    try:
        yield
    finally:
        setattr(base, name, norm)


@torch.no_grad()
def reference(model: Any, ids: list[int], n_prompt: int) -> dict[str, np.ndarray]:
    """Rows of one response from one pass over prompt and response, in float64."""
    model = copy.deepcopy(model).double()
    model.config._experts_implementation = "eager"  # the grouped product has no float64
    inputs = torch.tensor([ids[:-1]])
    rows = slice(n_prompt - 1, None)
    log_probs = model(inputs).logits[0, rows].log_softmax(-1)
    with without_final_norm(model):
        states = model(inputs, output_hidden_states=True).hidden_states[1:]
    targets = torch.tensor(ids[n_prompt:])[:, None]
    vocabulary = log_probs.shape[-1]
    return {
        "norms": torch.stack([s[0, rows].norm(dim=-1) for s in states], dim=-1).numpy(),
        "logprob": log_probs.gather(-1, targets)[:, 0].numpy(),
        "entropy": torch.distributions.Categorical(logits=log_probs).entropy().numpy(),
        # KL(uniform || model), by its definition
        "self_certainty": torch.nn.functional.kl_div(
            log_probs, torch.full_like(log_probs, 1 / vocabulary), reduction="none"
        )
        .sum(-1)
        .numpy(),
    }


def check_rows(model: Any, trace: Any, prompt_ids: list[int]) -> None:
    expected = reference(model, [*prompt_ids, *trace.tokens.tolist()], len(prompt_ids))
    assert trace.norms.shape == (len(trace.tokens), 5)
    np.testing.assert_allclose(trace.norms, expected["norms"], rtol=1e-5)
    for name in ("logprob", "entropy", "self_certainty"):
        np.testing.assert_allclose(getattr(trace, name), expected[name], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_generated_rows(
    family: str,
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
) -> None:
    model = tiny_model(family)
    # rows leave the batch at different times
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 7))
    lm = L2HF(
        model, tokenizer=tokenizer, batch_size=4, layers="all", record="tokens", trace_dir=tmp_path
    )
    settings = {"max_gen_toks": 9, "until": [], "do_sample": False}
    lm.generate_until(instances("generate_until", [(p, settings) for p in prompts]))
    traces = read_traces(tmp_path)
    assert list(traces.doc_id) == list(range(len(prompts)))
    assert set(traces.finish_reason) <= {"eos", "length"}
    for trace in traces.itertuples():
        prompt_ids = tokenizer(prompts[trace.doc_id]).input_ids
        assert trace.prompt_tokens == len(prompt_ids)
        check_rows(model, trace, prompt_ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_scored_rows(
    family: str,
    tiny_model: Callable[..., Any],
    tokenizer: Any,
    instances: Callable[..., list[Any]],
    prompts: list[str],
    tmp_path: Path,
) -> None:
    model = tiny_model(family)
    lm = L2HF(
        model, tokenizer=tokenizer, batch_size=3, layers="all", record="tokens", trace_dir=tmp_path
    )
    # one-token continuations of one context share a pass; the others do not
    continuations = [" Ada", " Ben", " has 7 shells", " 12"]
    arguments = [(p, c) for p in prompts[:3] for c in continuations]
    scores = lm.loglikelihood(instances("loglikelihood", arguments))
    traces = read_traces(tmp_path)
    assert len(traces) == len(arguments)
    for trace in traces.itertuples():
        check_rows(model, trace, tokenizer(arguments[trace.doc_id][0]).input_ids)
        assert trace.logprob.sum() == pytest.approx(scores[trace.doc_id][0], abs=1e-4)
