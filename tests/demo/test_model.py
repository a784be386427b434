"""The packaged model: what it is, how large, and that it can do something."""

from __future__ import annotations

import re
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from l2_harness.demo.problems import Problem, final_answer
from l2_harness.demo.splits import make_splits
from l2_harness.demo.tokenizer import THINK_END, TURN_END, build_tokenizer, chat_prompt
from l2_harness.paths import demo_model_path

MAX_BYTES = 12 * 2**20


def test_is_a_small_qwen3() -> None:
    config = AutoConfig.from_pretrained(demo_model_path())
    assert config.model_type == "qwen3"
    assert config.num_hidden_layers >= 12
    assert config.head_dim >= 32
    assert config.max_position_embeddings >= 512


def test_is_at_most_12_mib_of_float16_safetensors() -> None:
    (weights,) = demo_model_path().glob("*.safetensors")
    assert sum(path.stat().st_size for path in demo_model_path().iterdir()) <= MAX_BYTES
    with safe_open(weights, "pt") as tensors:
        kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    assert kinds == {"F16"}


def test_loads_in_float32_without_being_told() -> None:
    model = AutoModelForCausalLM.from_pretrained(demo_model_path())
    assert model.dtype == torch.float32
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_generates_with_a_cache() -> None:
    model = AutoModelForCausalLM.from_pretrained(demo_model_path())
    assert model.config.use_cache
    assert model.generation_config.use_cache is not False
    assert model.generation_config.do_sample is not True


def test_tokenizer_is_the_one_of_the_code() -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(demo_model_path())
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert tokenizer.chat_template == built.chat_template
    model = AutoConfig.from_pretrained(demo_model_path())
    assert (model.eos_token_id, model.pad_token_id) == (
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    assert model.vocab_size == len(tokenizer)


PROBLEMS = [p for p in make_splits()["test"] if p.steps == 1][:12]


def respond(problems: list[Problem], thinking: bool) -> list[str]:
    """Greedy responses by transformers alone, special tokens and padding included."""
    tokenizer: Any = AutoTokenizer.from_pretrained(demo_model_path())
    model: Any = AutoModelForCausalLM.from_pretrained(demo_model_path()).eval()
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": problem.question}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        for problem in problems
    ]
    assert prompts == [chat_prompt(problem.question, thinking) for problem in problems]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    output = model.generate(**batch, max_new_tokens=160)
    rows = output[:, batch["input_ids"].shape[1] :]
    return [tokenizer.decode(row) for row in rows]


def test_answers_most_one_step_problems_and_ends_its_turn() -> None:
    responses = respond(PROBLEMS, thinking=True)
    answers = [re.findall(r"#### \d+", text.split(THINK_END)[-1])[-1:] for text in responses]
    right = [a == [final_answer(p.answer)] for a, p in zip(answers, PROBLEMS, strict=True)]
    assert sum(right) >= 6
    assert sum(TURN_END in text for text in responses) >= 10
    assert all(text.startswith("<think>\n") for text in responses)


def test_answers_directly_where_told_to() -> None:
    responses = respond(PROBLEMS, thinking=False)
    assert sum(text.startswith("#### ") and "<think>" not in text for text in responses) >= 10
