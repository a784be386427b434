"""The report in a real Chromium, opened from disk with no network.

Skipped, with the reason, where there is no Chromium.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.report import ResponseSet, ResponseView, responses_page, write_report
from l2_harness.report.palette import contrast

MakeView = Callable[..., ResponseView]
MakeSet = Callable[..., ResponseSet]

ROWS = 40


@pytest.fixture(scope="module")
def report(
    written: Path,
    make_view: MakeView,
    make_responses: MakeSet,
    hostile: Sequence[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Six responses: 0 hostile, 1 with events, odd ones correct, the last of another task."""
    words = [f" word{i}" for i in range(ROWS)]
    words[3] = "\n"
    events = [
        {"row": 5, "layer": 9, "kind": "recursion", "value": 1.0, "detail": '{"threshold": 61.5}'},
        {"row": 6, "layer": 5, "kind": "injection", "value": 0.75, "detail": None},
    ]
    views = [
        make_view(hostile, 0, question=hostile[0], prompt=hostile[1], extracted=hostile[2]),
        make_view(words, 1, events=events),
        make_view(["needle", *words], 2),
        make_view(words, 3),
        make_view(words, 4, norms=None, finish_reason="length"),
        make_view(words, 5, task="aime"),
    ]
    file = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(written, responses=make_responses(*views), out=file)


@contextmanager
def opened(browser: Any, file: Path, address: str = "", **context: Any) -> Iterator[Any]:
    """A page without a network; whatever goes wrong in it fails the test."""
    kept = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    kept.set_offline(True)
    page = kept.new_page()
    page.set_default_timeout(5000)
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective));"
    )
    page.goto(f"{file.as_uri()}{address}")
    yield page
    assert page.evaluate("window.__pwned") is None
    assert wrong == []
    assert asked[0].startswith(file.as_uri())
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    kept.close()


def colours(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#tokens .token", "nodes => nodes.map(n => getComputedStyle(n).backgroundColor)"
    )
    return found


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def unfold(page: Any) -> None:
    page.eval_on_selector_all("details", "nodes => nodes.forEach(n => { n.open = true; })")


def count(page: Any) -> str:
    return str(page.locator("#status").inner_text())


def number(page: Any) -> str:
    """The number of the response, from the address."""
    match = re.search(r"[#&]r=(\d+)", page.url)
    assert match is not None
    return match[1]


def test_the_report_opens_quietly(browser: Any, report: Path, tmp_path: Path) -> None:
    with opened(browser, report) as page:
        assert page.locator("h1:visible").inner_text().startswith("Report on")
        assert page.locator(".summary dt").count() == 2
        loaded = "nodes => nodes.every(n => n.complete && n.naturalWidth > 100)"
        assert page.eval_on_selector_all(".paper img", loaded)
        assert not page.locator("#view-responses").is_visible()
        page.screenshot(path=tmp_path / "report.png", full_page=True)


def test_the_layer_changes_the_colours(browser: Any, report: Path) -> None:
    with opened(browser, report, "#r=2&l=4") as page:
        before = colours(page)
        assert len(set(before)) > 5
        page.select_option("#layer", label="9")
        after = colours(page)
        assert sum(a != b for a, b in zip(before, after, strict=True)) > ROWS / 2
        assert "l=9" in page.url
        assert "layer 9" in page.locator("#plot-title").inner_text()
        page.locator("#layer").evaluate("node => node.blur()")
        press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft")  # one more than there are
        assert colours(page) == before
        press(page, "ArrowRight")
        assert "l=5" in page.url
        page.select_option("#scale", "one")
        assert "s=one" in page.url


def test_colours_are_those_of_the_norms(browser: Any, report: Path, make_view: MakeView) -> None:
    """The lighter token has the larger norm, at every pair within the scale."""
    norms = np.asarray(make_view(["x"] * ROWS, 1).norms)[:, 0]
    with opened(browser, report, "#r=2&l=4&s=one") as page:
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


def test_filters(browser: Any, report: Path) -> None:
    with opened(browser, report, "#responses") as page:
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


def test_the_address_keeps_the_state(browser: Any, report: Path) -> None:
    address = "#r=4&l=5&v=correct&q=word1"
    with opened(browser, report, address) as page:
        assert (count(page), number(page)) == ("2 of 3", "4")
        assert page.locator("#layer option:checked").inner_text() == "5"
        page.click("text=Previous")
        assert number(page) == "2"
        page.goto(f"{report.as_uri()}#r=99&l=no&v=<b>&t=x")  # nonsense leaves what there was
        assert page.locator("#tokens .token").count() > 0


def test_the_keyboard_is_enough(browser: Any, report: Path) -> None:
    with opened(browser, report, "#r=1&l=9") as page:
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


