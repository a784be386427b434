"""The page of responses in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.report import ResponseSet, ResponseView, responses_page
from l2_harness.report.palette import contrast

pytestmark = pytest.mark.process

Open = Callable[..., AbstractContextManager[Any]]
MakeView = Callable[..., ResponseView]
MakeSet = Callable[..., ResponseSet]

ROWS = 40  # of every response but the first


def colours(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#tokens .token", "nodes => nodes.map(n => getComputedStyle(n).backgroundColor)"
    )
    return found


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def count(page: Any) -> str:
    return str(page.locator("#status").inner_text())


def address(page: Any) -> str:
    """What follows the # now; ``page.url`` may be a moment behind."""
    return str(page.evaluate("location.hash"))


def number(page: Any) -> str:
    """The number of the response, from the address."""
    match = re.search(r"[#&]r=(\d+)", address(page))
    assert match is not None
    return match[1]


def test_the_layer_changes_the_colours(open_page: Open, report: Path) -> None:
    with open_page(report, "#r=2&l=4") as page:
        before = colours(page)
        assert len(set(before)) > 5
        page.select_option("#layer", label="9")
        after = colours(page)
        assert sum(a != b for a, b in zip(before, after, strict=True)) > ROWS / 2
        assert "l=9" in address(page)
        assert "layer 9" in page.locator("#plot-title").inner_text()
        page.locator("#layer").evaluate("node => node.blur()")
        press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft")  # one more than there are
        assert colours(page) == before
        press(page, "ArrowRight")
        assert "l=5" in address(page)
        page.select_option("#scale", "one")
        assert "s=one" in address(page)


def test_colours_are_those_of_the_norms(open_page: Open, report: Path, make_view: MakeView) -> None:
    """The lighter token has the larger norm, at every pair within the scale."""
    norms = np.asarray(make_view(["x"] * ROWS, 1).norms)[:, 0]
    with open_page(report, "#r=2&l=4&s=one") as page:
        parts = [[int(n) for n in re.findall(r"\d+", colour)] for colour in colours(page)]
        peaks = page.eval_on_selector_all(
            "#tokens .token", "nodes => nodes.map(n => n.classList.contains('peak'))"
        )
        page.locator("#tokens .token").nth(7).hover()
        panel = page.locator("#panel").inner_text()
    light = [contrast("#{:02x}{:02x}{:02x}".format(*rgb), "#000000") for rgb in parts]
    order = np.argsort(norms)
    assert all(light[a] <= light[b] for a, b in pairwise(order))
    assert peaks == (norms > np.quantile(norms, 0.9)).tolist()
    shown = re.search(r"norm, layer 4\s+([\d.]+)", panel)
    assert shown is not None
    assert float(shown[1]) == pytest.approx(norms[7], rel=1e-3)


def test_filters(open_page: Open, report: Path) -> None:
    with open_page(report, "#responses") as page:
        assert count(page) == "1 of 6"
        page.locator(".segments label", has_text="Correct").click()
        assert count(page) == "1 of 3"
        assert page.locator(".verdict.correct").is_visible()
        page.check("#with-events")
        assert (count(page), number(page)) == ("1 of 1", "2")
        assert page.locator("#next").is_disabled()
        page.fill("#search", "no such text")
        assert page.locator("#none").is_visible()
        assert not page.locator("#response").is_visible()
        page.click("#clear")
        assert count(page) == "2 of 6"
        page.select_option("#task", "aime")
        assert (count(page), number(page)) == ("1 of 1", "6")
        page.select_option("#task", "")
        page.fill("#search", "NEEDLE")
        assert (count(page), number(page)) == ("1 of 1", "3")
        counts = page.eval_on_selector_all("[data-count]", "n => n.map(x => x.textContent)")
        assert counts == ["1", "0", "1"]


def test_the_address_keeps_the_state(open_page: Open, report: Path) -> None:
    from playwright.sync_api import expect

    with open_page(report, "#r=4&l=5&v=correct&q=word1") as page:
        assert (count(page), number(page)) == ("2 of 3", "4")
        assert page.locator("#layer option:checked").inner_text() == "5"
        page.click("text=Previous")
        assert number(page) == "2"
        page.goto(f"{report.as_uri()}#r=99&l=no&v=<b>&t=x")  # nonsense leaves what there was
        expect(page.locator("#status")).to_have_text("2 of 6")
        assert page.locator("#layer option:checked").inner_text() == "5"


