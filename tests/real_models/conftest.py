"""A pretrained model, its lm-eval classes, and prompts that a chat template has written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "L2_REAL_MODELS"
HOW = f"no {VARIABLE}: python tests/real_models/make.py DIR makes the folder that it names"
QUESTIONS = (
    "What is 7 + 5?",
    "Tom has 9 apples and eats 2. How many are left?",
    "Name the capital of France.",
    "Écris « merci » 🙂",
    "Count from 3 to 6.",
)


def folder_of(name: str) -> Path:
    """Of a model; skipped without the variable, and an error where it names no such folder."""
    if not os.environ.get(VARIABLE):
        pytest.skip(HOW)
    folder = Path(os.environ[VARIABLE]) / name
    assert (folder / "config.json").is_file(), f"{VARIABLE} is set, and {folder} is no model"
    return folder


@pytest.fixture(scope="session")
def smollm2() -> str:
    return str(folder_of("smollm2"))


@pytest.fixture(scope="session")
def model(smollm2: str) -> Any:
    """In float64, so that nothing depends on the batch."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float64).eval()


@pytest.fixture(scope="session")
def tokenizer(smollm2: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


@pytest.fixture(scope="session")
def questions() -> tuple[str, ...]:
    return QUESTIONS


@pytest.fixture(scope="session")
def chats(tokenizer: Any) -> list[str]:
    """The questions as ``--apply_chat_template`` hands them over."""
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in QUESTIONS
    ]


@pytest.fixture(scope="session")
def requests_of(instances: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """``requests_of(prompts, max_gen_toks)``: greedy, or as ``kwargs`` say."""

    def make(prompts: list[str], max_gen_toks: int, **kwargs: Any) -> list[Any]:
        settings = {"until": [], "max_gen_toks": max_gen_toks, **kwargs}
        return instances("generate_until", [(prompt, settings) for prompt in prompts])

    return make
