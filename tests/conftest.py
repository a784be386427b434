"""Tiny random models of every supported family, requests to run on them, a trace record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from l2_harness.norms import TraceRecord, hash_prompt, hash_request
from l2_harness.norms.signals import SIGNALS

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Before torch is imported: models are tiny, and the threads of two workers would collide.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Sizes that most families share. Sliding windows are shorter than the prompts.
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
MIXTURE = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "qwen3-moe": ("Qwen3Moe", {"head_dim": 8, "num_experts": 4, **MIXTURE}),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma2": ("Gemma2", {"head_dim": 8, "sliding_window": 8}),
    "gemma3": ("Gemma3", {"head_dim": 8, "sliding_window": 8}),
    "phi3": ("Phi3", {}),
    "olmo2": ("Olmo2", {}),
    "gpt-neox": ("GPTNeoX", {}),
    "bloom": ("Bloom", {}),
    "ctrl": ("CTRL", {"dff": 48}),
    "gpt2": ("GPT2", {}),
    "granite": ("Granite", {}),
    "smollm3": ("SmolLM3", {}),
    "glm4": ("Glm4", {"head_dim": 8}),
    "deepseek-v3": (
        "DeepseekV3",
        {
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 8,
            "qk_rope_head_dim": 8,
            "v_head_dim": 8,
            **MIXTURE,
        },
    ),
    "qwen3-next": (
        "Qwen3Next",
        {
            "head_dim": 8,
            "num_experts": 4,
            "shared_expert_intermediate_size": 24,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            **MIXTURE,
        },
    ),
    "gpt-oss": (
        "GptOss",
        {"head_dim": 8, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from l2_harness.demo.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture(scope="session")
def tiny_model(tokenizer: Any) -> Callable[..., Any]:
    """``tiny_model(family, **config)``: a causal language model with random weights."""
    import torch
    import transformers

    def make(family: str, **changes: Any) -> Any:
        name, extra = FAMILIES[family]
        config_name = f"{name}TextConfig" if name == "Gemma3" else f"{name}Config"
        config = getattr(transformers, config_name)(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            **{**SIZES, **extra, **changes},
        )
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        # Wider than the usual start, so that greedy tokens and norms vary over the rows.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        return model

    return make


@pytest.fixture(scope="session")
def instances() -> Callable[..., list[Any]]:
    """``instances(request_type, arguments)``: lm-eval requests, a document each."""
    from lm_eval.api.instance import Instance

    def make(
        request_type: Any, arguments: Sequence[tuple[Any, ...]], repeats: int = 1, task: str = "t"
    ) -> list[Any]:
        return [
            Instance(request_type, {}, args, 0, metadata=(task, doc_id, repeats))
            for doc_id, args in enumerate(arguments)
        ]

    return make


@pytest.fixture(scope="session")
def prompts() -> list[str]:
    """Prompts of mixed length, longer than the tiny models' sliding windows."""
    words = "Ada has 12 shells . Ben has 7 more than Ada . How many shells does Ben have now ?"
    return [" ".join((words + " " + words).split()[: 3 + 4 * n]) for n in range(7)]


def _make_record(doc_id: int = 0, rows: int = 5, **changes: Any) -> TraceRecord:
    layers = changes.pop("layers", (20, 21, 22))
    rng = np.random.default_rng([abs(int(doc_id)), rows])
    prompt = changes.pop("prompt", f"question {doc_id}")
    defaults: dict[str, Any] = {
        "run_id": "run1",
        "task": "gsm8k",
        "doc_id": doc_id,
        "request_type": "generate_until",
        "prompt_hash": hash_prompt(prompt),
        "request_hash": hash_request("generate_until", prompt, {"until": ["\n"]}),
        "prompt_tokens": 7,
        "tokens": rng.integers(0, 1000, rows),
        "text": f"answer {doc_id}",
        "finish_reason": "eos",
        "layers": layers,
        "norms": rng.uniform(50, 200, (rows, len(layers))).astype(np.float32),
        "logprob": -rng.exponential(size=rows),
        "entropy": rng.exponential(size=rows),
        "self_certainty": rng.exponential(size=rows),
    }
    values = {**defaults, **changes}
    signals = {name: values.pop(name) for name in SIGNALS.names if name in values}
    return TraceRecord(signals=signals, **values)


@pytest.fixture(scope="session", autouse=True)
def _no_fsync() -> Iterator[None]:
    """Only a loss of power tells a synced file from another, and a busy disk takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def make_record() -> Callable[..., TraceRecord]:
    """``make_record(doc_id, rows, **columns)``: a valid record with these columns."""
    return _make_record
