r"""A mathematical answer in running text: after "answer is", or as the last number."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: A number as text writes it: sign, dollar sign, thousands separators, fraction, percent sign.
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]}])-)?(?<![\w.\\^_])(?:\\?\$\s?)?"
    r"(?:\\[dtc]?frac\{-?\d+\}\{-?\d+\}|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][+-]?\d+(?!\w))?(?:\s?/\s?\d+(?![\d.]))?(?:\s*\\?%)?"
)
#: A formula; a dollar sign opens one only if no space follows and closes it only after none.
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<!\\)\$(?!\s)((?:[^$\\]|\\.)+?)(?<!\s)\$(?!\d)",
    re.DOTALL,
)
_JOINED = re.compile(r"\s*(?:,|;|and|or|,\s*(?:and|or))\s*")
#: The end of a sentence: a full stop before a space or the end, or a clause that gives a reason.
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\s(?:because|since|as|where)\s")
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[^{}]*\})?")
_WORD = re.compile(r"[A-Za-z]{2,}")


def math_in_phrase(line: str, _: Sequence[str] = ()) -> str | None:
    """The value that follows "answer is": a formula, an expression, a number or a short name."""
    line = line.replace("**", "").strip()
    formula, number = _FORMULA.search(line), _NUMBER.search(line)
    if formula and not (number and number.start() < formula.start()):
        return _formulas(line, formula)
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0].strip(' .;,!*"')
    words = [w for w in _WORD.findall(_COMMAND.sub(" ", sentence)) if w not in ("and", "or")]
    if not words:
        return sentence or None
    number = _NUMBER.search(sentence)
    if number:
        return number[0]
    return sentence if len(sentence.split()) <= 3 and "?" not in sentence else None


def last_number(text: str, _: Sequence[str] = ()) -> str | None:
    """The last number of a text, formulas included."""
    found = [match[0] for match in _NUMBER.finditer(text.replace("−", "-").replace("**", ""))]
    return found[-1].strip(" $") if found else None


def _formulas(line: str, first: re.Match[str]) -> str:
    """The first formula, and those that follow it with no more than a comma or `and` between."""
    values, end = [_content(first)], first.end()
    for formula in _FORMULA.finditer(line, first.end()):
        if not _JOINED.fullmatch(line[end : formula.start()]):
            break
        values.append(_content(formula))
        end = formula.end()
    return ", ".join(values)


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()
