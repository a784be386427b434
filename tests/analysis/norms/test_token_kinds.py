from __future__ import annotations

import numpy as np
import pytest

from l2_harness.analysis.norms.token_kinds import KINDS, PeakCounts, TokenKinds, kind_of
from l2_harness.analysis.norms.token_texts import TokenTexts
from l2_harness.analysis.norms.trace_rows import RowBlock

BY_HAND = {
    "number": ["7", " 12", "3.14", "1,000"],
    "operator": ["+", " =", "**", r"\frac", r" \times", "≤", "-"],
    "discourse": ["Wait", " so", "Therefore,", " hmm", "let", "Let's", "First"],
    "punctuation": [".", "\n\n", "", " ", "####", "?!", "(", "$", "�"],
    "template": ["<think>", "</think>", "<|im_end|>", "[INST]"],
    "other": [" shells", "x", "x2", "Anna", "思", "therefo"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_by_hand(kind: str) -> None:
    assert {text: kind_of(text) for text in BY_HAND[kind]} == dict.fromkeys(BY_HAND[kind], kind)


def test_what_the_tokenizer_marks_is_template() -> None:
    assert kind_of("Wait", special=True) == "template"


def test_of_a_real_tokenizer() -> None:
    from l2_harness.demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    ids = tokenizer("<think>\nAnna has 12 + 7.</think><|im_end|>")["input_ids"]
    kinds = TokenKinds(TokenTexts.of(tokenizer))
    found = [KINDS[kind] for kind in kinds.of(np.array(ids))]
    numbers = ["number", "number", "operator", "number", "punctuation"]
    assert found == [
        *("template", "punctuation", "other", "other"),
        *(*numbers, "template", "template"),
    ]


#: A tokenizer of three tokens.
LETTERS = TokenTexts(
    decode=lambda ids: {1: "5", 2: "+", 3: "so"}.get(ids[0], ""),
    decode_plain=lambda ids: "",
    special=frozenset({9}),
)


def test_rates_by_hand() -> None:
    """Two responses, one layer, τ 10; the second response's first row reads its own prompt."""
    tokens = np.array([1, 2, 1, 3, 1, 9])
    norms = np.array([20, 5, 20, 5, 5, 20], dtype=np.float32)[:, None]
    block = RowBlock(
        members=np.arange(2),
        lengths=np.array([4, 2]),
        sizes=np.array([1, 1]),
        norms=norms,
        tokens=tokens,
        signals={},
        row=np.array([0, 1, 2, 3, 0, 1]),
    )
    counts = PeakCounts(np.ones(2, int), TokenKinds(LETTERS))
    counts.add(block, np.full((2, 1), 10.0), np.array([0, 1]))
    table = counts.table((4,))
    whole = table[table["layer"] == "all"].set_index(["side", "kind"])
    assert whole["rows"]["written"].to_dict() == {
        **{"number": 3, "operator": 1, "discourse": 1, "template": 1}
    }
    assert whole["rate"]["written", "number"] == pytest.approx(2 / 3)
    assert whole["lift"]["written", "number"] == pytest.approx((2 / 3) / (3 / 6))
    assert whole["rate"]["written", "discourse"] == 0
    # read: + after 5 (no peak), 5 after + (peak), so after 5 (no peak); special after 5 (peak)
    assert whole["rows"]["read"].to_dict() == {"number": 3, "operator": 1}
    assert whole["rate"]["read", "number"] == pytest.approx(1 / 3)
    assert whole["rate"]["read", "operator"] == 1
    assert (table["layer"] == "4").sum() == len(whole)
    later = PeakCounts(np.ones(2, int), TokenKinds(LETTERS))
    later.add(block.without_first(1), np.full((2, 1), 10.0), np.array([0, 1]))
    # row 1 read the token of row 0, which is gone
    assert later.rates.under[1].sum() == 2
    assert later.rates.under[0].sum() == 4


def test_a_planted_kind_is_found_and_the_others_are_not() -> None:
    rng = np.random.default_rng(0)
    questions, rows = 40, 60
    tokens = rng.integers(1, 4, questions * rows)
    norms = rng.normal(5, 1, (len(tokens), 1)) + 4 * (tokens == 3)[:, None]
    block = RowBlock(
        members=np.arange(questions),
        lengths=np.full(questions, rows),
        sizes=np.ones(questions, dtype=int),
        norms=norms.astype(np.float32),
        tokens=tokens,
        signals={},
        row=np.tile(np.arange(rows), questions),
    )
    question = np.arange(questions)
    counts = PeakCounts(np.ones(questions, int), TokenKinds(LETTERS))
    counts.add(block, np.full((questions, 1), 8.0), question)
    table = counts.table((0,))
    whole = table[table["layer"] == "all"].set_index(["side", "kind"])
    assert whole["lift_low"]["written", "discourse"] > 2
    assert whole["p_holm"]["written", "discourse"] < 1e-6
    # tokens are drawn independently: what was read before says nothing
    assert (whole["p_holm"]["read"] > 0.05).all()
