"""Pairs of answers that are equal or not, in ``equivalence.tsv``; names and algebraic laws."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2_harness.answers import ANSWER_KINDS, AnswerKind, Verdict, compare_answers, equivalent

CORPUS = Path(__file__).with_name("equivalence.tsv")


def corpus() -> list[dict[str, str]]:
    with CORPUS.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


PAIRS = corpus()


def test_corpus_is_large_and_two_sided(capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counter(pair["verdict"] for pair in PAIRS)
    assert set(counts) == {"equal", "different"}
    assert min(counts.values()) >= 50
    assert {pair["kind"] for pair in PAIRS} == set(ANSWER_KINDS)
    with capsys.disabled():
        print(f"\nequivalence corpus: {counts['equal']} equal, {counts['different']} different")


@pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda p: f"{p['why']}: {p['gold']} / {p['answer']}"[:60]
)
def test_pair(pair: dict[str, str]) -> None:
    kind = cast(AnswerKind, pair["kind"])
    assert compare_answers(pair["gold"], pair["answer"], kind).value == pair["verdict"]


@pytest.mark.parametrize("pair", [p for p in PAIRS if p["verdict"] == "equal"], ids=str)
def test_equivalence_has_no_direction(pair: dict[str, str]) -> None:
    kind = cast(AnswerKind, pair["kind"])
    assert equivalent(pair["answer"], pair["gold"], kind)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
@settings(max_examples=200, deadline=None)
def test_integers_are_equal_only_to_themselves(a: int, b: int) -> None:
    assert equivalent(str(a), f"{b:,}") == (a == b)
    assert compare_answers(f"{a}.0", str(a)) is Verdict.EQUAL


@given(st.text(max_size=12))
@settings(max_examples=150, deadline=None)
def test_no_text_is_equal_to_a_number_it_does_not_hold(text: str) -> None:
    if not any(character.isdigit() for character in text):
        assert not equivalent("123457", text)


def test_nothing_is_no_answer() -> None:
    for kind in ANSWER_KINDS:
        assert compare_answers("", "", kind) is Verdict.DIFFERENT
