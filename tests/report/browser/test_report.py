"""The report in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Open = Callable[..., AbstractContextManager[Any]]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_the_report_opens_quietly(open_page: Open, report: Path, tmp_path: Path) -> None:
    with open_page(report) as page:
        assert page.locator("h1:visible").inner_text().startswith("Report on")
        assert page.locator(".summary dt").count() == 2
        loaded = "nodes => nodes.every(n => n.complete && n.naturalWidth > 100)"
        assert page.eval_on_selector_all(".paper img", loaded)
        assert not page.locator("#view-responses").is_visible()
        page.screenshot(path=tmp_path / "report.png", full_page=True)


def test_views_and_anchors(open_page: Open, report: Path) -> None:
    """The page follows its address with an event, a moment after the address has changed."""
    from playwright.sync_api import expect

    with open_page(report) as page:
        page.locator(".views a", has_text="Responses").click()
        page.locator("#view-responses").wait_for(state="visible")
        assert page.locator(".views [aria-current]").inner_text().startswith("Responses")
        page.goto(f"{report.as_uri()}#s-norms")
        page.locator("#view-report").wait_for(state="visible")
        expect(page.locator("#s-norms h2").first).to_be_in_viewport()


def test_tables_sort(open_page: Open, report: Path) -> None:
    with open_page(report) as page:
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


def test_folded_tables_open(open_page: Open, report: Path) -> None:
    with open_page(report) as page:
        table = page.locator("table[aria-labelledby=s-norms-by_layer]")
        assert not table.is_visible()
        page.locator("summary", has_text="Show 30 rows").press("Enter")
        assert table.is_visible()
        assert table.locator("tbody tr").count() == 30
        page.locator("#s-norms summary", has_text="How this was made").click()
        assert page.locator("#s-norms .command code").inner_text().startswith("l2-harness analyze")


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
