"""Batched answers of a demo model to problems, and whether they are right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from l2_harness.demo.problems import Problem, extract_answer
from l2_harness.demo.tokenizer import THINK_END, chat_prompt

MAX_NEW_TOKENS = 256
"""The longest solution of the shipped splits has 154 tokens."""


@torch.inference_mode()
def respond(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    temperature: float = 0.0,
    batch_size: int = 90,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[str]:
    """One response a prompt, in the order given; greedy at temperature 0, else plain sampling.

    Prompts go in batches of similar length, so that little is padded.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    responses = [""] * len(prompts)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokenizer(
            [prompts[i] for i in chosen], return_tensors="pt", padding=True, padding_side="left"
        )
        width = batch["input_ids"].shape[1]
        output = model.generate(
            input_ids=batch["input_ids"].to(model.device),
            attention_mask=batch["attention_mask"].to(model.device),
            max_new_tokens=max_new_tokens,
            **(how if temperature > 0 else {"do_sample": False}),
        )
        texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        for i, text in zip(chosen, texts):
            responses[i] = text
    return responses


def prompts_of(problems: Sequence[Problem], thinking: bool) -> list[str]:
    """The chat prompt of each problem."""
    return [chat_prompt(problem.question, thinking) for problem in problems]


def is_right(problem: Problem, response: str) -> bool:
    """Exact match of the number after `####`; a response that never gives one is wrong."""
    return extract_answer(response.split(THINK_END)[-1]) == problem.answer
