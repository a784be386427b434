"""What a record accepts, and how it names the column it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from l2_harness.norms import TraceEvent, TraceKey, TraceRecord, hash_prompt, hash_request

Make = Callable[..., TraceRecord]

REFUSED: list[tuple[str, Any]] = [
    ("run_id", ""),
    ("run_id", "../up"),
    ("run_id", ".hidden"),
    ("run_id", "a b"),
    ("task", ""),
    ("task", None),
    ("task", "\ud800"),
    ("request_type", "generate"),
    ("doc_id", -1),
    ("doc_id", 1.0),
    ("doc_id", True),
    ("idx", 2**31),
    ("window", None),
    ("repeat", "0"),
    ("sample", -1),
    ("prompt_tokens", -1),
    ("prompt_hash", "XYZ"),
    ("request_hash", ""),
    ("tokens", []),
    ("tokens", [1.5] * 5),
    ("tokens", [[1] * 5]),
    ("tokens", [2**31] * 5),
    ("text", None),
    ("finish_reason", None),
    ("finish_reason", "done"),
    ("thinking_end", 5),
    ("thinking_end", -1),
    ("layers", [20, 20, 21]),
    ("layers", [-1, 0, 1]),
    ("layers", [1.0, 2.0, 3.0]),
    ("norms", np.ones((4, 3))),
    ("norms", np.ones((5, 2))),
    ("norms", np.ones(15)),
    ("norms", [["a"] * 3] * 5),
    ("norm_mean", np.ones(2)),
    ("logprob", np.ones(4)),
    ("entropy", np.ones((5, 1))),
    ("self_certainty", np.ones(6)),
    ("events", [TraceEvent(5, 20, "recursion")]),
    ("events", [TraceEvent(0, -1, "recursion")]),
    ("events", [TraceEvent(0, 20, "")]),
    ("events", [TraceEvent(0, 20, "recursion", value="high")]),  # type: ignore[arg-type]
    ("scores", {"area": None}),
    ("chosen", 1),
]


@pytest.mark.parametrize(("column", "value"), REFUSED)
def test_an_error_names_the_column(make_record: Make, column: str, value: Any) -> None:
    with pytest.raises(ValueError, match=column):
        make_record(**{column: value})


def test_a_loglikelihood_has_no_finish_reason(make_record: Make) -> None:
    make_record(request_type="loglikelihood", finish_reason=None)
    with pytest.raises(ValueError, match="finish_reason"):
        make_record(request_type="loglikelihood", finish_reason="eos")


def test_norms_need_layers(make_record: Make) -> None:
    with pytest.raises(ValueError, match="norms"):
        make_record(layers=())
    assert make_record(layers=(), norms=None).norm_mean is None


def test_the_mean_norm_is_that_of_the_rows(make_record: Make) -> None:
    record = make_record(rows=50)
    expected = [sum(float(x) for x in column) / 50 for column in record.norms.T]
    np.testing.assert_allclose(record.norm_mean, expected, rtol=1e-6)
    kept = make_record(norms=None, norm_mean=[1.0, 2.0, 3.0])
    assert kept.norms is None
    assert kept.norm_mean.tolist() == [1.0, 2.0, 3.0]


def test_a_record_keeps_its_values_when_the_caller_reuses_the_array(make_record: Make) -> None:
    buffer = np.ones((5, 3), dtype=np.float32)
    record = make_record(norms=buffer)
    buffer[:] = 7
    assert (record.norms == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        record.norms[0, 0] = 7


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ude00 and \ud83d", "😀 and \ufffd"),
        ("naïve 数学 \x00 \ufffd", "naïve 数学 \x00 \ufffd"),
        ("", ""),
    ],
)
def test_lone_surrogates_are_replaced(make_record: Make, given: str, stored: str) -> None:
    assert make_record(text=given).text == stored


def test_keys(make_record: Make) -> None:
    record = make_record(3, idx=1, window=2, repeat=4, sample=5)
    assert record.key == TraceKey("run1", "gsm8k", "generate_until", 3, 1, 2, 4, 5)
    assert record.resume_key[:-1] == record.key[1:]
    assert record.resume_key.request_hash == record.request_hash


def test_hashes() -> None:
    # sha256("abc"), as lm-eval's utils.hash_string gives it
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_prompt("abc") == abc
    one = hash_request("generate_until", "p", {"until": ["a"], "seed": 1})
    assert one == hash_request("generate_until", "p", {"seed": 1, "until": ["a"]})
    others = [
        hash_request("loglikelihood", "p", {"until": ["a"], "seed": 1}),
        hash_request("generate_until", "q", {"until": ["a"], "seed": 1}),
        hash_request("generate_until", "p", {"until": ["a"], "seed": 2}),
        hash_request("generate_until", "p\ud800", {"until": ["a"], "seed": 1}),
    ]
    assert len({one, *others}) == 5


@pytest.mark.process
def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, l2_harness.norms; "
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_request_hash_of_keys_that_json_cannot_hold() -> None:
    """As transformers' sequence_bias has them; what JSON can hold keeps the hash it had."""
    biases: list[Any] = [{(5,): 9.0, (6, 7): -3.0}, {(6, 7): -3.0, (5,): 9.0}, {(5, 6): 9.0}]
    one, other_order, another = (hash_request("g", "p", {"sequence_bias": b}) for b in biases)
    assert one == other_order != another
    text = json.dumps(["g", "p", {"10": 1, "9": [2, None]}], sort_keys=True)
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert hash_request("g", "p", {"9": [2, None], "10": 1}) == expected
    ordered = json.dumps(["g", "p", {9: 1, 10: 2}])  # numbers sort as numbers
    assert hash_request("g", "p", {10: 2, 9: 1}) == hashlib.sha256(ordered.encode()).hexdigest()
