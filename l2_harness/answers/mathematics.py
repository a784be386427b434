r"""A mathematical answer in running text: after "answer is", or as the last value of the text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from l2_harness.answers.piece import Piece

#: A number as text writes it: sign, dollar sign, thousands separators, fraction, percent sign.
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]}])-)?(?<![\w.\\^_])(?<![\^_]\{)(?:\\?\$\s?)?"
    r"(?:\\[dtc]?frac\{-?\d+\}\{-?\d+\}|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+,\d{1,2}(?![\d,.])"
    r"|\d+(?::\d+)+|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][+-]?\d+(?!\w))?(?:\s?/\s?\d+(?![\d.]))?(?:\s*\\?%)?"
    r"(?:\s(?:dozen|hundred|thousand|[mbtr]+illion|percent|per cent)\b|\^\{?\d+\}?)?"
)
#: A formula; a dollar sign opens one only if no space follows and closes it only after none,
#: unless there are no words between them: `$5 and $6` is money.
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<!\\)\$(?!\s)((?:[^$\\]|\\.)+?)(?<!\s)\$(?!\d)"
    r"|(?<!\\)\$((?:\\(?:begin|end)\{\w+\}(?:\{[lcr|]+\})?|\\[A-Za-z]+|\\.|[A-Za-z](?![A-Za-z])|[^$\\A-Za-z])+)\$(?!\d)",
    re.DOTALL,
)
_JOINED = re.compile(r"\s*(?:,|;|and|or|,\s*(?:and|or))\s*")
#: The end of a sentence: a full stop before a space or the end, or a clause that gives a reason.
_SENTENCE_END = re.compile(
    r"(?<!\b[A-Z])\.(?=\s|$)|,?\s(?:because|since|as|where|when|if|given|for which)\s|\n\s*\n"
)
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[^{}]*\})?")
_WORD = re.compile(r"[^\W\d_]{2,}")
#: Words that place the value after them beside the point: `$500 in 2 years`, `$ABCD$ is 120`.
_BESIDE = re.compile(
    r"\b(?:in|of|after|at|for|per|with|on|by|from|every|each|over|within|than|during|before|"
    r"between|the|these|those|all|when|if|let|since|because|as|where|with|out of)\s*$",
    re.IGNORECASE,
)
#: What stands right before the value that a sentence comes to.
_TELLS = re.compile(r"(?:\b(?:is|are|equals?|gets?|obtain|gives?|yields?)|:)\s*$", re.IGNORECASE)
_WHICH_IS = re.compile(r",?\swhich\s(?:is|equals|gives|makes)\b")
#: How much of a line is read after "answer is", and of a text's end for its last value.
LONGEST_LINE = 2_000


def math_in_phrase(line: str, _: Sequence[str] = ()) -> str | None:
    """The value that follows "answer is": a formula, an expression, a number or a short name."""
    line = line.replace("**", "").strip()[:LONGEST_LINE]
    line = re.sub(r"^-\s+(?=[\d.$\\])", "-", line)
    formula = _FORMULA.search(line)
    sentence = _first_sentence(line)
    values = _values(sentence)
    starts = bool(values) and not _WORD.search(sentence[: values[0].start])
    if formula and starts and values[0].start == formula.start():
        return values[0].content
    plain = sentence.rstrip(' .;,!*"').lstrip(' ;,!*"')
    if not _words(plain):
        return plain or None
    if starts:
        result = _after_last_equals(sentence)
        return result or values[0].content
    if values:
        return _main_value(sentence, values)
    return plain if len(plain.split()) <= 3 and "?" not in plain else None


def last_value(text: str, _: Sequence[str] = ()) -> str | None:
    """The last value of a text: a line that is an expression, else the last formula or number.

    The last formula of the last sentence comes before the numbers inside it; a formula that only
    names something comes after the numbers of its sentence.
    """
    tail = _tail(text).replace("**", "").rstrip()
    if "\n" not in tail:  # one line is no list, and its dash a sign
        tail = re.sub(r"^\s*[-−]\s+(?=[\d.]|\\[a-z])", "-", tail)
    last = re.sub(r"^[-*+]\s+", "", tail.rsplit("\n", 1)[-1].strip(' *"'))
    if re.search(r"[\w\\]", last) and not re.search(r"\$|\\[])]", last) and not _words(last):
        return last.rstrip(" .;,!") or None
    for sentence in reversed(_sentences(tail)):
        values = _values(sentence)
        if values and _TELLS.search(sentence[max(0, values[-1].start - 20) : values[-1].start]):
            return values[-1].content.strip(" $") or None
        telling = [value for value in values if re.search(r"\d|\\[a-z]|[-+=<>^]", value.content)]
        if telling or values:
            return (telling or values)[-1].content.strip(" $") or None
    return None


def _tail(text: str) -> str:
    """The end of a text, from the start of a word on unless that is a very long one."""
    text = text.rstrip()
    cut, limit = len(text) - LONGEST_LINE, max(0, len(text) - 5 * LONGEST_LINE)
    if cut <= 0:
        return text
    return text[max(text.rfind(" ", limit, cut), text.rfind("\n", limit, cut), limit) :]


def _first_sentence(line: str) -> str:
    return next((one for one in _sentences(line) if one.strip(' .;,!*"')), "")


def _sentences(text: str) -> list[str]:
    """The text cut at the ends of sentences that lie outside formulas."""
    formulas = [match.span() for match in _FORMULA.finditer(text)]
    pieces, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        if any(a <= end.start() < b for a, b in formulas):
            continue
        pieces.append(text[start : end.start()])
        start = end.end()
    return [*pieces, text[start:]]


def _values(text: str) -> list[Piece]:
    """Formulas and the numbers outside them, those with no more than `and` between as one."""
    formulas = [Piece(*match.span(), _content(match)) for match in _FORMULA.finditer(text)]
    found: list[Piece] = []
    for value in sorted([*formulas, *_numbers(text, formulas)]):
        if found and _joins(text[found[-1].end : value.start]):
            earlier = found.pop()
            value = Piece(earlier.start, value.end, f"{earlier.content}, {value.content}")
        found.append(value)
    return found


def _numbers(text: str, formulas: Sequence[Piece]) -> list[Piece]:
    found, formula = [], 0
    for match in _NUMBER.finditer(text):
        while formula < len(formulas) and formulas[formula].end <= match.start():
            formula += 1
        if formula == len(formulas) or match.end() <= formulas[formula].start:
            found.append(Piece(*match.span(), match[0]))
    return found


def _joins(gap: str) -> bool:
    return len(gap) < 20 and bool(_JOINED.fullmatch(gap))


def _main_value(sentence: str, values: Sequence[Piece]) -> str:
    """The value that a sentence is about: the last one that no preposition puts aside."""
    result = _after_last_equals(sentence)
    if result:
        return result
    central = [v for v in values if not _BESIDE.search(sentence[max(0, v.start - 12) : v.start])]
    return (central or values)[-1].content


def _after_last_equals(sentence: str) -> str | None:
    """What a calculation outside formulas comes to: `5` of `20 - 15 = 5 dollars`."""
    spans = [match.span() for match in _FORMULA.finditer(sentence)]
    sentence = _WHICH_IS.sub(" = ", sentence)
    equals = sentence.rfind("=")
    if equals < 0 or any(a <= equals < b for a, b in spans):
        return None
    if re.search(r"(?:^|[^A-Za-z])[A-Za-z]\s*$", sentence[:equals]):
        return None  # a variable's value, as in `12 (with x = 3)`
    values = _values(sentence[equals + 1 :])
    return values[0].content if values else None


def _words(text: str) -> list[str]:
    return [w for w in _WORD.findall(_COMMAND.sub(" ", text)) if w not in ("and", "or")]


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip().rstrip(" .,;")
