from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from l2_harness.analysis.norms.association import (
    OutcomeVariable,
    Scope,
    associations,
    corrected,
    usable_controls,
)
from l2_harness.statistics.associations import correlation_interval
from l2_harness.statistics.resamples import Resamples

QUESTIONS, SAMPLES = 50, 6
QUESTION = np.repeat(np.arange(QUESTIONS), SAMPLES)
WITHIN = Scope("within question", QUESTION)
CONTROLS = {"none": (), "length": ("length",), "all": ("length", "entropy")}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(0)
    n = len(QUESTION)
    shared = rng.normal(size=QUESTIONS)[QUESTION]
    length, entropy = shared + rng.normal(size=n), rng.normal(size=n)
    x = np.column_stack([length + rng.normal(size=n), rng.integers(0, 3, n), shared])
    y = (shared + 0.5 * length - entropy + rng.normal(size=n) > 0).astype(float)
    return x, y, pd.DataFrame({"length": length, "entropy": entropy})


def figures(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame], scope: Scope, resamples: int = 300
) -> pd.DataFrame:
    x, y, covariates = data
    outcome = OutcomeVariable("correct", y, CONTROLS)
    drawn = Resamples(QUESTION, resamples, 0)
    found = associations(x, outcome, scope, covariates, drawn)
    return found.set_index(["column", "measure", "control"])


def alone(
    x: np.ndarray,
    y: np.ndarray,
    covariates: Sequence[np.ndarray],
    strata: np.ndarray | None = None,
) -> float:
    """One coefficient by itself."""
    return correlation_interval(x, y, QUESTION, covariates, strata, resamples=0).value


def test_pooled_values_are_those_of_scipy_and_sklearn(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame],
) -> None:
    x, y, covariates = data
    value = figures(data, Scope("pooled"))["value"]
    for column, values in enumerate(x.T):
        expected = {
            ("spearman", "none"): stats.spearmanr(values, y).statistic,
            ("auroc", "none"): roc_auc_score(y, values),
            ("spearman", "length"): alone(values, y, [covariates["length"]]),
            ("spearman", "all"): alone(values, y, list(covariates.T.to_numpy())),
        }
        for key, wanted in expected.items():
            assert value[column, key[0], key[1]] == pytest.approx(wanted, abs=1e-9)


def test_few_columns_at_a_time_give_the_same(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = figures(data, WITHIN)
    monkeypatch.setattr("l2_harness.statistics.associations._COPIED", 2 * len(QUESTION))
    pd.testing.assert_frame_equal(figures(data, WITHIN), together)


def test_values_within_questions(data: tuple[np.ndarray, np.ndarray, pd.DataFrame]) -> None:
    x, y, covariates = data
    found = figures(data, WITHIN)
    mixed = [one for one in range(QUESTIONS) if 0 < y[one == QUESTION].mean() < 1]
    for column in (0, 1):
        values = x[:, column]
        areas = [roc_auc_score(y[one == QUESTION], values[one == QUESTION]) for one in mixed]
        assert found["value"][column, "auroc", "none"] == pytest.approx(np.mean(areas))
        for control, names in CONTROLS.items():
            expected = alone(values, y, [covariates[n] for n in names], QUESTION)
            assert found["value"][column, "spearman", control] == pytest.approx(expected)
    # a statistic that is the same for all responses to a question has nothing to say within
    for measure in ("spearman", "auroc"):
        assert np.isnan(found["value"][2, measure, "none"])
        assert found["questions"][2, measure, "none"] == 0
    assert found["questions"][0, "spearman", "none"] == len(mixed)
    assert set(found["controlled_for"].xs("all", level="control")) == {"length, entropy"}


def test_what_is_missing_counts_nowhere(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame],
) -> None:
    x, y, covariates = data
    holes = x.copy()
    holes[::7, 0] = np.nan
    outcome = OutcomeVariable("correct", y, {"none": ()})
    drawn = Resamples(QUESTION, 50, 0)
    found = associations(holes, outcome, Scope("pooled"), covariates, drawn)
    found = found.set_index(["column", "measure"])
    kept = np.isfinite(holes[:, 0])
    expected = stats.spearmanr(x[kept, 0], y[kept]).statistic
    assert found["value"][0, "spearman"] == pytest.approx(expected)
    assert found["responses"].unstack()["spearman"].tolist() == [kept.sum(), len(y), len(y)]
    nothing = associations(
        np.full((len(y), 1), np.nan), outcome, Scope("pooled"), covariates, drawn
    )
    assert nothing["value"].isna().all()
    assert (nothing["responses"] == 0).all()


