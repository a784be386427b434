"""Text of others for a page: escaped, and with names for the characters that show nothing."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

#: Controls, zero-width and direction marks, separators and tags: they show nothing, or reorder
#: what stands around them. ``dom.js`` has the same list. Line breaks and tabs are no part of it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_CODE = re.compile(r"`([^`\n]+)`")


def visible(text: object) -> Markup:
    """Plain text, with ``U+202E`` and the like in a frame for each character that is not seen."""
    escaped = str(escape(str(text)))
    return Markup(_UNSEEN.sub(_name, escaped))


def prose(text: str) -> Markup:
    """:func:`visible`, with what stands between backticks as code."""
    parts = [visible(part) for part in _CODE.split(text)]
    marked = [
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def _name(match: re.Match[str]) -> str:
    return f'<span class="unseen">U+{ord(match[0]):04X}</span>'
