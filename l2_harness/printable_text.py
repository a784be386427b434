"""Text of others on a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """A line without what moves a cursor, breaks it or turns it around: it may come from others."""
    shown = (c if c.isprintable() or unicodedata.category(c) == "Zs" else "\ufffd" for c in text)
    return text if text.isprintable() else "".join(shown)


def printable_lines(text: str) -> str:
    """The same of several lines."""
    return "\n".join(map(printable, text.split("\n")))
