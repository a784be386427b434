from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.config import ConfigError, LayerSelection


@pytest.mark.parametrize(
    ("n_layers", "expected"),
    [
        (28, range(21, 27)),
        (36, range(27, 35)),
        (12, range(9, 11)),
        (8, [6]),
        (4, [2]),
        (2, [0]),
        (1, [0]),
    ],
)
def test_late_is_the_last_quarter_without_the_last_layer(n_layers: int, expected: Any) -> None:
    assert LayerSelection.parse("late").resolve(n_layers) == tuple(expected)


@given(st.integers(2, 200))
def test_late_never_holds_the_last_layer(n_layers: int) -> None:
    late = LayerSelection().resolve(n_layers)
    assert late
    assert late[-1] == n_layers - 2
    assert len(late) <= max(1, n_layers // 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20-26+30", (20, 21, 22, 23, 24, 25, 26, 30)),
        ("3+1", (1, 3)),
        (" 2-2 + 2 ", (2,)),
        (7, (7,)),
        ([4, "1-2"], (1, 2, 4)),
        ("all", tuple(range(31))),
    ],
)
def test_lists(value: Any, expected: tuple[int, ...]) -> None:
    assert LayerSelection.parse(value).resolve(31) == expected


@given(st.sets(st.integers(0, 60), min_size=1))
def test_text_round_trip(indices: set[int]) -> None:
    selection = LayerSelection.parse(sorted(indices))
    assert LayerSelection.parse(str(selection)) == selection


MALFORMED = ["", "lat", "1,2", "a+b", "1++2", -1, True, None, 1.5, [], [True]]


@pytest.mark.parametrize("value", MALFORMED)
def test_malformed(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"layers=.* Allowed: late, all, a list"):
        LayerSelection.parse(value)


def test_nearest_word() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'late'\? Allowed"):
        LayerSelection.parse("lates")


def test_backward_range_says_the_right_one() -> None:
    with pytest.raises(ConfigError, match="write 3-9"):
        LayerSelection.parse("9-3")


def test_out_of_range_names_layer_and_limit() -> None:
    with pytest.raises(ConfigError, match=r"layer 40, but the model has 28.*Allowed: 0-27"):
        LayerSelection.parse("40-50").resolve(28)
