"""lm-eval filters over repeats: who is chosen, what comes out, and what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from lm_eval.filters import build_filter_ensemble

from l2_harness.config import ConfigError
from l2_harness.registration import register
from l2_harness.registration.names import FILTERS
from l2_harness.selection.choice import MissingScoreError
from l2_harness.selection.sampled_text import SampledText


def response(text: str, peaks: float, answer: str | None = None, cut: bool = False) -> SampledText:
    return SampledText(
        text,
        finish_reason="length" if cut else "eos",
        n_tokens=len(text),
        scores={"l2_peaks": peaks, "l2_area": -peaks, "deepconf_mean": 1.0, "self_certainty": 1.0},
        answer=answer,
    )


def apply(name: str, resps: list[list[Any]], docs: Any = None, **options: Any) -> list[Any]:
    from lm_eval.api.instance import Instance

    register()
    docs = docs or [{}] * len(resps)
    made = [
        Instance("generate_until", doc, ("p", {}), 0, resps=of)
        for doc, of in zip(docs, resps, strict=True)
    ]
    build_filter_ensemble("f", [(name, options)]).apply(made)
    return [one.filtered_resps["f"] for one in made]


FIRST = [response("a 1", 1, "1"), response("b 2", 5, "2"), response("c 1", 3, "1.0")]
SECOND = [response("d", 4, None), response("e 7", 9, "7", cut=True)]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("l2_select", {}, ["b 2", "d"]),
        ("l2_select", {"by": "l2_area"}, ["a 1", "d"]),
        ("l2_select", {"by": "majority"}, ["a 1", "d"]),
        ("l2_majority", {}, ["a 1", "d"]),
        ("l2_vote", {}, ["b 2", "d"]),
        ("l2_confidence_vote", {}, ["a 1", "d"]),
        ("l2_borda", {}, ["a 1", "d"]),
    ],
)
def test_one_response_a_request(name: str, options: dict[str, Any], expected: list[str]) -> None:
    assert apply(name, [FIRST, SECOND], **options) == [[text] for text in expected]


def test_every_registered_name_is_there() -> None:
    for name in FILTERS:
        assert apply(name, [[FIRST[0]]]) == [["a 1"]]


def test_answers_compare_as_the_document_says() -> None:
    letters = [response("x", 1, "(b)"), response("y", 2, "A"), response("z", 3, "B")]
    assert apply("l2_majority", [letters], [{"kind": "letter"}]) == [["x"]]
    assert apply("l2_majority", [letters[1:]], [{"kind": "letter"}]) == [["y"]]
    assert apply("l2_majority", [letters], answers="letter") == [["x"]]


def test_one_response_needs_no_signals() -> None:
    assert apply("l2_select", [["plain"]]) == [["plain"]]


@pytest.mark.parametrize(
    "resps",
    [
        ["plain", "texts"],
        [FIRST[0], "from another model"],
        [FIRST[0], SampledText("recorded nothing", n_tokens=3)],
        [pickle.loads(pickle.dumps(one)) for one in FIRST],
    ],
    ids=["another class", "mixed", "record=off", "from a cache"],
)
@pytest.mark.parametrize("name", ["l2_select", "l2_majority"])
def test_no_signals(name: str, resps: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--model l2hf with record=.*--use_cache.*regex"):
        apply(name, [resps])


def test_a_signal_that_is_missing() -> None:
    with pytest.raises(MissingScoreError, match=r"coe_r needs the score 'coe_r'.*coe=true"):
        apply("l2_select", [FIRST], by="coe_r")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "l2_peeks"}, "did you mean 'l2_peaks'?"),
        ({"by": "random"}, "by='random' is unknown"),
        ({"answers": "maths"}, "did you mean 'math'?"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        apply("l2_select", [FIRST], **options)
    assert message in str(error.value)


def test_a_text_like_any_other() -> None:
    text = FIRST[0]
    assert text == "a 1"
    assert isinstance(text, str)
    for twin in (pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert type(twin) is str
        assert twin == text
