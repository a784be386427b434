from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from l2_harness.findings.section import Section, SectionError, read_section, write_section
from l2_harness.report import (
    ResponseSet,
    ResponseView,
    render_report,
    responses_page,
    write_report,
)

UNSEEN = re.compile("[\x00\x07\x1b\u2028\u2029\u202c\u202e]")

MakeSection = Callable[..., Section]
MakeView = Callable[..., ResponseView]
MakeSet = Callable[..., ResponseSet]


class Page(HTMLParser):
    """What a parser that is not the browser's finds: tags, their attributes, and text by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.raw: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text.append(data)
        else:
            self.raw.append((self.cdata_elem, data))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def addresses(self) -> list[str]:
        names = ("href", "src", "srcset", "action", "formaction", "data", "poster", "xlink:href")
        return [a[n] for _, a in self.tags for n in names if n in a]

    def joined(self) -> str:
        return "".join(self.text)


@pytest.fixture(scope="module")
def page(
    written: Path, make_view: MakeView, make_responses: MakeSet, hostile: Sequence[str]
) -> Page:
    views = [make_view(hostile, i, question=hostile[0], task=hostile[2]) for i in range(2)]
    file = write_report(written, responses=make_responses(*views), title="A title & more")
    assert file == written / "report.html"
    return Page(file.read_text("utf-8"))


def test_nothing_is_fetched(page: Page, written: Path) -> None:
    files = []
    for address in page.addresses():
        parts = urlsplit(address)
        assert parts.scheme in ("", "data")
        assert not parts.netloc
        assert "url(" not in address
        if not parts.scheme and parts.path:
            files.append(unquote(parts.path))
    assert {Path(f).suffix for f in files} >= {".png", ".svg", ".csv", ".json"}
    assert all((written / file).is_file() for file in files)
    assert not any("@import" in text or "url(" in text for tag, text in page.raw if tag == "style")
    assert not page.of("link")[1:]


def test_markup_of_others_is_text(page: Page, hostile: Sequence[str]) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint({"b "})
    assert len(page.of("script")) == 3
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert [i["alt"] for i in page.of("img")] == ["a rising line"]
    text = page.joined()
    for one in hostile:
        # in the findings, in a caveat, in a cell
        assert text.count(UNSEEN.sub(lambda m: f"U+{ord(m[0]):04X}", one)) >= 3, one
    assert "49" not in re.findall(r"-->(.*?)&lt;", text)
    assert text.count("<b>text</b>") == 1


def test_the_policy_allows_this_page_and_no_more(page: Page) -> None:
    (policy,) = [
        meta["content"]
        for meta in page.of("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(part.split(maxsplit=1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy

    def hashes(tag: str) -> set[str]:
        texts = [text for name, text in page.raw if name == tag and not text.startswith('{"run')]
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        return {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}

    assert set(rules["script-src"].split()) == hashes("script")
    assert set(rules["style-src"].split()) == hashes("style")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


def test_order_and_summary(page: Page) -> None:
    text = page.joined()
    titles = [a["id"] for a in page.of("section") if a.get("id", "").startswith("s-")]
    assert titles == ["s-hostile", "s-norms"]
    assert (
        text.index("In short") < text.index("The first finding of norms") < text.index("Findings")
    )
    assert text.count("The first finding of norms: 0.61 (0.55 to 0.67).") == 2
    assert text.count("The second finding.") == 1
    assert "A title & more" in text
    assert "nested.seed" in text


def test_headings_and_landmarks(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = [
        one
        for _, attributes in page.tags
        for name in ("aria-labelledby", "aria-describedby")
        for one in attributes.get(name, "").split()
    ]
    assert set(referred) <= set(ids)
    assert all(
        a["href"][1:] in {*ids, "report", "responses"} for a in page.of("a") if a["href"][0] == "#"
    )
    assert len(page.of("main")) == 1
    assert page.of("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    named = [a for a in page.of("nav") if a.get("aria-label")]
    assert len(named) == len(page.of("nav")) == 2


def test_the_same_data_give_the_same_page(written: Path) -> None:
    sections = [read_section(written / "norms")]
    texts = {render_report(sections, title="t", base=written) for _ in range(2)}
    assert len(texts) == 1


def test_links_go_out_from_where_the_page_lies(written: Path, tmp_path: Path) -> None:
    file = write_report(written, out=tmp_path / "elsewhere" / "page.html")
    links = [a["href"] for a in Page(file.read_text("utf-8")).of("a") if a["href"].endswith(".csv")]
    assert links
    assert all((file.parent / unquote(link)).resolve().is_file() for link in links)


def test_without_a_place_there_are_no_links(written: Path) -> None:
    page = Page(render_report([read_section(written / "norms")], title="t"))
    assert {a["href"][0] for a in page.of("a")} == {"#"}
    assert [i["src"][:5] for i in page.of("img")] == ["data:"]


def test_without_traces_there_is_no_page_of_responses(written: Path) -> None:
    page = Page(render_report([read_section(written / "norms")], title="t"))
    assert not [a for _, a in page.tags if a.get("id") == "view-responses"]
    assert len(page.of("script")) == 2


def test_responses_alone(make_view: MakeView, make_responses: MakeSet) -> None:
    page = Page(responses_page(make_responses(make_view(["a", "b"]))))
    (view,) = [a for _, a in page.tags if a.get("id") == "view-responses"]
    assert "hidden" not in view
    assert not page.of("nav")


def test_two_sections_of_one_name(make_section: MakeSection, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_section(make_section(), tmp_path / name)
    page = Page(write_report(tmp_path).read_text("utf-8"))
    ids = [a["id"] for a in page.of("section") if a.get("id", "").startswith("s-")]
    assert ids == ["s-norms", "s-norms-2"]


def test_large_drawings_are_shown_as_png(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def source() -> str:
        page = Page(render_report([read_section(written / "norms")], title="t"))
        return str(page.of("img")[0]["src"])

    assert source().startswith("data:image/svg+xml;base64,")
    assert base64.b64decode(source().partition(",")[2]) == (written / "norms/line.svg").read_bytes()
    monkeypatch.setattr("l2_harness.report.pictures.MOST_SVG_BYTES", 10)
    assert source().startswith("data:image/png;base64,")


def test_missing_files_are_named(make_section: MakeSection, tmp_path: Path) -> None:
    folder = write_section(make_section(), tmp_path)
    for end in ("png", "svg"):
        (folder / f"line.{end}").unlink()
    with pytest.raises(SectionError, match=r"line\.png is missing"):
        write_report(tmp_path)
    with pytest.raises(SectionError, match="no folder"):
        render_report([make_section()], title="t")


def test_a_section_with_nothing_in_it(tmp_path: Path) -> None:
    write_section(Section(name="empty", title="Nothing"), tmp_path)
    text: Any = Page(write_report(tmp_path).read_text("utf-8")).joined()
    assert "Nothing" in text
    assert "In short" not in text


def test_sections_of_one_title_are_told_apart(tmp_path: Path) -> None:
    """By what differs in their folders' names, in the contents and over each."""
    for place in ("techniques/x", "samples/deep/x"):
        write_section(Section(name="board", title="Leaderboard"), tmp_path / place)
    write_section(Section(name="power", title="Power"), tmp_path / "samples")
    text = write_report(tmp_path).read_text("utf-8")
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", text)
    assert titles == ["Leaderboard: samples/deep", "Leaderboard: techniques", "Power"]
    assert all(text.count(title) >= 2 for title in titles)
