r"""Whether two answers are the same, by kind of answer.

`math` compares values: numbers exactly (a decimal to a relative tolerance), lists and sets part
by part in any order, everything else by math-verify. `letter`, `word` and `text` compare what
remains after brackets, case and punctuation.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, get_args

from l2_harness.answers.intervals import read_real_set
from l2_harness.answers.latex import tidy
from l2_harness.answers.names import names_of, only_numbered, plain_name, readings, split_name
from l2_harness.answers.numeric import numbers_equal, read_number
from l2_harness.answers.parts import coordinates, split_parts
from l2_harness.answers.sympy_client import sympy_client
from l2_harness.answers.units import opposed
from l2_harness.answers.verdict import Verdict

AnswerKind = Literal["math", "letter", "word", "text", "name"]
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)

#: Relative difference up to which a decimal equals a number.
TOLERANCE = 1e-6

#: Processor time for comparing two answers, however many parts they have, in seconds.
ANSWER_SECONDS = 10.0
#: Characters and figures in a row above which an answer is compared by its text alone.
LONGEST_ANSWER = 10_000
LONGEST_NUMBER = 1_000

_LETTER = re.compile(r"\(?([A-Za-z]'*)\)?")  # an option or a variable
_NAME_OF_SOMEONE = re.compile(r"[A-Za-z]{4}|[A-Z][a-z]{2}")
_LETTERS_ONLY = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")
_IN_TEXT = re.compile(r"[\s$]*\\(?:text|mbox|textbf|textit|textrm)\s*\{[^{}]*\}[\s$.]*")
_BASED = re.compile(r"\(?(?P<digits>[0-9A-F]+)\)?_\s*\{?\s*(?P<base>\d+)\s*\}?")
_PRIMES = re.compile(r"([A-Za-z])('+)")
_BRACKETS_ONLY = re.compile(r"[\s\\,()\[\]{}<>]+")
_LONG_NUMBER = re.compile(rf"\d{{{LONGEST_NUMBER}}}")
_DECIMAL_POINT = re.compile(r"-?\d*\.\d+")
_DECIMAL_COMMA = re.compile(r"^(-?\d+),(\d+)$")
_GROUPED = re.compile(r"(?<![\d.])(?<!\d,)\d{1,3}(?:,\d{3})+(?!,?\d)")
_LETTER_OF_OPTION = re.compile(
    r"\W*(?:mathbb\W+)?(?:(?:the|correct|final|right|best|option|choice|letter|answer|is)\b[\s:(]*)*([A-Za-z])\W*",
    re.IGNORECASE,
)


def equivalent(a: str, b: str, kind: AnswerKind = "math") -> bool:
    """Whether two answers say the same, whichever of them is the reference.

    A comparison that timed out or failed makes them different.
    """
    return compare_both_ways(a, b, kind) is Verdict.EQUAL


def compare_both_ways(a: str, b: str, kind: AnswerKind = "math") -> Verdict:
    """Whether either of two answers gives the other."""
    return _first_equal(compare_answers(*pair, kind) for pair in ((a, b), (b, a)))


def compare_answers(
    gold: str, answer: str, kind: AnswerKind = "math", tolerance: float = TOLERANCE
) -> Verdict:
    """Whether ``answer`` gives ``gold``, which decides what form is asked for."""
    if max(len(gold), len(answer)) > LONGEST_ANSWER:
        return _either(_compact(gold) == _compact(answer))
    if kind == "math":
        with sympy_client.budget(ANSWER_SECONDS):
            return _compare_math(gold, answer, tolerance)
    normalise = _NORMALISED[kind]
    expected = normalise(gold)
    return _either(bool(expected) and expected == normalise(answer))


def compare_parts(
    gold: Sequence[str], answer: Sequence[str], tolerance: float = TOLERANCE
) -> Verdict:
    """Whether two lists of tidied mathematical answers hold the same ones.

    Any order will do, unless the values have names of their own: `x = 1, y = 2` is not
    `x = 2, y = 1`, and where one side leaves the names out its values follow their order, that of
    the other side or of the alphabet.
    """
    if len(answer) > len(gold):
        answer = list(
            {_compact(part): part for part in answer}.values()
        )  # without what is repeated
    if len(gold) == 1:
        gold = list(gold) * len(answer)  # said in several notations
    if len(gold) != len(answer):
        return Verdict.DIFFERENT
    with sympy_client.budget(ANSWER_SECONDS):
        return _first_equal(compare(*order, tolerance) for compare, order in _orders(gold, answer))


def normalise_letter(answer: str) -> str:
    r"""`(b)`, `B.` and `\text{B}` as `B`; empty where there is no single letter."""
    match = _LETTER_OF_OPTION.fullmatch(tidy(answer))
    return match[1].upper() if match else ""


def normalise_text(answer: str) -> str:
    """Words in lower case with single spaces; of brackets alone, the brackets without spaces."""
    if _BRACKETS_ONLY.fullmatch(answer):
        return re.sub(r"[\s\\,]", "", answer)
    text = re.sub(r"[\s,]+", " ", tidy(answer).replace("\\", " "))
    return text.strip(" .\"'()").casefold()


def normalise_name(answer: str) -> str:
    """As SQuAD's evaluation has it: lower case, no punctuation, no articles, single spaces."""
    text = "".join(c for c in tidy(answer).casefold() if c not in string.punctuation)
    return " ".join(word for word in text.split() if word not in ("a", "an", "the"))


