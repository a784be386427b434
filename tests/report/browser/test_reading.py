"""Whether a page can be read: contrast, the reader's own colours, narrow screens."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from l2_harness.report.palette import contrast

pytestmark = pytest.mark.process

Open = Callable[..., AbstractContextManager[Any]]


def unfold(page: Any) -> None:
    page.eval_on_selector_all("details", "nodes => nodes.forEach(n => { n.open = true; })")


#: Each visible element that holds text of its own: its colour, and the ground behind it.
_TEXTS = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a] = numbers(getComputedStyle(at).backgroundColor);
      if (a === undefined || a === 1) return [r, g, b];
      if (a !== 0) throw new Error('half-transparent ground: ' + at.outerHTML.slice(0, 80));
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter((node) =>
    !node.disabled && !node.closest('.skip, svg, option, :disabled') && node.checkVisibility() &&
    [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim())
  ).map((node) => [node.tagName + '.' + node.className + ': ' + node.textContent.slice(0, 30),
    numbers(getComputedStyle(node).color).slice(0, 3), ground(node)]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["", "#r=2&l=9"], ids=["report", "responses"])
def test_text_can_be_read(open_page: Open, report: Path, scheme: str, address: str) -> None:
    with open_page(report, address, color_scheme=scheme) as page:
        unfold(page)
        found = page.evaluate(_TEXTS)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) < 128) == (scheme == "dark")
    assert len(found) > 30
    hexes = [(name, *("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in pair)) for name, *pair in found]
    assert not [(name, a, b) for name, a, b in hexes if contrast(a, b) < 4.5]


def test_the_reader_may_choose_the_colours(open_page: Open, report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with open_page(report, color_scheme="light") as page:
        light = page.evaluate(ground)
        page.click("#theme")
        dark = page.evaluate(ground)
        assert dark != light
        assert page.locator("#theme").inner_text() == "Light colours"
        # figures keep their white paper
        paper = page.eval_on_selector(".paper", "n => getComputedStyle(n).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        page.reload()
        assert page.evaluate(ground) == dark
        page.emulate_media(media="print")
        assert page.evaluate(ground) != dark


@pytest.mark.parametrize("address", ["", "#r=1&l=9", "#r=2&l=9"])
def test_a_phone_needs_no_sideways_scrolling(
    open_page: Open, report: Path, address: str, tmp_path: Path
) -> None:
    phone = {"width": 360, "height": 740}
    with open_page(report, address, viewport=phone) as page:
        unfold(page)
        if address:
            page.locator("#tokens .token").first.click()
            assert page.locator("#panel").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.screenshot(path=tmp_path / "phone.png", full_page=True)
