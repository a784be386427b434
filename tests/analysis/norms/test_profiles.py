from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from l2_harness.analysis.norms.profiles import layer_profile, pair_by_document


def _frame(doc_ids: list[int], norms: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"doc_id": doc_ids, "norm_mean": list(norms.astype(np.float32))})


def test_documents_meet_by_number_and_repeats_are_averaged() -> None:
    thinking = _frame([3, 1, 1], np.array([[3.0, 30.0], [1.0, 10.0], [2.0, 20.0]]))
    direct = _frame([1, 2, 3], np.array([[5.0, 50.0], [6.0, 60.0], [7.0, 70.0]]))
    first, second, doc_ids = pair_by_document(thinking, direct)
    assert doc_ids.tolist() == [1, 3]
    assert first.tolist() == [[1.5, 15.0], [3.0, 30.0]]
    assert second.tolist() == [[5.0, 50.0], [7.0, 70.0]]


def test_profile_is_means_difference_and_ratio() -> None:
    rng = np.random.default_rng(0)
    direct = rng.uniform(5, 15, (40, 3)) * [1, 10, 100]
    thinking = direct * [1.0, 1.2, 0.3] + rng.normal(size=(40, 3)) * 0.1
    profile = layer_profile(thinking, direct, [0, 1, 2])
    np.testing.assert_allclose(profile["thinking"], thinking.mean(axis=0))
    np.testing.assert_allclose(profile["direct"], direct.mean(axis=0))
    np.testing.assert_allclose(profile["difference"], (thinking - direct).mean(axis=0))
    np.testing.assert_allclose(profile["ratio"], profile["thinking"] / profile["direct"])
    for name in ("thinking", "direct", "difference", "ratio"):
        assert (profile[f"{name}_low"] < profile[name]).all()
        assert (profile[name] < profile[f"{name}_high"]).all()
    assert profile["ratio_low"][0] < 1 < profile["ratio_high"][0]
    assert profile["ratio_low"][1] > 1.15
    assert profile["ratio_high"][2] < 0.35


def test_difference_interval_is_that_of_an_explicit_resampling() -> None:
    rng = np.random.default_rng(1)
    thinking, direct = rng.normal(10, 1, (60, 1)), rng.normal(9.8, 1, (60, 1))
    profile = layer_profile(thinking, direct, [4])
    drawn = rng.integers(0, 60, (4000, 60))
    means = (thinking - direct)[:, 0][drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert profile["difference_low"][0] == pytest.approx(low, abs=0.05 * (high - low))
    assert profile["difference_high"][0] == pytest.approx(high, abs=0.05 * (high - low))


def test_pairing_removes_what_the_prompts_share() -> None:
    rng = np.random.default_rng(2)
    shared = rng.normal(100, 20, (50, 1))
    thinking, direct = shared + 1 + rng.normal(size=(50, 1)), shared + rng.normal(size=(50, 1))
    profile = layer_profile(thinking, direct, [0]).iloc[0]
    assert profile["difference_low"] > 0
    # Either mean alone is far too uncertain to tell.
    assert profile["thinking_low"] < profile["direct_high"]


def test_arms_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4, 2\)"):
        layer_profile(np.ones((3, 2)), np.ones((4, 2)), [0, 1])


def test_one_pair_has_means_and_no_interval() -> None:
    profile = layer_profile(np.full((1, 2), 3.0), np.full((1, 2), 2.0), [0, 1])
    assert profile["ratio"].tolist() == [1.5, 1.5]
    assert profile["ratio_low"].isna().all()