_NORMALISED = {
    "letter": normalise_letter,
    "word": normalise_text,
    "text": normalise_text,
    "name": normalise_name,
}


def _compare_math(gold: str, answer: str, tolerance: float) -> Verdict:
    if opposed(gold, answer):
        return Verdict.DIFFERENT
    if _IN_TEXT.fullmatch(gold) and _IN_TEXT.fullmatch(answer):
        words = _compare_words(tidy(gold), tidy(answer), tolerance, certain=True)
        if words is not None:
            return words
    expected, given = tidy(gold), tidy(answer)
    plain = _ungrouped(expected), _ungrouped(given)
    verdict = _compare_readings(*plain, tolerance)
    # a list of numbers of three figures, such as `100,200`, may look like thousands
    lists = read_number(expected) is None or all(map(read_number, split_parts(given)))
    if verdict is Verdict.DIFFERENT and lists and plain != (expected, given):
        return _compare_readings(expected, given, tolerance)
    return verdict


def _compare_readings(expected: str, given: str, tolerance: float) -> Verdict:
    return _first_equal(
        _compare_tidied(a, b, tolerance) for a in readings(expected) for b in readings(given)
    )


def _compare_tidied(expected: str, given: str, tolerance: float) -> Verdict:
    if not expected or not given:
        return Verdict.DIFFERENT
    if _compact(expected) == _compact(given):
        return Verdict.EQUAL
    if _LONG_NUMBER.search(expected) or _LONG_NUMBER.search(given):
        return _compare_numbers(expected, given, tolerance) or Verdict.DIFFERENT
    for compare in _COMPARISONS:
        verdict = compare(expected, given, tolerance)
        if verdict is not None:
            return verdict
    return _compare_expressions(expected, given, tolerance)


def _compare_names(expected: str, given: str, _: float) -> Verdict | None:
    """`x = 5` is not `y = 5`; an index or a name in words may differ, and so may `x = y/2`."""
    named = [split_name(text) for text in (expected, given)]
    names = [plain_name(name) for name, _ in named]
    values = [re.sub(r"\\[A-Za-z]+", "", value).lower() for _, value in named]
    related = names[0] in values[1] or names[1] in values[0]
    return Verdict.DIFFERENT if all(names) and names[0] != names[1] and not related else None


def _compare_numbers(expected: str, given: str, tolerance: float) -> Verdict | None:
    values = [_value(text) for text in (expected, given)]
    if _DECIMAL_POINT.fullmatch(values[0]):
        values[1] = _DECIMAL_COMMA.sub(r"\1.\2", values[1])
    numbers = [read_number(value) for value in values]
    if numbers[0] is None or numbers[1] is None:
        return None
    return _either(numbers_equal(numbers[0], numbers[1], tolerance))


def _compare_words(expected: str, given: str, _: float, certain: bool = False) -> Verdict | None:
    """Names and words: sympy would take `east` and `seat` for the same product of symbols.

    Unless they are ``certain`` to be words, `ab` and `ba` are products.
    """
    letters = [_LETTER.fullmatch(text) for text in (expected, given)]
    if letters[0] and letters[1]:
        return _either(letters[0][1] == letters[1][1])
    words = [text.strip("() ") for text in (expected, given)]
    if not all(_LETTERS_ONLY.fullmatch(word) for word in words):
        return None
    same = words[0].casefold() == words[1].casefold()
    return _either(same) if same or certain or any(map(_NAME_OF_SOMEONE.search, words)) else None


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
    for point, others in ((0, 1), (1, 0)):
        if len(parts[point]) == 1 and names_of(parts[others]):
            parts[point] = coordinates(parts[point][0])
    if max(map(len, parts)) < 2:
        return None
    return compare_parts(parts[0], parts[1], tolerance)


def _compare_real_sets(expected: str, given: str, tolerance: float) -> Verdict | None:
    """Conditions, as the intervals that they describe."""
    sets = [read_real_set(text) for text in (expected, given)]
    if sets[0] is None or sets[1] is None or not (sets[0].rewritten or sets[1].rewritten):
        return None
    if sets[0].variable and sets[1].variable and sets[0].variable != sets[1].variable:
        return Verdict.DIFFERENT
    return _compare_tidied(sets[0].text, sets[1].text, tolerance)


