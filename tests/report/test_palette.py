from __future__ import annotations

from itertools import pairwise

import pytest

from l2_harness.report.palette import DARK, LIGHT, LINE_PAIRS, TEXT_PAIRS, contrast
from l2_harness.report.responses.packing import colour_map


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),  # the grey that just fails, in WCAG's own examples
        ("#ffffff", "#767676", 4.54),  # and the one that just passes
        ("#123456", "#123456", 1.0),
    ],
)
def test_contrast_of_known_pairs(first: str, second: str, ratio: float) -> None:
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_can_be_read(palette: dict[str, str]) -> None:
    ratios = {pair: contrast(*(palette[name] for name in pair)) for pair in TEXT_PAIRS}
    assert not {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5}
    ratios = {pair: contrast(*(palette[name] for name in pair)) for pair in LINE_PAIRS}
    assert not {pair: ratio for pair, ratio in ratios.items() if ratio < 3}


def test_both_palettes_name_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_the_map_of_norms_gets_lighter_all_the_way() -> None:
    lights = [contrast(colour, "#000000") for colour in colour_map()]
    assert all(a < b for a, b in pairwise(lights))
    # black or white can be read on every colour of it
    assert all(max(contrast(c, "#000000"), contrast(c, "#ffffff")) >= 4.5 for c in colour_map())
