"""Logits of vLLM's that are not finite: told as with ``l2hf``, while the other responses go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)

import torch
from transformers import AutoModelForCausalLM

from l2_harness.models.vllm.l2vllm import L2VLLM

ENGINE = {"dtype": "float32", "max_model_len": 384, "enforce_eager": True}
GREEDY = {"until": [], "max_gen_toks": 6, "do_sample": False}


@pytest.mark.slow
def test_a_response_and_a_score_without_numbers(
    model_folder: Callable[..., Path],
    tokenizer: Any,
    prompts: list[str],
    instances: Callable[..., list[Any]],
    run: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, asked = tmp_path / "broken", [*prompts[:2], "Lena", *prompts[2:3]]
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder("llama"))
    (only,) = set(tokenizer("Lena")["input_ids"]) - set(tokenizer(" ".join(prompts))["input_ids"])
    model.get_input_embeddings().weight.data[only] = torch.inf
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    came = run(L2VLLM, asked, GREEDY, pretrained=str(folder), layers="all", **ENGINE)
    told = [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]
    assert told[0].startswith("task t, document 2, sample 0: the logits at token 1 are not finite")
    assert "not finite from layer 0 on" in told[0]
    traces = came.traces.set_index("doc_id")
    assert (traces.finish_reason[2], len(traces.tokens[2])) == ("length", 1)
    assert all(np.isfinite(traces.norms[n]).all() for n in (0, 1, 3))
    assert came.info["not_finite"] == 1
    requests = instances("loglikelihood", [(p, " shells") for p in asked])
    scores = [score for score, _ in came.lm.loglikelihood(requests, disable_tqdm=True)]
    assert [math.isfinite(score) for score in scores] == [True, True, False, True]
    assert any("document 2, a log-likelihood" in r.getMessage() for r in caplog.records)
