from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from l2_harness.demo.findings import (
    BOTH,
    CONTROLS,
    DEFAULT_LATE,
    LENGTH,
    RAW,
    STRATA,
    WITH_LAST,
    find,
    late_sets,
    runs_of,
    tidy_responses,
)
from l2_harness.demo.verdict import size_of, verdict

LAYERS = list(range(8))


def _responses(n: int, late_effect: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Hard families have higher norms; ``late_effect`` is a right answer's share of layer 6.

    The last layer's norm points the other way.
    """
    rng = np.random.default_rng(seed)
    hard = rng.integers(0, 3, n)
    correct = (rng.random(n) < 0.75 - 0.25 * hard).astype(float)
    norms = 10 * 1.3 ** np.arange(8) * (1 + 0.05 * rng.normal(size=(n, 8)))
    norms *= 1 + 0.1 * hard[:, None]
    norms[:, 6] *= 1 + late_effect * correct
    norms[:, 7] *= 1 - 0.5 * correct
    shared = {
        "doc_id": np.arange(n),
        "family": np.array(["totals", "prices", "relations"])[hard],
        "steps": 1 + hard,
        "tokens": 20 + 10 * hard + rng.integers(0, 5, n),
        "finish_reason": "eos",
    }
    thinking = pd.DataFrame(
        {"arm": "thinking", **shared, "correct": correct, "norm_mean": list(norms)}
    )
    direct = pd.DataFrame({"arm": "direct", **shared, "correct": 0.0, "norm_mean": list(norms / 2)})
    return pd.concat([thinking, direct], ignore_index=True)


def test_layers_are_named_in_runs() -> None:
    assert runs_of([5, 0, 1, 2]) == "0-2, 5"
    assert runs_of([]) == "none"
    assert late_sets(range(12)) == {DEFAULT_LATE: (9, 10), WITH_LAST: (9, 10, 11)}


def test_sizes_are_short() -> None:
    assert [size_of(n) for n in (1_805_184, 8_190_735_360, 999)] == ["1.8M", "8.2B", "999"]


def test_kind_of_problem_is_told_from_the_signal() -> None:
    findings = find(_responses(400), LAYERS, resamples=300)
    assert findings.correlations[DEFAULT_LATE, RAW].high < 0
    within = findings.correlations[DEFAULT_LATE, BOTH]
    assert within.known
    assert not within.excludes_zero
    words = " ".join(verdict(findings, 1_805_184))
    assert "1.8M-parameter model's result" in words
    assert "No link between late norm and correctness beyond" in words
    assert "mix the families" in words


def test_a_signal_within_a_kind_of_problem_is_claimed() -> None:
    findings = find(_responses(400, late_effect=0.1), LAYERS, resamples=300)
    for control in (STRATA, BOTH):
        assert findings.correlations[DEFAULT_LATE, control].low > 0
        assert findings.correlations[WITH_LAST, control].high < 0
    words = " ".join(verdict(findings, None))
    assert "a higher late norm goes with right answers beyond" in words
    assert "Counting the last layer in changes" in words


def test_profile_pairs_the_two_arms() -> None:
    findings = find(_responses(50), LAYERS, resamples=100)
    assert findings.pairs == 50
    np.testing.assert_allclose(findings.profile["ratio"], 2.0)
    assert findings.by_layer["layer"].tolist() == LAYERS


@pytest.mark.parametrize(("n", "right"), [(6, 1.0), (6, 0.0), (1, None)])
def test_too_little_data_claims_nothing(n: int, right: float | None) -> None:
    responses = _responses(n)
    if right is not None:
        responses["correct"] = right
    findings = find(responses, LAYERS, resamples=50)
    assert not any(found.known for found in findings.correlations.values())
    words = verdict(findings, 1_805_184)
    assert "can't be computed" in words[-1]


@pytest.mark.parametrize("seed", range(4))
def test_few_responses_never_break_it(seed: int) -> None:
    findings = find(_responses(8, seed=seed), LAYERS, resamples=100)
    assert set(findings.correlations) == {
        (name, control) for name in (DEFAULT_LATE, WITH_LAST) for control in CONTROLS
    }
    assert all(verdict(findings, 10**6))


def test_tidy_responses_leave_out_what_was_not_judged() -> None:
    joined = pd.DataFrame(
        {
            "task": ["l2_demo", "l2_demo"],
            "doc_id": [0, 1],
            "metric_exact_match": [1.0, np.nan],
            "tokens": [np.arange(4), np.arange(5)],
            "finish_reason": ["eos", "length"],
            "norm_mean": [np.ones(2), np.ones(2)],
        }
    )
    documents = {i: {"family": "totals", "steps": 2} for i in (0, 1)}
    table = tidy_responses(joined, documents, {"l2_demo": "thinking"})
    assert table[["arm", "doc_id", "steps", "correct", "tokens"]].values.tolist() == [
        ["thinking", 0, 2, 1.0, 4]
    ]
    assert LENGTH in CONTROLS