def _compare_expressions(expected: str, given: str, tolerance: float) -> Verdict:
    """Sympy's verdict, on the values where a side only names its value (`x = 5`)."""
    values = _value(expected), _value(given)
    if _compact(values[0]) == _compact(values[1]):
        return Verdict.EQUAL
    # `x + x = 5` names nothing: it is no way to say `x = 5`.
    if values != (expected, given) and not ("=" in expected and "=" in values[1]):
        verdict = _compare_tidied(values[0], values[1], tolerance)
        names = {plain_name(split_name(text)[0]) for text in (expected, given)}
        equations = "=" in expected and "=" in given and len(names) == 2
        if verdict is not Verdict.DIFFERENT or not equations:
            return verdict
    if not (_brackets_close(expected) and _brackets_close(given)):
        return Verdict.DIFFERENT  # the parser would read the part before the loose bracket
    # the parser reads over primes: they become an index
    primed = [_PRIMES.sub(lambda m: f"{m[1]}_{{{'p' * len(m[2])}}}", t) for t in (expected, given)]
    return sympy_client.compare(primed[0], primed[1], tolerance)


def _orders(gold: Sequence[str], answer: Sequence[str]) -> Iterator[tuple[_Comparison, _Parts]]:
    """The ways in which two lists may correspond, each with what compares them."""
    names = names_of(gold), names_of(answer)
    if not any(names) or (not all(names) and only_numbered(names[0] or names[1])):
        yield _compare_in_any_order, (gold, answer)
        return
    by_name = (
        _by_name(gold, names[0]) if names[0] else gold,
        _by_name(answer, names[1]) if names[1] else answer,
    )
    if sorted(names[0]) != sorted(names[1]):
        yield _compare_in_order, (gold, answer)
    if sorted(names[0]) == sorted(names[1]) or not all(names):
        yield _compare_in_order, by_name


def _compare_in_any_order(gold: Sequence[str], answer: Sequence[str], tolerance: float) -> Verdict:
    texts = Counter(map(_compact, gold)) & Counter(map(_compact, answer))
    left = _without(answer, texts)
    for part in _without(gold, texts):
        failed = None
        for place, candidate in enumerate(left):
            if sympy_client.seconds_left() <= 0:
                return Verdict.TIMEOUT
            verdict = _compare_tidied(part, candidate, tolerance)
            if verdict is Verdict.EQUAL:
                left.pop(place)
                break
            failed = verdict if verdict.unverified else failed
        else:
            return failed or Verdict.DIFFERENT
    return Verdict.EQUAL


def _compare_in_order(gold: Sequence[str], answer: Sequence[str], tolerance: float) -> Verdict:
    for part, candidate in zip(gold, answer, strict=True):
        verdict = _compare_tidied(part, candidate, tolerance)
        if verdict is not Verdict.EQUAL:
            return verdict
    return Verdict.EQUAL


def _by_name(parts: Sequence[str], names: Sequence[str]) -> list[str]:
    return [part for _, part in sorted(zip(names, parts, strict=True), key=lambda pair: pair[0])]


def _without(parts: Sequence[str], texts: Counter[str]) -> list[str]:
    """The parts less as many of each text as are counted."""
    counted = Counter(texts)
    kept = []
    for part in parts:
        if counted[_compact(part)]:
            counted[_compact(part)] -= 1
        else:
            kept.append(part)
    return kept


def _first_equal(verdicts: Iterable[Verdict]) -> Verdict:
    """EQUAL where one is; else one that failed, if any."""
    outcome = Verdict.DIFFERENT
    for verdict in verdicts:
        if verdict is Verdict.EQUAL:
            return verdict
        outcome = verdict if verdict.unverified else outcome
    return outcome


def _value(text: str) -> str:
    """What a name on the left is said to be: `5` of `x = 5`; anything else as it is."""
    return split_name(text)[1]


def _ungrouped(text: str) -> str:
    """Without the commas of thousands outside brackets."""
    return _GROUPED.sub(
        lambda m: m[0] if _inside_brackets(text, m.start()) else m[0].replace(",", ""), text
    )


def _inside_brackets(text: str, position: int) -> bool:
    before = text[:position]
    return any(before.count(a) > before.count(b) for a, b in ("()", "[]"))


def _brackets_close(text: str) -> bool:
    return sum(map(text.count, "([{")) == sum(map(text.count, ")]}"))


def _compact(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _either(equal: bool) -> Verdict:
    return Verdict.EQUAL if equal else Verdict.DIFFERENT


_Comparison = Callable[[Sequence[str], Sequence[str], float], Verdict]
_Parts = tuple[Sequence[str], Sequence[str]]

_COMPARISONS = (
    _compare_names,
    _compare_numbers,
    _compare_words,
    _compare_bases,
    _compare_real_sets,
    _compare_lists,
)