def test_an_outcome_that_is_no_verdict_has_no_auroc(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame],
) -> None:
    x, _, covariates = data
    outcome = OutcomeVariable("entropy", covariates["entropy"].to_numpy(), CONTROLS)
    drawn = Resamples(QUESTION, 50, 0)
    found = associations(x, outcome, Scope("pooled"), covariates, drawn)
    assert set(found["measure"]) == {"spearman"}
    value = found.set_index(["column", "control"])["value"]
    expected = stats.spearmanr(x[:, 1], covariates["entropy"]).statistic
    assert value[1, "none"] == pytest.approx(expected)


def test_what_does_not_vary_is_not_named_as_controlled_for(
    data: tuple[np.ndarray, np.ndarray, pd.DataFrame],
) -> None:
    x, y, covariates = data
    flat = covariates.assign(truncated=1.0, prompt=QUESTION.astype(float))
    outcome = OutcomeVariable("correct", y, {"none": (), "all": ("length", "truncated", "prompt")})
    drawn = Resamples(QUESTION, 20, 0)
    for scope, names in ((Scope("pooled"), "length, prompt"), (WITHIN, "length")):
        found = associations(x, outcome, scope, flat, drawn)
        assert set(found[found["control"] == "all"]["controlled_for"]) == {names}


def test_controls_that_say_nothing_are_left_out() -> None:
    covariates = pd.DataFrame({"a": [1.0, 2], "flat": [3.0, 3], "gone": [np.nan] * 2})
    wanted = {"none": (), "a": ("a",), "flat": ("flat",), "both": ("a", "gone")}
    found = usable_controls(OutcomeVariable("correct", np.zeros(2), wanted), covariates)
    assert found == {"none": (), "a": ("a",), "both": ("a",)}
    assert usable_controls(OutcomeVariable("a", np.zeros(2), wanted), covariates) == {"none": ()}
    within = Scope("within question", np.array([0, 1]))
    assert usable_controls(OutcomeVariable("correct", np.zeros(2), wanted), covariates, within) == {
        "none": ()
    }


def test_holm_runs_over_layers_and_statistics() -> None:
    rng = np.random.default_rng(0)
    keys = [
        (variant, layer, statistic, "correct", scope, "spearman", control)
        for variant in ("all_rows", "without_first")
        for scope in ("pooled", "within question")
        for control in ("none", "all")
        for layer in range(4)
        for statistic in "abc"
    ]
    names = ["variant", "layer", "statistic", "outcome", "scope", "measure", "control"]
    table = pd.DataFrame(keys, columns=names).assign(p=rng.random(len(keys)) ** 4)
    found = corrected(table)
    family = (found["variant"] == "all_rows") & (found["scope"] == "pooled")
    family &= found["control"] == "all"
    assert family.sum() == 12
    expected = multipletests(found["p"][family], method="holm")[1]
    np.testing.assert_allclose(found["p_holm"][family], expected)


#: Data sets of a simulation; `l2-harness bench statistics` has more.
SEEDS = 80

Simulated = tuple[np.ndarray, np.ndarray, pd.DataFrame]


def through_length(rng: np.random.Generator, effect: float) -> Simulated:
    """Norm and correctness both go with length; beyond it, the norm with correctness by effect.

    Length is uniform and a question's own part of it is shared, so that correctness is linear in
    length's ranks, as a partial rank correlation takes it to be.
    """
    length = rng.random(QUESTIONS)[QUESTION] * 0.5 + rng.random(len(QUESTION)) * 0.5
    rank = stats.rankdata(length) / len(length)
    own = rng.normal(size=len(length))
    x = 2 * rank + own
    y = rng.random(len(length)) < np.clip(0.1 + 0.8 * rank + effect * own, 0, 1)
    return x[:, None], y.astype(float), pd.DataFrame({"length": length})


