from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.engines.response_end import EndRule, response_end, thinking_end

LETTERS = "abcdefgh"


def decode(tokens: Sequence[int]) -> str:
    """One letter a token, so that a stop string may span several."""
    return "".join(LETTERS[token] for token in tokens)


@pytest.mark.parametrize(
    ("text", "eos", "stop", "expected"),
    [
        ("abcab", "", [], (5, "length")),
        ("abhhh", "h", [], (3, "eos")),
        ("abcab", "", ["bc"], (3, "stop")),
        ("abcab", "", ["ca", "bc"], (3, "stop")),
        ("abcah", "h", ["ca"], (4, "stop")),
        ("abhca", "h", ["ca"], (3, "eos")),
        ("abcab", "", ["", "zz"], (5, "length")),
        ("abcab", "", ["ab"], (2, "stop")),
        ("cccab", "", ["ab"], (5, "stop")),
        ("cch", "h", ["h"], (3, "eos")),
        ("h", "h", ["x"], (1, "eos")),
    ],
)
def test_cases(text: str, eos: str, stop: list[str], expected: tuple[int, str]) -> None:
    tokens = [LETTERS.index(letter) for letter in text]
    assert response_end(tokens, {LETTERS.index(e) for e in eos}, stop, decode) == expected


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
    st.sets(st.integers(0, 7), max_size=1),
    st.lists(st.text(LETTERS[:4], min_size=1, max_size=3), max_size=2),
)
def test_against_a_walk_over_all_prefixes(
    tokens: list[int], eos: set[int], stop: list[str]
) -> None:
    expected = len(tokens), "length"
    for n in range(1, len(tokens) + 1):
        stopped = any(s in decode(tokens[:n]) for s in stop)
        if tokens[n - 1] in eos or stopped:
            expected = n, "eos" if tokens[n - 1] in eos else "stop"
            break
    assert response_end(tokens, eos, stop, decode) == expected


def walked(rule: EndRule, tokens: Sequence[int]) -> tuple[int, str] | None:
    """Where the rule ends a response whose tokens come one by one."""
    for n in range(1, len(tokens) + 1):
        reason = rule.reason(tokens[:n])
        if reason is not None:
            return n, reason
    return None


PIECES = ["a", "b", "ab", "ba", " ", " a", "b ", "<e>"]


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=40),
    st.sets(st.integers(0, 7), max_size=1),
    st.lists(st.text("ab ", min_size=0, max_size=4), max_size=2),
    st.integers(1, 40),
)
def test_the_rule_ends_where_the_whole_response_does(
    tokens: list[int], eos: set[int], stop: list[str], limit: int
) -> None:
    def text(ids: Sequence[int]) -> str:
        return "".join(PIECES[i] for i in ids)

    tokens = tokens[:limit]
    expected = response_end(tokens, eos, stop, text)
    rule = EndRule(eos, stop, limit, text)
    unfinished = expected.reason == "length" and len(tokens) < limit
    assert walked(rule, tokens) == (None if unfinished else expected)


BYTE_LEVEL = "Żółw 🐢 says: \n\nfin. Ende der Geschichte。Noch was"


@pytest.mark.parametrize("stop", [["🐢"], ["。"], ["\n\n"], [" says"], ["fin."], ["ende", "Ende "]])
def test_the_rule_on_tokens_that_are_parts_of_characters(stop: list[str]) -> None:
    """A byte a token: what a token adds to the text shows only with its neighbours."""
    raw = list(BYTE_LEVEL.encode())

    def text(ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    expected = response_end(raw, [], stop, text)
    assert expected.reason == "stop"
    assert walked(EndRule([], stop, 999, text), raw) == expected


def test_most_tokens_are_not_looked_at() -> None:
    looked = []

    def text(ids: Sequence[int]) -> str:
        looked.append(len(ids))
        return decode(ids)

    rule = EndRule([], ["h"], 9999, text)
    tokens = [n % 7 for n in range(500)]
    assert walked(rule, tokens) is None
    assert looked == [1] * 7


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("abcab", 2, 2),
        ("abcabc", 2, 5),
        ("abab", 2, None),
        ("abcab", "bc", 2),
        ("bcbcb", "bc", 3),
        ("abab", "bc", None),
        ("abab", None, None),
        ("abab", "", None),
    ],
)
def test_thinking_end(text: str, end: int | str | None, expected: int | None) -> None:
    tokens = [LETTERS.index(letter) for letter in text]
    assert thinking_end(tokens, end, decode) == expected