def test_the_keyboard_is_enough(open_page: Open, report: Path) -> None:
    with open_page(report, "#r=1&l=9") as page:
        press(page, "j", "j")
        assert number(page) == "3"
        press(page, "k")
        assert number(page) == "2"
        press(page, "Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = set()
        for _ in range(40):
            press(page, "Tab")
            reached.add(
                page.evaluate("document.activeElement.id || document.activeElement.className")
            )
            if "token" in page.evaluate("document.activeElement.className"):
                break
        assert {
            "theme",
            "layer",
            "scale",
            "with-events",
            "search",
            "previous",
            "next",
            "pick",
        } <= reached
        press(page, "l", "l", "h")
        assert page.evaluate("document.activeElement.dataset.row") == "1"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        press(page, "j")
        page.focus("#search")
        press(page, "j", "k")  # text here, no commands
        assert page.input_value("#search") == "jk"


def test_events_are_marked_and_told(open_page: Open, report: Path) -> None:
    with open_page(report, "#r=2&l=9") as page:
        press(page, "m")
        token = page.locator("#tokens .token").nth(5)
        assert "event" in token.get_attribute("class").split()
        assert token.get_attribute("data-mark") == "R"
        assert page.locator("#tokens .token").nth(6).get_attribute("data-mark") == "i"
        for _ in range(ROWS):
            if page.evaluate("document.activeElement.dataset.row") == "5":
                break
            press(page, "m")
        panel = page.locator("#panel").inner_text()
        assert "recursion at layer 9" in panel
        assert re.search(r"threshold\s+61\.5", panel)
        assert re.search(r"passes accepted\s+1", panel)
        facts = page.locator("#facts").inner_text()
        assert "1 × recursion, layer 9" in facts
        assert "1 × injection, layer 5" in facts


def test_what_a_model_wrote_is_text(
    open_page: Open, report: Path, hostile: Sequence[str], tmp_path: Path
) -> None:
    with open_page(report, "#r=1&l=9") as page:
        texts = page.eval_on_selector_all(
            "#tokens .token", "nodes => nodes.map(n => n.textContent)"
        )
        seen = [re.sub("[\x00-\x08\x1b\u2028\u2029\u202a-\u202e]", _code, text) for text in hostile]
        assert texts == seen
        assert page.locator("#question").inner_text() == hostile[0]
        assert page.locator("#prompt").text_content() == hostile[1]
        assert hostile[2] in page.locator("#answers").inner_text()
        assert page.locator("#view-responses :is(script, img, a, style)").count() == 0
        for token in page.locator("#tokens .token").all():
            token.hover()
            token.click()
        page.screenshot(path=tmp_path / "hostile.png", full_page=True)


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"


def test_a_summary_says_so(open_page: Open, report: Path) -> None:
    with open_page(report, "#r=5&l=9") as page:
        assert "record=summary" in page.locator("#no-norms").inner_text()
        assert not page.locator("#plot-figure").is_visible()
        assert page.locator("#tokens .token").count() == ROWS
        assert "cut off at the token limit" in page.locator("#facts").inner_text()


def test_many_long_responses_open_at_once(
    open_page: Open, make_view: MakeView, make_responses: MakeSet, tmp_path: Path
) -> None:
    words = [f" word{i}" for i in range(500)]
    rng = np.random.default_rng(0)
    views = [
        make_view(words, i, norms=rng.lognormal(5, 0.3, (500, 12)), tau=np.full(12, 250.0))
        for i in range(40)
    ]
    responses = ResponseSet(
        run_id="r", layers=range(12), views=views, chosen="All.", threshold="a value"
    )
    file = tmp_path / "responses.html"
    file.write_text(responses_page(responses), "utf-8")
    assert file.stat().st_size < 3_000_000
    with open_page(file) as page:
        page.wait_for_selector("#tokens .token:nth-child(500)")
        assert page.evaluate("document.querySelectorAll('*').length") < 3_000  # one response's
        press(page, "ArrowLeft", "j", "ArrowLeft")
        assert number(page) == "2"