def simulate(
    make: Callable[[np.random.Generator], Simulated],
    scope: Scope,
    keys: Sequence[tuple[str, str]],
    seeds: int = SEEDS,
) -> pd.DataFrame:
    """The figures of some seeds, a row each."""
    rows = []
    drawn = Resamples(QUESTION, 200, 1)
    for seed in range(seeds):
        x, y, covariates = make(np.random.default_rng(seed))
        outcome = OutcomeVariable("correct", y, {"none": (), "length": ("length",)})
        found = associations(x, outcome, scope, covariates, drawn)
        rows.append(found.set_index(["measure", "control"]).loc[list(keys)].reset_index())
    return pd.concat(rows)


def least(seeds: int = SEEDS) -> int:
    """So many of 95 % intervals cover with a chance of 99.9 %, two points short allowed."""
    return int(stats.binom.ppf(0.001, seeds, 0.93))


def covered(found: pd.DataFrame, value: float = 0.0) -> int:
    return int(((found["value_low"] <= value) & (found["value_high"] >= value)).sum())


def test_an_effect_through_length_alone_is_gone_under_control() -> None:
    found = simulate(
        lambda rng: through_length(rng, 0.0),
        Scope("pooled"),
        [("spearman", "none"), ("spearman", "length")],
    )
    raw, partial = (found[found["control"] == name] for name in ("none", "length"))
    assert raw["value"].mean() > 0.1
    assert (raw["value_low"] > 0).mean() > 0.7
    assert abs(partial["value"].mean()) < 4 * partial["value"].std() / np.sqrt(SEEDS)
    assert least() <= covered(partial)
    # the p values reject as often as they say
    assert stats.binom.cdf((partial["p"] < 0.05).sum() - 1, SEEDS, 0.07) < 0.999


def test_a_real_effect_stays_under_control() -> None:
    found = simulate(
        lambda rng: through_length(rng, 0.15), Scope("pooled"), [("spearman", "length")], 40
    )
    assert (found["value_low"] > 0).mean() > 0.9
    assert (found["p"] < 0.05).mean() > 0.9


def test_intervals_cover_where_responses_share_their_question() -> None:
    """Norm and correctness are both the question's, and have nothing to do with each other."""

    def make(rng: np.random.Generator) -> Simulated:
        n = len(QUESTION)
        x = 2 * rng.normal(size=QUESTIONS)[QUESTION] + rng.normal(size=n)
        y = 2 * rng.normal(size=QUESTIONS)[QUESTION] + rng.normal(size=n) > 0
        return x[:, None], y.astype(float), pd.DataFrame({"length": rng.random(n)})

    keys = [("spearman", "none"), ("auroc", "none")]
    found = simulate(make, Scope("pooled"), keys)
    for measure, _ in keys:
        of_measure = found[found["measure"] == measure]
        null = 0.5 if measure == "auroc" else 0.0
        assert covered(of_measure, null) >= least()
        # as if the responses were independent, an interval would be less than half as wide
        width = (of_measure["value_high"] - of_measure["value_low"]).mean()
        naive = 2 * 1.96 / np.sqrt(len(QUESTION)) * (0.5 if measure == "auroc" else 0.8)
        assert width > 1.5 * naive


def test_within_question_a_difference_between_questions_is_nothing() -> None:
    """Easier questions have larger norms; among responses to one, norms say nothing."""

    def make(rng: np.random.Generator) -> Simulated:
        ease = rng.normal(size=QUESTIONS)[QUESTION]
        x = 2 * ease + rng.normal(size=len(ease))
        y = ease + rng.normal(size=len(ease)) > 0
        return x[:, None], y.astype(float), pd.DataFrame({"length": rng.random(len(ease))})

    keys = [("spearman", "none"), ("auroc", "none")]
    pooled, within = (simulate(make, s, keys) for s in (Scope("pooled"), WITHIN))
    assert (pooled[pooled["measure"] == "spearman"]["value_low"] > 0).mean() > 0.95
    for measure, null in (("spearman", 0.0), ("auroc", 0.5)):
        assert covered(within[within["measure"] == measure], null) >= least()
