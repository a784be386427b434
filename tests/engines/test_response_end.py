from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.engines.hf.response_end import response_end, thinking_end

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
