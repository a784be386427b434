"""The colours of a page, light and dark: the one place where they are named.

Text reaches a contrast of 4.5 to 1 on every ground that it stands on, and lines that carry
meaning 3 to 1 (WCAG 2.2, AA). No meaning hangs on colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "ground": "#fbfbf9",
    "raised": "#ffffff",
    "sunken": "#f1f2f0",
    "ink": "#1c2126",
    "muted": "#586069",
    "line": "#dcdfe2",
    "edge": "#80888f",
    "accent": "#0a5aa6",
    "accent-ground": "#eaf2fa",
    "good": "#0b6b4c",
    "bad": "#a33a00",
    "caution": "#8a5a00",
    "caution-ground": "#fcf5e4",
    "focus": "#0a5aa6",
}
DARK: Mapping[str, str] = {
    "ground": "#14171a",
    "raised": "#1b1f24",
    "sunken": "#23282e",
    "ink": "#e7e9eb",
    "muted": "#a5adb6",
    "line": "#333a42",
    "edge": "#7d8791",
    "accent": "#82bbf5",
    "accent-ground": "#1a2836",
    "good": "#5fcf9f",
    "bad": "#ff9d6b",
    "caution": "#e3b75c",
    "caution-ground": "#2a2417",
    "focus": "#82bbf5",
}

#: (text, ground) pairs that occur.
TEXT_PAIRS = (
    *((text, ground) for text in ("ink", "muted") for ground in ("ground", "raised", "sunken")),
    *((text, ground) for text in ("accent", "good", "bad") for ground in ("ground", "raised")),
    *(("ink", "accent-ground"), ("accent", "accent-ground"), ("accent", "sunken")),
    *(("ink", "caution-ground"), ("caution", "caution-ground"), ("raised", "accent")),
    *(("caution", "raised"), ("caution", "ground")),
)
#: (line, ground) pairs that carry meaning.
LINE_PAIRS = tuple(
    (line, ground) for line in ("edge", "focus", "bad") for ground in ("ground", "raised")
)


def palette_css() -> str:
    """The colours as custom properties: by the system's wish, the reader's, and light in print."""
    dark = _properties(DARK, "dark")
    return (
        f":root {{{_properties(LIGHT, 'light')}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{{dark}}} }}\n"
        f":root[data-theme=dark] {{{dark}}}\n"
        f"@media print {{ :root:root:root {{{_properties(LIGHT, 'light')}}} }}\n"
    )


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours ``#rrggbb``, from 1 to 21, as WCAG 2.2 defines it."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _properties(colours: Mapping[str, str], scheme: str) -> str:
    named = " ".join(f"--{name}: {colour};" for name, colour in colours.items())
    return f" color-scheme: {scheme}; {named} "