def test_events_are_marked_and_told(browser: Any, report: Path) -> None:
    with opened(browser, report, "#r=2&l=9") as page:
        press(page, "m")
        token = page.locator("#tokens .token").nth(5)
        assert "event" in token.get_attribute("class").split()
        assert token.get_attribute("data-mark") == "R"
        assert page.locator("#tokens .token").nth(6).get_attribute("data-mark") == "i"
        while page.evaluate("document.activeElement.dataset.row") != "5":
            press(page, "m")
        panel = page.locator("#panel").inner_text()
        assert "recursion at layer 9" in panel
        assert re.search(r"threshold\s+61\.5", panel)
        assert re.search(r"passes accepted\s+1", panel)
        facts = page.locator("#facts").inner_text()
        assert "1 × recursion, layer 9" in facts
        assert "1 × injection, layer 5" in facts


def test_what_a_model_wrote_is_text(
    browser: Any, report: Path, hostile: Sequence[str], tmp_path: Path
) -> None:
    with opened(browser, report, "#r=1&l=9") as page:
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


def test_the_policy_stops_what_would_get_through(browser: Any, report: Path) -> None:
    """If escaping ever failed, a script would still not run: here one is put in on purpose."""
    context = browser.new_context()
    page = context.new_page()
    violations: list[str] = []
    page.on("console", lambda message: violations.append(message.text))
    page.goto(report.as_uri())
    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.__pwned = 1';
          document.body.append(script);
          document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.__pwned = 2">');
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.__pwned") is None
    assert len(violations) >= 2
    context.close()


def test_tables_sort(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        table = page.locator("table[aria-labelledby=s-norms-ranks]")

        def column(place: int) -> list[str]:
            found: list[str] = table.locator(f"tbody td:nth-child({place})").all_inner_texts()
            return found

        original = column(2)
        head = table.locator("th").nth(2)
        head.locator("button").focus()
        press(page, "Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert column(3) == ["−20.00", "0.25", "3.50", "–"]
        press(page, "Enter")
        assert column(3) == ["3.50", "0.25", "−20.00", "–"]
        press(page, "Enter")
        assert (column(2), head.get_attribute("aria-sort")) == (original, "none")
        table.locator("th").nth(1).locator("button").click()
        assert column(2) == ["a", "b9", "b10", "C"]
        assert column(1) == ["2", "2", "1", "10"]


def test_folded_tables_open(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        table = page.locator("table[aria-labelledby=s-norms-by_layer]")
        assert not table.is_visible()
        page.locator("summary", has_text="Show 30 rows").press("Enter")
        assert table.is_visible()
        assert table.locator("tbody tr").count() == 30
        page.locator("#s-norms summary", has_text="How this was made").click()
        assert page.locator("#s-norms .command code").inner_text().startswith("l2-harness analyze")


def test_views_and_anchors(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.locator(".views a", has_text="Responses").click()
        assert page.locator("#view-responses").is_visible()
        assert page.locator(".views [aria-current]").inner_text().startswith("Responses")
        page.goto(f"{report.as_uri()}#s-norms")
        assert page.locator("#view-report").is_visible()
        page.wait_for_function(
            "document.getElementById('s-norms').getBoundingClientRect().top < 300"
        )


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
def test_text_can_be_read(browser: Any, report: Path, scheme: str, address: str) -> None:
    with opened(browser, report, address, color_scheme=scheme) as page:
        unfold(page)
        found = page.evaluate(_TEXTS)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) < 128) == (scheme == "dark")
    assert len(found) > 30
    hexes = [(name, *("#{:02x}{:02x}{:02x}".format(*rgb) for rgb in pair)) for name, *pair in found]
    assert not [(name, a, b) for name, a, b in hexes if contrast(a, b) < 4.5]


def test_the_reader_may_choose_the_colours(browser: Any, report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, report, color_scheme="light") as page:
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
    browser: Any, report: Path, address: str, tmp_path: Path
) -> None:
    phone = {"width": 360, "height": 740}
    with opened(browser, report, address, viewport=phone) as page:
        unfold(page)
        if address:
            page.locator("#tokens .token").first.click()
            assert page.locator("#panel").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.screenshot(path=tmp_path / "phone.png", full_page=True)


def test_a_summary_says_so(browser: Any, report: Path) -> None:
    with opened(browser, report, "#r=5&l=9") as page:
        assert "record=summary" in page.locator("#no-norms").inner_text()
        assert not page.locator("#plot-figure").is_visible()
        assert page.locator("#tokens .token").count() == ROWS
        assert "cut off at the token limit" in page.locator("#facts").inner_text()


def test_many_long_responses_open_at_once(
    browser: Any, make_view: MakeView, make_responses: MakeSet, tmp_path: Path
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
    with opened(browser, file) as page:
        page.reload()
        start = time.perf_counter()
        page.reload()
        page.wait_for_selector("#tokens .token:nth-child(500)")
        seconds = time.perf_counter() - start
        assert seconds < 2
        start = time.perf_counter()
        press(page, "ArrowLeft", "j", "ArrowLeft")
        assert number(page) == "2"
        assert time.perf_counter() - start < 2
