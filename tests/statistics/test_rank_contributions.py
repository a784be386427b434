from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from l2_harness.statistics.auroc import auroc_contributions
from l2_harness.statistics.rank_contributions import Others, Strata
from l2_harness.statistics.ranks import Deviations, Ranking
from l2_harness.statistics.resamples import Resamples

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


def slow_ranks(weights: np.ndarray, values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """(n,) centred mid-ranks of a resample within strata, divided by the stratum's size."""
    found = np.zeros(len(values))
    for label in np.unique(stratum):
        inside = np.flatnonzero(stratum == label)
        repeated = np.repeat(inside, weights[inside].astype(int))
        if len(repeated):
            ranks = stats.rankdata(values[repeated])
            found[repeated] = (ranks - ranks.mean()) / len(repeated)
    return found


@pytest.mark.parametrize("name", STRATA)
def test_row_sums_are_those_of_all_pairs(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, _ = data
    stratum = STRATA[name]
    strata = Strata(stratum, QUESTION, QUESTIONS)
    found = Others([Ranking.of(y, stratum)], strata).with_variables(x).row_sums
    for column in range(3):
        values = x[:, column]
        signs = np.sign(values[:, None] - values) * np.sign(y[:, None] - y)
        expected = (signs * (stratum[:, None] == stratum)).sum(axis=1)
        np.testing.assert_allclose(found[:, column], expected, atol=1e-9)


@pytest.mark.parametrize("name", STRATA)
def test_contributions_add_up_to_the_products(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, z = data
    stratum = STRATA[name]
    strata = Strata(stratum, QUESTION, QUESTIONS)
    others: list[Ranking | Deviations] = [
        Ranking.of(z, stratum),
        Ranking.of(y, stratum),
        Deviations.of(z, stratum),
    ]
    found = Others(others, strata).with_variables(x)
    one = np.ones(len(z))
    means = np.array([z[stratum == label].mean() for label in stratum])
    v = np.column_stack([slow_ranks(one, z, stratum), slow_ranks(one, y, stratum), z - means])
    np.testing.assert_allclose(Others(others, strata).vv.sum(axis=0), v.T @ v, atol=1e-10)
    for column in range(3):
        ranks = slow_ranks(one, x[:, column], stratum)
        np.testing.assert_allclose(found.xv.sum(axis=0)[column], ranks @ v, atol=1e-10)
        assert found.xx.sum(axis=0)[column] == pytest.approx(ranks @ ranks)
    assert np.all(found.varies)


@pytest.mark.parametrize("name", STRATA)
def test_auroc_is_sklearns_mean_over_strata(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    x, y, _ = data
    labels = STRATA[name]
    mixed = np.array([0 < y[labels == one].mean() < 1 for one in labels])
    stratum = np.unique(labels[mixed], return_inverse=True)[1]
    strata = Strata(stratum, QUESTION[mixed], QUESTIONS)
    ranks = Others([Ranking.of(y[mixed], stratum)], strata).with_variables(x[mixed])
    areas, members = auroc_contributions(ranks.row_sums, y[mixed], strata)
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
    stratum = STRATA[name]
    strata = Strata(stratum, QUESTION, QUESTIONS)
    ranks = Others([Ranking.of(z, stratum)], strata).with_variables(x[:, :1])
    weights = Resamples(QUESTION, 200, 3)
    xx, xz, zz = (
        weights.sums(one)
        for one in (
            ranks.xx[:, 0],
            ranks.xv[:, 0, 0],
            Others([Ranking.of(z, stratum)], strata).vv[:, 0, 0],
        )
    )
    drawn = xz / np.sqrt(xx * zz)
    anew = []
    for row in weights.of_responses:
        first, second = (slow_ranks(row, values, stratum) for values in (x[:, 0], z))
        squares = (row * first**2).sum() * (row * second**2).sum()
        anew.append((row * first * second).sum() / np.sqrt(squares))
    if name == "question":
        np.testing.assert_allclose(drawn, anew, atol=1e-12)
    else:
        assert drawn[0] == pytest.approx(anew[0])
        assert np.std(drawn) == pytest.approx(np.std(anew), rel=0.06)
        assert np.corrcoef(drawn, anew)[0, 1] > 0.9


def test_auroc_resamples_are_those_of_weighted_areas(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    x, y, _ = data
    stratum = STRATA["pooled"]
    strata = Strata(stratum, QUESTION, QUESTIONS)
    ranks = Others([Ranking.of(y, stratum)], strata).with_variables(x)
    areas, members = auroc_contributions(ranks.row_sums, y, strata)
    weights = Resamples(QUESTION, 200, 4)
    drawn = weights.sums(areas)[:, 0] / weights.sums(members)
    anew = [roc_auc_score(y, x[:, 0], sample_weight=one) for one in weights.of_responses]
    assert np.std(drawn) == pytest.approx(np.std(anew), rel=0.03)
    assert np.corrcoef(drawn, anew)[0, 1] > 0.98


def test_a_question_in_two_strata_is_refused() -> None:
    with pytest.raises(ValueError, match="several strata"):
        Strata(np.array([0, 1]), np.array([0, 0]), 1)


@pytest.mark.parametrize("name", STRATA)
def test_columns_are_ranked_together_as_alone(
    name: str, data: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, z = data
    stratum = STRATA[name]
    strata = Strata(stratum, QUESTION, QUESTIONS)
    others: list[Ranking | Deviations] = [Ranking.of(y, stratum), Deviations.of(z, stratum)]
    alone = [Others(others, strata).with_variables(column[:, None]) for column in x.T]
    for at_once in (2 * len(x) * len(others), 100_000):  # two columns and one, all three
        monkeypatch.setattr("l2_harness.statistics.rank_contributions._AT_ONCE", at_once)
        found = Others(others, strata).with_variables(x)
        for part in ("xx", "xv", "varies", "row_sums"):
            columns = np.concatenate([getattr(one, part) for one in alone], axis=1)
            np.testing.assert_array_equal(getattr(found, part), columns)
