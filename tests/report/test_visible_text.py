from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

from l2_harness.report.visible_text import prose, visible


def test_every_control_and_format_character_has_a_name() -> None:
    """By Unicode's own categories, but for format characters that belong to a script's text."""
    for code in range(0x110000):
        character = chr(code)
        kind = unicodedata.category(character)
        if character in "\t\n" or kind not in ("Cc", "Cf", "Zl", "Zp"):
            continue
        named = visible(character) == f'<span class="unseen">U+{code:04X}</span>'
        # Arabic number signs and the like, hieroglyphs' and shorthand's joiners, musical beams
        of_a_script = kind == "Cf" and code > 0x5FF and code not in range(0x2000, 0x2070)
        assert named or of_a_script, f"U+{code:04X}"


def test_the_page_script_has_the_same_list() -> None:
    script = (files("l2_harness.report") / "templates" / "dom.js").read_text("utf-8")
    match = re.search(r"const UNSEEN = /\[(.*?)\]\|\[(.*?)\]/u;", script)
    assert match is not None
    inside = (match[1] + match[2]).replace("\\u{", "\\U").replace("}", "")
    pattern = re.compile("[" + re.sub(r"\\U([0-9a-f]{5})", r"\\U000\1", inside) + "]")
    differing = [
        code
        for code in range(0x110000)
        if bool(pattern.match(chr(code))) != ("unseen" in visible(chr(code)))
    ]
    assert differing == []


def test_prose_keeps_code_and_nothing_else() -> None:
    assert prose("`a < b` and **c** <i>") == "<code>a &lt; b</code> and **c** &lt;i&gt;"
    assert prose("a ` alone") == "a ` alone"
    assert prose("`\u202e`") == '<code><span class="unseen">U+202E</span></code>'
