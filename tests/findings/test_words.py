from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.findings import least
from l2_harness.findings.claims import groups, signs
from l2_harness.findings.words import (
    capital,
    count,
    estimate,
    interval,
    layers,
    listed,
    of_row,
    p_value,
    share,
    sides,
    signed,
    span,
)
from l2_harness.statistics.estimate import Estimate

NAN = math.nan


def test_counts_and_shares() -> None:
    texts = [count(n, "question") for n in (0, 1, 2, 9999, 10_000)]
    assert texts == [
        "no questions",
        "1 question",
        "2 questions",
        "9999 questions",
        "10,000 questions",
    ]
    assert count(2, "entry", "entries") == "2 entries"
    assert [share(*pair, "layer") for pair in ((0, 12), (3, 12), (1, 1), (0, 0))] == [
        *("none of 12 layers", "3 of 12 layers", "1 of 1 layer", "no layers")
    ]


def test_intervals() -> None:
    assert interval(0.31, 0.254, 0.36) == "0.31 (0.25 to 0.36)"
    assert interval(-0.001, -0.1, 0.0) == "0.00 (−0.10 to 0.00)"
    assert interval(3.1, 1.0, 5.2, 1, unit="points", sign=True) == "+3.1 points (+1.0 to +5.2)"
    assert interval(7.2, 0.04, 14.4, 1, sign=True) == "+7.2 (+0.04 to +14.4)"
    assert interval(0.31, NAN, NAN) == "0.31 (no interval)"
    assert interval(NAN, 0, 1) == "not known"
    assert estimate(Estimate(0.5, 0.25, 0.75, 9, 9), 100, 1) == "50.0 (25.0 to 75.0)"
    assert of_row({"x": 1.0, "x_low": 0.5, "x_high": 2.0}, "x") == "1.00 (0.50 to 2.00)"


def test_small_numbers() -> None:
    assert [signed(x) for x in (0.314, -0.14, -0.001, 0.001, 0.0)] == [
        *("+0.31", "−0.14", "0.00", "0.00", "0.00")
    ]
    assert [p_value(p) for p in (1e-9, 0.0009, 0.001, 0.0321, 1.0, NAN)] == [
        *("p < 0.001", "p < 0.001", "p = 0.001", "p = 0.032", "p = 1.000", "p not known")
    ]
    assert [span(values) for values in ([0.1, 0.4], [0.1, 0.1001], [], [NAN, 2])] == [
        *("0.10 to 0.40", "0.10", "not known", "2.00")
    ]


def test_lists_and_layers() -> None:
    assert [listed("abcd"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcdef", 2) == "a, b and 4 more"
    assert layers([3]) == "layer 3"
    assert layers([0, 1, 2, 5, 7, 8]) == "layers 0 to 2, 5 and 7 to 8"
    assert layers([]) == "no layer"
    assert capital("ℓ2 norms") == "ℓ2 norms"


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_sides_name_every_layer_once(larger: set[int], smaller: set[int]) -> None:
    smaller -= larger
    rest = set(range(41)) - larger - smaller
    text = sides([sorted(one) for one in (larger, smaller, rest)], "than direct ones")
    assert text.count("than direct ones") == 1
    if not larger | smaller:
        assert "not shown to be larger or smaller" in text
        return
    named: list[int] = []
    for start, end in re.findall(r"(\d+)(?: to (\d+))?", text):
        named += range(int(start), int(end or start) + 1)
    assert sorted(named) == list(range(41))
    assert ("larger" in text, "smaller" in text) == (bool(larger), bool(smaller))


def test_a_claim_needs_both_p_and_interval() -> None:
    rows = pd.DataFrame(
        {
            "layer": range(5),
            "value_low": [0.1, 0.1, -0.1, -0.3, np.nan],
            "value_high": [0.2, 0.2, 0.2, -0.1, np.nan],
            "p_holm": [0.01, 0.2, 0.01, 0.01, np.nan],
        }
    )
    assert signs(rows).tolist() == [1, 0, 0, -1, 0]
    assert [found.tolist() for found in groups(rows, "layer")] == [[0], [3], [1, 2, 4]]


def test_what_rests_on_too_few_is_withheld() -> None:
    frame = pd.DataFrame(
        {"x": [0.9, 0.1], "x_low": [0.8, 0.0], "x_high": [1.0, 0.2], "p": [0.01, 0.2], "n": [9, 10]}
    )
    kept = least.kept(frame, frame["n"], ("x",))
    assert kept["x"].isna().tolist() == kept["p"].isna().tolist() == [True, False]
    described = least.kept(frame, 9, ("x",), values=False)
    assert described["x"].tolist() == [0.9, 0.1]
    assert described[["x_low", "x_high", "p"]].isna().all(axis=None)
    assert least.kept(frame, 10, ("x",)) is frame


@pytest.mark.parametrize("noun", ["question", "layer", "mixed question"])
def test_the_reason_is_said_just_below_the_least(noun: str) -> None:
    at = next(n for n in range(100) if least.enough(n, noun))
    assert least.reason(at, noun) == ""
    assert least.reason(at - 1, noun) == (
        f"at least {at} {noun}s are needed, and there are {at - 1}"
    )
    assert least.reason(1, noun).endswith("there is 1")
    assert least.reason(0, noun).endswith("there are none")
