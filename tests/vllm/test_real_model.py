"""SmolLM2-135M-Instruct on both engines: norms of a plain pass, tokens and edits of ``l2hf``."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (the README's section On vLLM)", allow_module_level=True)
if not os.environ.get("L2_REAL_MODELS"):
    pytest.skip(
        "no L2_REAL_MODELS: python tests/real_models/make.py DIR makes the folder that it names",
        allow_module_level=True,
    )

from l2_harness.models.hf.l2hf import L2HF
from l2_harness.models.vllm.l2vllm import L2VLLM

SMOLLM2 = str(Path(os.environ["L2_REAL_MODELS"]) / "smollm2")
GREEDY = {"until": [], "max_gen_toks": 40, "do_sample": False}
ENGINE = {"dtype": "float32", "max_model_len": 256, "enforce_eager": True}
#: k is none that two rows tie by, such as 0.5.
LIVELY = {"threshold_warmup": 8, "threshold_k": 0.63, "recursion_min_growth": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "plain": {"layers": "all"},
    "recursion": {"recursion": "norm", **LIVELY},
    "always": {"recursion": "always", **LIVELY},
    "entropy": {"recursion": "entropy", "recursion_entropy": 1.0, **LIVELY},
    "steering": {
        "steering": "norm",
        "steering_patience": 3,
        "steering_probability": 1.0,
        **LIVELY,
    },
    "suppression": {"suppression": "peaks", **LIVELY},
    "random suppression": {"suppression": "random", **LIVELY},
}
QUESTIONS = (
    "What is 7 + 5?",
    "Tom has 9 apples and eats 2. How many are left?",
    "Name the capital of France.",
    "Count from 3 to 6.",
)


@pytest.fixture(scope="module")
def questions() -> list[str]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    turns = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [
        str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
        for turn in turns
    ]


@pytest.mark.parametrize("case", CASES)
def test_both_engines_agree(
    case: str, questions: list[str], run: Callable[..., Any], pool: Any
) -> None:
    args = {"pretrained": SMOLLM2, **CASES[case]}
    theirs = run(L2HF, questions, GREEDY, dtype="float32", device="cpu", batch_size=4, **args)
    ours = run(L2VLLM, questions, GREEDY, **ENGINE, **args)
    assert ours.texts == theirs.texts
    for a, b in zip(ours.traces.itertuples(), theirs.traces.itertuples(), strict=True):
        assert list(a.tokens) == list(b.tokens)
        np.testing.assert_allclose(a.norms, b.norms, rtol=1e-5)
        assert [(e["row"], e["layer"]) for e in a.events] == [
            (e["row"], e["layer"]) for e in b.events
        ]
    if case != "plain":
        ours_did, theirs_did = (side.info["interventions"] for side in (ours, theirs))
        assert ours_did["all_layers"] == pytest.approx(theirs_did["all_layers"], rel=1e-3)
        assert any(ours_did["acted_on"].values())
