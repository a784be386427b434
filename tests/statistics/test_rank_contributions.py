from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from l2_harness.statistics.bootstrap import cluster_weights
from l2_harness.statistics.concordance import orders, row_sums, smaller_before
from l2_harness.statistics.correlation import partial_spearman, rank_correlation
from l2_harness.statistics.rank_contributions import (
    Strata,
    auroc_contributions,
    pair_contributions,
    rank_contributions,
)

QUESTIONS, SAMPLES = 60, 4
QUESTION = np.repeat(np.arange(QUESTIONS), SAMPLES)
STRATA = {
    "pooled": np.zeros(len(QUESTION), dtype=int),
    "family": (np.arange(QUESTIONS) % 3)[QUESTION],
    "question": QUESTION,
}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (n, 3) with ties, binary y (n,), z (n,) with ties; all share their questions' parts."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=QUESTIONS)[QUESTION]
    x = np.round(shared[:, None] + rng.normal(size=(len(QUESTION), 3)), 1)
    y = (shared + rng.normal(size=len(QUESTION)) > 0).astype(float)
    return x, y, np.round(shared + rng.normal(size=len(QUESTION)), 1)


def test_earlier_smaller_values_are_counted() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 7, 64, 100):
        values = rng.permutation(n)
        counts = smaller_before(values)
        for place, value in enumerate(values):
            assert counts[value] == (values[:place] < value).sum()


@pytest.mark.parametrize("name", STRATA)
def test_row_sums_are_those_of_all_pairs(name: str) -> None:
    rng = np.random.default_rng(1)
    stratum = STRATA[name]
    for levels in (3, 50, 10**6):
        x, y = rng.integers(0, levels, (2, len(stratum))).astype(float)
        size = np.bincount(stratum)[stratum].astype(float)
        found = row_sums(orders(x, stratum), orders(y, stratum), size)
        same = stratum[:, None] == stratum
        signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y) * same
        np.testing.assert_array_equal(found, signs.sum(axis=1))


@pytest.mark.parametrize("name", STRATA)
def test_contributions_add_up_to_the_coefficients(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, z = data
    strata = Strata(STRATA[name], QUESTION, QUESTIONS)
    ranks = rank_contributions(x, np.column_stack([z, y]), strata)
    products, squares = ranks.xv.sum(axis=0), ranks.xx.sum(axis=0)
    others = np.diagonal(ranks.vv.sum(axis=0))
    assert np.all(ranks.varies)
    for column in range(3):
        found = products[column, 0] / np.sqrt(squares[column] * others[0])
        expected = partial_spearman(x[:, column], z, strata=STRATA[name])
        assert found == pytest.approx(expected, abs=1e-12)
    if name != "pooled":
        return
    for outcome in (y, z):
        pairs = pair_contributions(x, outcome, strata)
        tau = pairs.xy.sum(axis=0) / np.sqrt(pairs.xx.sum(axis=0) * pairs.yy.sum())
        taus = [stats.kendalltau(one, outcome).statistic for one in x.T]
        np.testing.assert_allclose(tau, taus, rtol=1e-12)
        rho = stats.spearmanr(x[:, 0], outcome).statistic
        column = 0 if outcome is z else 1
        assert products[0, column] / np.sqrt(squares[0] * others[column]) == pytest.approx(rho)


@pytest.mark.parametrize("name", STRATA)
def test_auroc_is_sklearns_mean_over_strata(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, _ = data
    labels = STRATA[name]
    mixed = np.array([0 < y[labels == one].mean() < 1 for one in labels])
    stratum = np.unique(labels[mixed], return_inverse=True)[1]
    strata = Strata(stratum, QUESTION[mixed], QUESTIONS)
    pairs = pair_contributions(x[mixed], y[mixed], strata)
    areas, members = auroc_contributions(pairs.row_sums, y[mixed], strata)
    found = areas.sum(axis=0) / members.sum()
    of_strata = [
        (roc_auc_score(y[labels == one], x[labels == one, 0]), len(set(QUESTION[labels == one])))
        for one in np.unique(labels[mixed])
    ]
    values, weights = zip(*of_strata, strict=True)
    assert found[0] == pytest.approx(np.average(values, weights=weights))


@pytest.mark.parametrize("name", STRATA)
def test_resamples_are_those_of_ranks_taken_anew(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """To first order; exactly where a stratum is a question."""
    x, _, z = data
    strata = Strata(STRATA[name], QUESTION, QUESTIONS)
    ranks = rank_contributions(x[:, :1], z[:, None], strata)
    weights = cluster_weights(np.arange(QUESTIONS), 400, np.random.default_rng(3))
    products = weights @ ranks.xv[:, 0, 0]
    drawn = products / np.sqrt((weights @ ranks.xx[:, 0]) * (weights @ ranks.vv[:, 0, 0]))
    anew = rank_correlation(weights[:, QUESTION], x[:, 0], z, strata=STRATA[name])
    if name == "question":
        np.testing.assert_allclose(drawn, anew, atol=1e-12)
    else:
        assert np.std(drawn) == pytest.approx(np.std(anew), rel=0.06)
        assert np.corrcoef(drawn, anew)[0, 1] > 0.9


def test_auroc_resamples_are_those_of_weighted_areas(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    x, y, _ = data
    strata = Strata(STRATA["pooled"], QUESTION, QUESTIONS)
    pairs = pair_contributions(x, y, strata)
    areas, members = auroc_contributions(pairs.row_sums, y, strata)
    weights = cluster_weights(np.arange(QUESTIONS), 300, np.random.default_rng(4))
    drawn = (weights @ areas)[:, 0] / (weights @ members)
    anew = [roc_auc_score(y, x[:, 0], sample_weight=one[QUESTION]) for one in weights]
    assert np.std(drawn) == pytest.approx(np.std(anew), rel=0.03)
    assert np.corrcoef(drawn, anew)[0, 1] > 0.98


def test_a_question_in_two_strata_is_refused() -> None:
    with pytest.raises(ValueError, match="several strata"):
        Strata(np.array([0, 1]), np.array([0, 0]), 1)
