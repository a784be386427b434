"""The machine's own Chromium, which opens pages from disk with no network.

The tests here are skipped, with the reason, where there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from l2_harness.report import ResponseSet, ResponseView, write_report

MakeView = Callable[..., ResponseView]
MakeSet = Callable[..., ResponseSet]

ROWS = 40
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The machine's own Chromium; Playwright's download is not needed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip(f"needs a Chromium: none of {', '.join(_BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def _opened(browser: Any, file: Path, address: str = "", **context: Any) -> Iterator[Any]:
    kept = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    kept.set_offline(True)
    page = kept.new_page()
    page.set_default_timeout(30_000)
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


@pytest.fixture(scope="session")
def open_page(browser: Any) -> Callable[..., AbstractContextManager[Any]]:
    """``open_page(file, address, **context)``: a page without a network, in a ``with``.

    Whatever goes wrong in it fails the test: a console message, an error, a dialog, a script
    that was not the page's, a request that is not for a file.
    """
    return partial(_opened, browser)


@pytest.fixture(scope="session")
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
