"""The tokenizer: nothing is lost, nothing is unknown, the chat template is Qwen3's in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from l2_harness.demo.corpus import examples
from l2_harness.demo.problems import final_answer
from l2_harness.demo.splits import SPLITS, make_splits
from l2_harness.demo.tokenizer import (
    CONTEXT,
    THINK_END,
    THINK_START,
    UNKNOWN,
    build_tokenizer,
    chat_prompt,
    chat_response,
    vocabulary,
)

QUESTION = "Ada has 12 keys. Ada finds 30 more. How many keys does Ada have now?"
SOLUTION = "Step by step: 12 + 30 = 42."


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    conversations = [
        chat_prompt(p.question, thinking)
        + chat_response(p.solution, final_answer(p.answer), thinking)
        for split in SPLITS
        for p in make_splits()[split]
        for thinking in (True, False)
    ]
    stream = [e.prompt + e.response for step in range(20) for e in examples(0, 0, step, 0.02, 24)]
    return conversations + stream


@pytest.fixture(scope="module")
def encoded(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return tokenizer(texts).input_ids


def test_decode_gives_every_text_back(
    tokenizer: Any, texts: list[str], encoded: list[list[int]]
) -> None:
    assert len(texts) > 3000
    assert tokenizer.batch_decode(encoded, skip_special_tokens=False) == texts


def test_no_token_is_unknown(tokenizer: Any, encoded: list[list[int]]) -> None:
    unknown = tokenizer.convert_tokens_to_ids(UNKNOWN)
    assert not any(unknown in ids for ids in encoded)
    assert unknown in tokenizer("Xylophone").input_ids


def test_every_text_leaves_room_in_the_context(encoded: list[list[int]]) -> None:
    assert max(map(len, encoded)) + 320 <= CONTEXT


def test_digits_are_single_tokens(tokenizer: Any) -> None:
    assert tokenizer.tokenize("907 + 5") == ["9", "0", "7", "+", "5"]


def test_ids_are_the_vocabulary_in_order(tokenizer: Any) -> None:
    assert len(tokenizer) == len(vocabulary()) == len(set(vocabulary()))
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == vocabulary()


def test_prompt_and_response_tokenize_apart_as_they_do_together(tokenizer: Any) -> None:
    for thinking in (True, False):
        prompt = chat_prompt(QUESTION, thinking)
        response = chat_response(SOLUTION, "#### 42", thinking)
        apart = tokenizer(prompt).input_ids + tokenizer(response).input_ids
        assert apart == tokenizer(prompt + response).input_ids


@pytest.mark.parametrize(
    ("arguments", "thinking"),
    [({}, True), ({"enable_thinking": True}, True), ({"enable_thinking": False}, False)],
)
def test_chat_template_is_chat_prompt(
    tokenizer: Any, arguments: dict[str, bool], thinking: bool
) -> None:
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}],
        tokenize=False,
        add_generation_prompt=True,
        **arguments,
    )
    assert rendered == chat_prompt(QUESTION, thinking)


def chat(tokenizer: Any, *contents: str, **arguments: Any) -> str:
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    return tokenizer.apply_chat_template(messages, tokenize=False, **arguments)


THOUGHT = f"{THINK_START}\n{SOLUTION}\n{THINK_END}\n\n#### 42"


def test_chat_template_drops_the_thinking_of_earlier_turns(tokenizer: Any) -> None:
    assert chat(tokenizer, "A", THOUGHT, "B", add_generation_prompt=True) == (
        "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\n#### 42<|im_end|>\n"
        "<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n"
    )


def test_chat_template_keeps_the_thinking_of_the_last_turn(tokenizer: Any) -> None:
    assert chat(tokenizer, "A", THOUGHT) == (
        f"<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\n{THOUGHT}<|im_end|>\n"
    )


def test_a_whole_turn_is_what_training_writes(tokenizer: Any) -> None:
    trained = chat_prompt(QUESTION, True) + chat_response(SOLUTION, "#### 42", True)
    assert chat(tokenizer, QUESTION, THOUGHT) == f"{trained}\n"


def test_system_turn_is_kept(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "A"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert rendered == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n"


def test_skipping_special_tokens_keeps_the_borders_of_the_thinking(tokenizer: Any) -> None:
    ids = tokenizer(chat_response(SOLUTION, "#### 42", True)).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == THOUGHT


def test_pads_on_the_left_and_ends_with_the_turn(tokenizer: Any) -> None:
    batch = tokenizer(["12", "1"], padding=True)
    assert batch["input_ids"][1][0] == tokenizer.pad_token_id
    assert batch["attention_mask"] == [[1, 1], [0, 1]]
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer.bos_token is None


def test_saved_tokenizer_is_the_same(tokenizer: Any, texts: list[str], tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    some = texts[::50]
    assert loaded(some).input_ids == tokenizer(some).input_ids
    assert loaded.batch_decode(loaded(some).input_ids) == some
    ids = loaded(chat_response(SOLUTION, "#### 42", True)).input_ids
    assert loaded.decode(ids, skip_special_tokens=True) == THOUGHT
    assert chat(loaded, "A", add_generation_prompt=True, enable_thinking=False) == chat_prompt(
        "A", False
    )
    assert loaded.padding_side == "left"
