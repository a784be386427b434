r"""Whether two answers are the same, by kind of answer.

`math` compares values: numbers exactly (a decimal to a relative tolerance), lists and sets part
by part in any order, everything else by math-verify. `letter`, `word` and `text` compare what
remains after brackets, case and punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

from l2_harness.answers.latex import tidy
from l2_harness.answers.numeric import numbers_equal, read_number
from l2_harness.answers.parts import split_parts
from l2_harness.answers.sympy_client import sympy_client
from l2_harness.answers.verdict import Verdict

AnswerKind = Literal["math", "letter", "word", "text"]
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)

#: Relative difference up to which a decimal equals a number.
TOLERANCE = 1e-6

#: A name on the left of `=` that says what the answer is of: x, m_{\max}, f(x), \angle ABC, |AB|.
_ASSIGNED = re.compile(
    r"(?:\\angle\s*|\\operatorname\s*)?(?:\\?[A-Za-z]+|\|[A-Za-z ]+\|)(?:\s[A-Za-z])*"
    r"(?:_\s*(?:\{[^{}]*\}|\w)|\^\s*(?:\\prime|\{\\prime\}|\*)|')*(?:\s*\([A-Za-z, ]*\))?"
    r"(?:\s+[A-Z](?:_\s*\{?\d\}?)?)*\s*(?:=|\\in(?![a-z]))\s*(?P<value>[^=]+)"
)
_LETTER = re.compile(r"\(?([A-Za-z])\)?")  # an option or a variable
_LONGER_WORD = re.compile(r"[A-Za-z]{4}")
_LETTERS_ONLY = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")
_BASED = re.compile(r"\(?(?P<digits>[0-9A-F]+)\)?_\s*\{?\s*(?P<base>\d+)\s*\}?")
_BRACKETS_ONLY = re.compile(r"[\s\\,()\[\]{}<>]+")


def equivalent(a: str, b: str, kind: AnswerKind = "math") -> bool:
    """Whether two answers say the same, whichever of them is the reference.

    A comparison that timed out or failed makes them different.
    """
    verdicts = (compare_answers(first, second, kind) for first, second in ((a, b), (b, a)))
    return any(verdict is Verdict.EQUAL for verdict in verdicts)


def compare_answers(
    gold: str, answer: str, kind: AnswerKind = "math", tolerance: float = TOLERANCE
) -> Verdict:
    """Whether ``answer`` gives ``gold``, which decides what form is asked for.

    Verdicts are cached: the responses to one question share few answers.
    """
    if kind == "math":
        return _compare_math(gold, answer, tolerance)
    normalise = {"letter": normalise_letter, "word": normalise_text, "text": normalise_text}[kind]
    expected = normalise(gold)
    return _either(bool(expected) and expected == normalise(answer))


def compare_parts(
    gold: Sequence[str], answer: Sequence[str], tolerance: float = TOLERANCE
) -> Verdict:
    """Whether two lists of mathematical answers hold the same ones, in any order."""
    if len(gold) != len(answer):
        return Verdict.DIFFERENT
    left = list(answer)
    for part in gold:
        verdicts = [_compare_math(part, candidate, tolerance) for candidate in left]
        if Verdict.EQUAL in verdicts:
            left.pop(verdicts.index(Verdict.EQUAL))
        else:
            failed = [verdict for verdict in verdicts if verdict.unverified]
            return failed[0] if failed else Verdict.DIFFERENT
    return Verdict.EQUAL


def normalise_letter(answer: str) -> str:
    r"""`(b)`, `B.` and `\text{B}` as `B`; empty where there is no single letter."""
    match = re.fullmatch(r"\W*([A-Za-z])\W*", tidy(answer))
    return match[1].upper() if match else ""


def normalise_text(answer: str) -> str:
    """Words in lower case with single spaces; of brackets alone, the brackets without spaces."""
    if _BRACKETS_ONLY.fullmatch(answer):
        return re.sub(r"[\s\\,]", "", answer)
    text = re.sub(r"[\s,]+", " ", tidy(answer).replace("\\", " "))
    return text.strip(" .\"'()").casefold()


@lru_cache(maxsize=1 << 16)
def _compare_math(gold: str, answer: str, tolerance: float) -> Verdict:
    expected, given = tidy(gold), tidy(answer)
    if not expected or not given:
        return Verdict.DIFFERENT
    if _compact(expected) == _compact(given):
        return Verdict.EQUAL
    for compare in (_compare_numbers, _compare_words, _compare_bases, _compare_lists):
        verdict = compare(expected, given, tolerance)
        if verdict is not None:
            return verdict
    return _compare_expressions(expected, given, tolerance)


def _compare_numbers(expected: str, given: str, tolerance: float) -> Verdict | None:
    numbers = [read_number(_value(text)) for text in (expected, given)]
    if numbers[0] is None or numbers[1] is None:
        return None
    return _either(numbers_equal(numbers[0], numbers[1], tolerance))


def _compare_words(expected: str, given: str, _: float) -> Verdict | None:
    """Names and words: sympy would take `east` and `seat` for the same product of symbols."""
    letters = [_LETTER.fullmatch(text) for text in (expected, given)]
    if letters[0] and letters[1]:
        return _either(letters[0][1] == letters[1][1])
    words = [text.strip("() ") for text in (expected, given)]
    if not all(_LETTERS_ONLY.fullmatch(word) for word in words):
        return None
    same = words[0].casefold() == words[1].casefold()
    # Without a longer word, `ab` and `ba` are products of symbols.
    return _either(same) if same or any(map(_LONGER_WORD.search, words)) else None


def _compare_bases(expected: str, given: str, _: float) -> Verdict | None:
    r"""Numerals such as `52_8`: the digits must agree, and the base where both name one."""
    numerals = [_BASED.fullmatch(text) for text in (expected, given)]
    if not any(numerals):
        return None
    pairs = zip(numerals, (expected, given), strict=True)
    digits = [numeral["digits"] if numeral else text for numeral, text in pairs]
    bases = {n["base"] for n in numerals if n}
    return _either(digits[0] == digits[1] and len(bases) == 1)


def _compare_lists(expected: str, given: str, tolerance: float) -> Verdict | None:
    parts = [split_parts(_value(text)) for text in (expected, given)]
    if max(map(len, parts)) < 2:
        return None
    return compare_parts(parts[0], parts[1], tolerance)


def _compare_expressions(expected: str, given: str, tolerance: float) -> Verdict:
    """Sympy's verdict, on the values where a side only names its value (`x = 5`)."""
    values = _value(expected), _value(given)
    if _compact(values[0]) == _compact(values[1]):
        return Verdict.EQUAL
    # `x + x = 5` names nothing: it is no way to say `x = 5`.
    if values != (expected, given) and not ("=" in expected and "=" in values[1]):
        return _compare_math(values[0], values[1], tolerance)
    if not (_brackets_close(expected) and _brackets_close(given)):
        return Verdict.DIFFERENT  # the parser would read the part before the loose bracket
    return sympy_client.compare(expected, given, tolerance)


def _value(text: str) -> str:
    """What a name on the left is said to be: `5` of `x = 5`; anything else as it is."""
    named = _ASSIGNED.fullmatch(text)
    return named["value"].strip() if named else text


def _brackets_close(text: str) -> bool:
    return sum(map(text.count, "([{")) == sum(map(text.count, ")]}"))


def _compact(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _either(equal: bool) -> Verdict:
    return Verdict.EQUAL if equal else Verdict.DIFFERENT
