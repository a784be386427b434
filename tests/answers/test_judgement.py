"""Responses judged: right, cut off, silent, unverified; and a question's metrics from them."""

from __future__ import annotations

import pytest

from l2_harness.answers import (
    Ending,
    Judgement,
    Reference,
    TokenLimit,
    Verdict,
    equivalence,
    judge,
    question_metrics,
)
from l2_harness.answers.metrics import repeat_metrics
from l2_harness.answers.sympy_client import SympyClient

FIVE = Reference(("5",))


class Response(str):
    """A response as a model class may return it, with what it knows beside the text."""

    finish_reason: str
    n_tokens: int


def response(text: str, finish_reason: str, n_tokens: int = 3) -> Response:
    made = Response(text)
    made.finish_reason, made.n_tokens = finish_reason, n_tokens
    return made


def test_right_wrong_and_silent() -> None:
    assert judge(r"\boxed{5.0}", FIVE).correct
    assert not judge(r"\boxed{6}", FIVE).correct
    silent = judge("I do not know", FIVE)
    assert (silent.answer, silent.verdict) == (None, Verdict.DIFFERENT)


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        (r"<think>hm</think>\boxed{5}", Ending.UNKNOWN),  # nobody says why it ended
        (r"<think>\boxed{5}", Ending.CUT),
        ("It is", Ending.UNKNOWN),
        ("", Ending.UNKNOWN),
    ],
)
def test_ending_from_the_text_alone(text: str, ending: Ending) -> None:
    assert judge(text, FIVE).ending is ending


@pytest.mark.parametrize(
    ("words", "ending"),
    [(50, Ending.WHOLE), (97, Ending.WHOLE), (98, Ending.CUT), (100, Ending.CUT)],
)
def test_ending_from_the_limit(words: int, ending: Ending) -> None:
    """Here a word is a token, and a text of 2 % fewer than the limit counts as cut too."""
    limit = TokenLimit(100, lambda text: len(text.split()))
    judged = judge("so it is 5" + " so" * (words - 4), FIVE, limit=limit)
    assert judged.ending is ending
    assert judged.correct is (ending is Ending.WHOLE)
    # thinking that was left open by a response that ended was not cut
    assert judge("<think> so" + " so" * (words - 2), FIVE, limit=limit).ending is ending


def test_no_token_is_shorter_than_a_byte() -> None:
    assert judge("é" * 5, FIVE, limit=TokenLimit(11)).ending is Ending.WHOLE
    assert judge("é" * 5, FIVE, limit=TokenLimit(10)).ending is Ending.UNKNOWN
    lost = TokenLimit(10, lambda _: None)
    assert judge("é" * 5, FIVE, limit=lost).ending is Ending.UNKNOWN


def test_the_model_class_knows_better() -> None:
    assert judge(response("It is", "stop"), FIVE).ending is Ending.WHOLE
    cut = judge(response("So it is 5", "length"), FIVE)
    assert (cut.ending, cut.answer) == (Ending.CUT, None)
    answered_before = judge(response(r"\boxed{5} since", "length"), FIVE)
    assert (answered_before.ending, answered_before.correct) == (Ending.CUT, True)
    ended_in_thought = judge(response(r"<think>\boxed{5}", "eos"), FIVE)
    assert (ended_in_thought.ending, ended_in_thought.correct) == (Ending.WHOLE, False)


def test_thinking_opened_in_the_prompt() -> None:
    assert judge(r"\boxed{4}</think>\boxed{5}", FIVE, opened=True).correct
    cut = judge(r"so \boxed{5}", FIVE, opened=True)
    assert (cut.ending, cut.correct) == (Ending.CUT, False)


def test_lengths() -> None:
    judged = judge(response("one two \\boxed{5}", "eos", 17), FIVE)
    assert (judged.characters, judged.words, judged.tokens) == (17, 3, 17)
    assert judge("one", FIVE).tokens is None


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        (Reference(("69", "84")), ["84, 69", r"\{69, 84\}", "69 and 84"], ["69", "69, 84, 1"]),
        (Reference(("100", "200")), ["200,100"], ["100200"]),
        (Reference((r"\frac{600}{7}",), unit="km/h"), [r"\frac{600}{7} km/h", "600/7"], ["85"]),
        (Reference(("166",), unit="$cm^2$"), [r"166 \mathrm{cm}^2", "166 cm^2", "166"], ["167"]),
        (Reference(("1.68",), tolerance=0.06), ["1.7", "1.6"], ["1.9"]),
        (Reference(("B",), "letter", ("x", "y")), ["(b)"], ["A", "AB"]),
        (Reference(("No",), "word", ("Yes", "No")), ["no."], ["yes"]),
    ],
)
def test_references(reference: Reference, right: list[str], wrong: list[str]) -> None:
    for answer in right:
        assert reference.compare(answer) is Verdict.EQUAL, answer
    for answer in wrong:
        assert reference.compare(answer) is Verdict.DIFFERENT, answer


def test_failed_comparison_scores_wrong_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(SympyClient):
        def compare(self, *_: object) -> Verdict:
            return Verdict.TIMEOUT

    monkeypatch.setattr(equivalence, "sympy_client", Stuck())
    judged = judge(r"\boxed{x+987654}", Reference(("987654+x",)))
    assert (judged.correct, judged.verdict) == (False, Verdict.TIMEOUT)
    metrics = question_metrics([judged])
    assert (metrics["acc"], metrics["unverified"], metrics["no_answer"]) == (0, 1, 0)


def judged(answer: str | None, correct: bool) -> Judgement:
    verdict = Verdict.EQUAL if correct else Verdict.DIFFERENT
    ending = Ending.CUT if answer is None else Ending.WHOLE
    return Judgement(answer, verdict, ending, characters=10, words=2)


def test_metrics_of_one_response() -> None:
    metrics = question_metrics([judged("5", True)])
    assert metrics == {
        "acc": 1,
        "no_answer": 0,
        "truncated": 0,
        "ending_unknown": 0,
        "unverified": 0,
        "chars": 10,
        "words": 2,
    }


def test_metrics_of_repeats() -> None:
    four = [judged("6", False), judged("5", True), judged("5.0", True), judged(None, False)]
    metrics = question_metrics(four)
    assert metrics["acc"] == 0  # the first response's
    assert metrics["avg@4"] == 0.5
    assert metrics["pass@2"] == pytest.approx(1 - 1 / 6)
    assert metrics["pass@4"] == 1
    assert metrics["maj@4"] == 1
    assert (metrics["no_answer"], metrics["truncated"]) == (0.25, 0.25)
    assert set(repeat_metrics(4)) == {name for name in metrics if "@" in name}
    assert repeat_metrics(1) == []


def test_tokens_are_a_metric_only_where_all_responses_have_them() -> None:
    known = judge(response(r"\boxed{5}", "eos", 8), FIVE)
    assert question_metrics([known, known])["tokens"] == 8
    assert "tokens" not in question_metrics([known, judge("5", FIVE)])
