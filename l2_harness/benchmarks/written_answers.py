r"""A gold answer in the ways a model would write it, and answers that are wrong.

The check of a task scores both: every right response must score 1, every wrong one 0. Nothing here
comes from the scoring code: what counts as the same answer is written down a second time, as
transformations of text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Thinking that holds other answers in every form that extraction looks for. The closing remark
#: of a thought is no answer either.
THINKING = (
    "<think>\nLet me see. Maybe the answer is {decoy}. So \\boxed{{{decoy}}}?\n"
    "Wait, 17 * 3 = 51, and option (A) or (B) would need 99. Yes or no... Let me start again.\n"
    "</think>\n\n"
)
_INTEGER = re.compile(r"-?\d+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+")
_SCIENTIFIC = re.compile(r"(-?\d+(?:\.\d+)?)[eE]([+-]?\d+)")


def right_responses(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(form, response) for every way of giving the gold answer that fits the document."""
    for form, answer in written_forms(document):
        thought = THINKING.format(decoy=_decoy(document))
        yield f"{form}, boxed", f"{thought}So we are done.\n\n$$\\boxed{{{answer}}}$$"
        if form == "as published":
            yield from _without_box(document, answer, thought)


def wrong_responses(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(form, response) for answers that are wrong, missing or cut off."""
    gold = boxable(document)
    decoy = _decoy(document)
    yield "empty", ""
    yield "no answer", "I am not able to solve this."
    yield "thinking cut off", f"<think>\nIt is \\boxed{{{gold}}}. The answer is {gold}. But wait"
    yield "gold only in the thinking", f"<think>\\boxed{{{gold}}}</think>\n\n\\boxed{{{decoy}}}"
    yield "gold, then another answer", f"\\boxed{{{gold}}}? No: the answer is \\boxed{{{decoy}}}."
    yield "box cut off", f"<think>\nDone.\n</think>\n\nThe answer is \\boxed{{{gold}"
    for form, answer in _wrong_answers(document):
        thought = THINKING.format(decoy=gold)
        yield f"{form}, boxed", f"{thought}Therefore \\boxed{{{answer}}}."
        yield f"{form}, in words", f"{thought}So the final answer is {_in_words(document, answer)}."


def written_forms(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(form, answer) for every notation of the gold answer."""
    kind, gold = document["kind"], boxable(document)
    yield "as published", gold
    if kind == "letter":
        yield from (("in brackets", f"({gold})"), ("as text", rf"\text{{{gold}}}"))
        yield "with its option", f"({gold}) {_option(document)}"
        yield "lower case", gold.lower()
    elif kind == "name":
        yield from (("in capitals", gold.upper()), ("with an article", f"the {gold}"))
        yield from ((f"name {n}", name) for n, name in enumerate(document["parts"][1:], 2))
    elif kind == "word":
        yield from (("lower case", gold.lower()), ("as text", rf"\text{{{gold.upper()}}}"))
    elif kind == "math":
        yield from _mathematical_forms(document, gold)


def boxable(document: Mapping[str, Any]) -> str:
    r"""The gold answer inside a box: without dollar signs but those of money, braces escaped."""
    if document["kind"] == "text":
        return re.sub(r"([{}])", r"\\\1", document["target"])
    if document["kind"] == "name":
        return str(document["parts"][0])
    parts = [re.sub(r"(?<!\\)\$", "", part).strip() for part in document["parts"]]
    return ", ".join(parts)


def _mathematical_forms(document: Mapping[str, Any], gold: str) -> Iterator[tuple[str, str]]:
    yield "spaced", f" {gold} "
    yield "in bold", rf"\mathbf{{{gold}}}"
    yield "with a full stop", f"{gold}."
    if document["unit"]:
        yield "with its unit", f"{gold} {document['unit'].strip('$')}"
    if r"\frac" in gold:
        yield "dfrac", gold.replace(r"\frac", r"\dfrac")
    if "(" in gold and r"\left" not in gold and gold.count("(") == gold.count(")"):
        yield "sized brackets", gold.replace("(", r"\left(").replace(")", r"\right)")
    if len(document["parts"]) > 1:
        yield (
            "in another order",
            ", ".join(
                boxable({**document, "parts": [part]}) for part in reversed(document["parts"])
            ),
        )
        yield "as a set", rf"\{{{gold}\}}"
    elif _INTEGER.fullmatch(_plain(gold)):
        yield from _integer_forms(_plain(gold))
    elif gold.endswith("%"):
        yield "percent sign for TeX", re.sub(r"\s*\\?%$", r"\\%", gold)
    elif scientific := _SCIENTIFIC.fullmatch(gold):
        yield "power of ten", rf"{scientific[1]} \times 10^{{{int(scientific[2])}}}"


def _plain(gold: str) -> str:
    """Without thousands separators, where its commas are some: not of `-2,1`."""
    return gold.replace(",", "") if _THOUSANDS.fullmatch(gold) else gold


def _integer_forms(gold: str) -> Iterator[tuple[str, str]]:
    value = int(gold)
    yield "plain", str(value)
    yield "as a decimal", f"{value}.0"
    yield "as money", rf"\${value}"
    yield "named", f"x = {value}"
    yield "with a unit", rf"{value} \text{{ apples}}"
    yield "with thousands separators", f"{value:,}"
    yield "with TeX thousands separators", f"{value:,}".replace(",", "{,}")
    if value >= 0:
        yield "with leading zeros", f"{value:05d}"


def _without_box(
    document: Mapping[str, Any], answer: str, thought: str
) -> Iterator[tuple[str, str]]:
    words = _in_words(document, answer)
    yield "answer is", f"{thought}Adding up, the answer is {words}."
    yield "answer, in bold", f"{thought}**Final Answer:** {words}"
    yield "answer on its own line", f"{thought}### Answer\n\nThe final answer is:\n{words}\n"
    yield "no thinking, answer is", f"First 3 + 4 = 7, not 8.\nThe answer is {words}."
    if document["kind"] == "letter":
        yield "option alone", f"{thought}I choose ({answer})."
    if document["kind"] == "word":
        yield "word at the end", f"{thought}All in all: {answer}."
    if document["kind"] == "math":
        yield "in round brackets", f"{thought}Hence the answer is \\({answer}\\)."
        yield "displayed", f"{thought}**Answer:**\n\\[\n{answer}\n\\]"
        yield "thinking opened in the prompt", f"Is it 12? No.\n</think>\n\n\\boxed{{{answer}}}"
    if document["kind"] == "math" and _INTEGER.fullmatch(answer):
        yield "plain, answer is", f"{thought}The answer is {answer} apples, not {answer}7."
        yield "plain, after four hashes", f"{thought}7 - 2 = 5\n#### {answer}"
        yield "last number", f"{thought}There were 7 of them, and now there are **{answer}** left."


def _in_words(document: Mapping[str, Any], answer: str) -> str:
    """An answer outside a box, as running text has it."""
    if document["kind"] == "math":
        return f"${answer}$"
    if document["kind"] == "letter":
        return f"({answer})"
    return document["target"] if answer == boxable(document) else answer


def _wrong_answers(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind, gold = document["kind"], boxable(document)
    if kind == "letter":
        yield "other option", _decoy(document)
    elif kind == "word":
        yield from (("other word", word) for word in document["choices"] if word != gold)
    elif kind == "name":
        yield from (("a word more", f"{gold} maybe"), ("another name", _decoy(document)))
    elif kind == "text":
        yield "one word short", " ".join(gold.split()[:-1]) or "none"
    else:
        yield from _wrong_values(document, gold)


def _wrong_values(document: Mapping[str, Any], gold: str) -> Iterator[tuple[str, str]]:
    parts = document["parts"]
    if len(parts) > 1:
        yield "one answer short", boxable({**document, "parts": parts[:-1]})
        yield "one answer too many", f"{gold}, 123456789"
        return
    number = _plain(gold)
    if _INTEGER.fullmatch(number):
        yield from (("one more", str(int(number) + 1)), ("one less", str(int(number) - 1)))
        if int(number):
            yield from (("sign", str(-int(number))), ("a digit more", f"{number}0"))
    elif scientific := _SCIENTIFIC.fullmatch(gold):
        yield "ten times", f"{scientific[1]}e{int(scientific[2]) + 1}"
        yield "first digit", _next_digit(gold)
    else:
        yield from (("one more", f"{gold} + 1"), ("twice", f"2({gold})"))
        if re.search(r"\d", gold):
            yield "first digit", _next_digit(gold)


def _next_digit(text: str) -> str:
    """With its first digit one higher, 0 after 9."""
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text, count=1)


def _decoy(document: Mapping[str, Any]) -> str:
    """A plausible answer that is not the gold one."""
    if document["kind"] == "letter":
        last = len(document["choices"]) - 1
        index = ord(document["target"]) - ord("A")
        return chr(ord("A") + (index + 1 if index < last else 0))
    if document["kind"] == "word":
        return next(word for word in document["choices"] if word != document["target"])
    return "maybe not" if document["kind"] in ("text", "name") else "1234567"


def _option(document: Mapping[str, Any]) -> str:
    return document["choices"][ord(document["target"]) - ord("A")]
