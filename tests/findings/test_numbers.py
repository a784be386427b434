from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.findings.numbers import interval_texts, is_p_value, number_texts

NAN = math.nan


def as_number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def test_intervals_show_two_digits_of_their_half_width() -> None:
    # half widths 0.04 and 0.05: two digits of them are three decimals
    texts = interval_texts([0.84213, -0.1], [0.80119, -0.15], [0.88199, -0.05])
    assert texts == [("0.842", "(0.801 to 0.882)"), ("−0.100", "(−0.150 to −0.050)")]
    assert interval_texts([67.41], [63.13], [71.52]) == [("67.4", "(63.1 to 71.5)")]
    assert interval_texts([1234.5], [1000.0], [1500.0]) == [("1234", "(1000 to 1500)")]


def test_an_end_that_is_not_0_does_not_read_as_0() -> None:
    """Else a difference that is shown would seem not to be."""
    texts = interval_texts([-7.2, 4.0, 1.0], [-14.4, 0.004, -0.02], [-0.041, 8.0, 2.0])
    assert [ends for _, ends in texts] == ["(−14.4 to −0.04)", "(0.004 to 8.0)", "(0.0 to 2.0)"]


def test_intervals_may_be_missing() -> None:
    assert interval_texts([0.5, NAN], [NAN, NAN], [NAN, NAN]) == [("0.500", ""), ("–", "")]
    assert interval_texts([0.5, 0.25], [0.4, NAN], [0.6, NAN])[1] == ("0.25", "")
    # an interval without width, as of a baseline against itself
    assert interval_texts([0.0], [0.0], [0.0]) == [("0", "(0 to 0)")]


def test_open_intervals_are_shown() -> None:
    (text,) = interval_texts([1.5], [0.5], [math.inf])
    assert text == ("1.50", "(0.50 to ∞)")


@pytest.mark.parametrize(
    ("values", "name", "texts"),
    [
        ([1.0, 540.0, 12345.0], "responses", ["1", "540", "12,345"]),
        ([12345.0], "seed", ["12345"]),
        ([0.123456, 12.0], "x", ["0.123", "12.000"]),
        ([1510.24, 260.1], "tokens_per_second", ["1510", "260"]),
        ([0.0005, 0.0421, 1.0], "p_holm", ["<0.001", "0.042", "1.000"]),
        ([NAN, 2.0], "n", ["–", "2"]),
        ([-0.0004, 0.5, 0.6], "x", ["0.000", "0.500", "0.600"]),
        ([3.2e-9], "x", ["3.20e−9"]),
        ([4.2e12 + 0.5], "x", ["4.20e12"]),
        ([3.9e-15, 0.0, NAN], "x", ["0", "0", "–"]),
        ([3.9e-15, 0.5], "x", ["0.000", "0.500"]),
        ([], "x", []),
    ],
)
def test_columns(values: list[float], name: str, texts: list[str]) -> None:
    assert number_texts(values, name) == texts


@pytest.mark.parametrize("name", ["p", "p_holm", "sign_flip_p", "difference_p_holm", "P"])
def test_p_values_by_name(name: str) -> None:
    assert is_p_value(name)


@pytest.mark.parametrize("name", ["pass", "top_p_share", "prompts", "pp", "layer"])
def test_others_by_name(name: str) -> None:
    assert not is_p_value(name)


@given(st.floats(1e-3, 1e8), st.booleans())
def test_one_number_keeps_three_digits(size: float, negative: bool) -> None:
    value = -size if negative else size
    (text,) = number_texts([value])
    assert as_number(text) == pytest.approx(value, rel=5.01e-3)


@given(st.floats(-100, 100), st.floats(1e-4, 50))
def test_an_interval_is_never_off_by_a_tenth_of_its_half_width(value: float, half: float) -> None:
    ((text, between),) = interval_texts([value], [value - half], [value + half])
    low, high = between.strip("()").split(" to ")
    for said, true in ((text, value), (low, value - half), (high, value + half)):
        assert abs(as_number(said) - true) <= 0.051 * half
