r"""Unicode as answers use it, in ASCII and TeX: `10⁶`, `½`, `－3`, `٣`, `α`, `≤`, `€5`."""

from __future__ import annotations

import re
import unicodedata

_TEX = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "‒": "-",
    "’": "'", "‘": "'", "′": "'", "″": "''",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ",
    "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "±": r"\pm ", "°": r"^{\circ}", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R} ", "∨": r"\lor ", "∧": r"\land ",
    "⁄": "/", "∕": "/", "。": ". ", "、": ", ", "【": "(", "】": ")",
}  # fmt: skip
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙ]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")


class _Characters(dict[int, str]):
    """One character's replacement, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = replacement = _replacement(chr(code))
        return replacement


_CHARACTERS = _Characters()


def plain_characters(text: str) -> str:
    r"""Without marks that do not show, and with TeX or ASCII for what stands for it.

    Raised figures become a power, vulgar fractions a ``\frac``, fullwidth and other scripts'
    figures ASCII ones; signs of money other than the dollar's go. Everything else stays.
    """
    if text.isascii():
        return text
    text = _RAISED.sub(lambda run: f"^{{{_compatible(run[0])}}}", text)
    text = _LOWERED.sub(lambda run: f"_{{{_compatible(run[0])}}}", text)
    text = _VULGAR.sub(
        lambda one: r"\frac{{{}}}{{{}}}".format(*_compatible(one[0]).split("⁄")), text
    )
    return text.translate(_CHARACTERS)


def _replacement(character: str) -> str:
    if character.isascii():
        return character
    if character in _TEX:
        return _TEX[character]
    category = unicodedata.category(character)
    if category in ("Cf", "Sc"):  # direction marks, zero-width spaces; euro, pound
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if greek:
        name = greek[2].lower().replace("lamda", "lambda")
        return f"\\{name if greek[1] == 'SMALL' else name.capitalize()} "
    compatible = _compatible(character)
    return compatible if compatible == character else plain_characters(compatible)


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("−", "-")
