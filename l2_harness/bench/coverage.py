"""``l2-harness bench statistics``: do intervals cover, and do tests reject as often as they say?

Made-up data whose truth is known, handed to the functions that the commands use. Coverage is the
share of 95 % intervals that hold the true value where there is an effect; type I the share of
p ≤ .05 where there is none. The goal is a coverage of .93 to .97 and a type I of at most .06.
Single answers to few questions, and corrected intervals, may lie above: few outcomes are possible
there, or an interval stands for a whole family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from l2_harness.bench.coverage_cell import Coverage
from l2_harness.bench.figure import Figure
from l2_harness.bench.verdicts import verdict_cells
from l2_harness.findings.section import plain
from l2_harness.statistics.associations import rank_associations
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.paired import Contrasts, Paired, differences
from l2_harness.statistics.resamples import Resamples

QUESTIONS = (30, 100, 540)
#: Responses to a question, where there are several.
_SAMPLES = 8
_CLUSTER = 5
#: Shares of the questions that the tasks of an average have.
_TASKS = (0.4, 0.3, 0.2, 0.1)
_METHODS = 8


def measure_coverage(
    paired_runs: int = 2000, association_runs: int = 500, questions: Sequence[int] = QUESTIONS
) -> Iterator[Coverage]:
    """All cells, one after the other.

    Args:
        paired_runs: data sets of a cell of means and differences.
        association_runs: data sets of a cell of associations.
        questions: how many questions a data set has.
    """
    for data in PAIRED:
        for n in questions:
            yield from paired_cells(data, n, paired_runs)
    for n in questions:
        yield family_cell(n, max(paired_runs // 4, 10))
    yield from verdict_cells(max(paired_runs // 2, 10))
    for figure in ASSOCIATIONS:
        for n in questions:
            yield association_cell(figure, n, association_runs)


@dataclass(frozen=True, eq=False)
class _Scores:
    """Two arms' scores (Q, runs) of data sets that share a design."""

    first: Floats
    second: Floats
    design: Design


def _single(rng: np.random.Generator, n: int, runs: int, gain: float) -> _Scores:
    return _averaged(rng, n, runs, gain, 1)


def _samples(rng: np.random.Generator, n: int, runs: int, gain: float) -> _Scores:
    return _averaged(rng, n, runs, gain, _SAMPLES)


def _seeds(rng: np.random.Generator, n: int, runs: int, gain: float) -> _Scores:
    return _averaged(rng, n, runs, gain, 3, sure=0.6)


def _averaged(
    rng: np.random.Generator,
    n: int,
    runs: int,
    gain: float,
    responses: int,
    sure: float = 0.0,
) -> _Scores:
    """Questions of any difficulty; half gain twice ``gain``, a share ``sure`` is always right."""
    chance = 0.05 + 0.55 * rng.beta(0.7, 0.7, (n, runs))
    more = 2 * gain / (1 - sure) * (rng.random((n, runs)) < 0.5)
    doubtful = rng.random((n, runs)) >= sure
    arms = [np.where(doubtful, p, 1.0) for p in (chance + more, chance)]
    first, second = (rng.binomial(responses, p) / responses for p in arms)
    return _Scores(first, second, Design.of(n))


def _clusters(rng: np.random.Generator, n: int, runs: int, gain: float) -> _Scores:
    """Passages of five questions, which share difficulty and what an arm gains or loses on them."""
    passage = np.arange(n) // _CLUSTER
    shape = (passage.max() + 1, runs)
    chance = 0.35 + 0.2 * rng.random(shape)
    shift = gain + 0.35 * rng.choice([-1, 1], shape)
    first, second = (rng.random((n, runs)) < p[passage] for p in (chance + shift, chance))
    return _Scores(first.astype(float), second.astype(float), Design.of(n, clusters=passage))


def _tasks(rng: np.random.Generator, n: int, runs: int, gain: float) -> _Scores:
    """Tasks of unequal sizes, difficulties and gains, single answers; each counts the same."""
    sizes = np.round(np.array(_TASKS) * n).astype(int)
    task = np.repeat(np.arange(len(sizes)), sizes)
    gains = gain * np.array([0.0, 0.5, 1.0, 2.5])[task, None]
    chance = np.array([0.2, 0.5, 0.7, 0.4])[task, None] + 0.2 * (
        rng.random((len(task), runs)) - 0.5
    )
    first, second = (rng.random(chance.shape) < p for p in (chance + gains, chance))
    return _Scores(first.astype(float), second.astype(float), Design.of(len(task), strata=task))


PAIRED: dict[str, Callable[[np.random.Generator, int, int, float], _Scores]] = {
    "single answers": _single,
    f"{_SAMPLES} samples": _samples,
    "3 seeds": _seeds,
    f"clusters of {_CLUSTER}": _clusters,
    f"{len(_TASKS)} tasks": _tasks,
}
#: What one arm is better by.
GAIN = 0.08


def paired_cells(data: str, n: int, runs: int) -> Iterator[Coverage]:
    """The difference of two arms, and the mean of one; ``data`` is one of :data:`PAIRED`."""
    rng = np.random.default_rng([n, len(data)])
    effect, null = (PAIRED[data](rng, n, runs, gain) for gain in (GAIN, 0.0))
    found = [
        differences(Contrasts.of(one.first, one.second, one.design), flips=1000)
        for one in (effect, null)
    ]
    covered = np.mean([d.pointwise_low <= GAIN <= d.pointwise_high for d in found[0]])
    rejected = np.mean([d.p <= 0.05 for d in found[1]])
    yield Coverage("difference", data, n, float(covered), float(rejected), runs)
    true = _large(data)
    means = mean_estimates(null.first, null.design)
    held = float(np.mean([one.low <= true <= one.high for one in means]))
    yield Coverage("mean", data, n, held, math.nan, runs)


@cache
def _large(data: str) -> float:
    """The true mean score, of very many questions."""
    one = PAIRED[data](np.random.default_rng(0), 2000, 1000, 0.0)
    return float(one.design.means(one.first).mean())


def family_cell(n: int, runs: int) -> Coverage:
    """Methods against one baseline: any that is none rejected, all true differences covered."""
    rng = np.random.default_rng(n)
    wrong = held = 0
    for _ in range(runs):
        chance = 0.05 + 0.55 * rng.beta(0.7, 0.7, (n, 1))
        gains = np.array([0.0] * (_METHODS + 1))
        null = (rng.random((n, _METHODS + 1)) < chance + gains).astype(float)
        gains[1:] = np.linspace(0, 0.2, _METHODS)
        effect = (rng.random((n, _METHODS + 1)) < chance + gains).astype(float)
        pairs = [(i, 0) for i in range(1, _METHODS + 1)]
        settings = {"flips": 1000, "seed": int(rng.integers(2**31))}
        wrong += any(
            d.excludes_zero for d in Paired(null, Design.of(n), **settings).differences(pairs)
        )
        found = Paired(effect, Design.of(n), **settings).differences(pairs)
        held += all(d.low <= true <= d.high for d, true in zip(found, gains[1:], strict=True))
    return Coverage(f"family of {_METHODS}", "single answers", n, held / runs, wrong / runs, runs)


#: Norms, what outcomes are drawn by, log lengths, and the question of each response.
_Parts = tuple[Floats, Floats, Floats, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Responses:
    """Made-up responses: a norm, an outcome, log length, and the question of each."""

    norm: Floats
    outcome: Floats
    length: Floats
    question: np.ndarray


def _through_length(rng: np.random.Generator, n: int, effect: float, samples: int) -> _Parts:
    """Norm and outcome both go with length, and beyond it with each other by ``effect``.

    Questions differ in difficulty, in length, and in how much their responses' lengths differ.
    """
    question = np.repeat(np.arange(n), samples)
    own, width = rng.normal(size=n)[question], rng.uniform(0.1, 0.6, n)[question]
    length = 0.4 * rng.normal(size=n)[question] + width * rng.normal(size=len(question))
    noise = 0.5 * rng.normal(size=len(question))
    return length + noise, own - 1.2 * length + 1.5 * effect * noise, length, question


def _through_question(rng: np.random.Generator, n: int, effect: float, samples: int) -> _Parts:
    """Norm and outcome are partly the question's, and go together by ``effect``."""
    question = np.repeat(np.arange(n), samples)
    norm = rng.normal(size=n)[question] + rng.normal(size=len(question))
    latent = 1.5 * rng.normal(size=n)[question] + effect * norm
    return norm, latent, rng.normal(size=len(question)), question


@dataclass(frozen=True)
class _Association:
    """Which figure of which data."""

    make: Callable[[np.random.Generator, int, float, int], _Parts]
    measure: str = "spearman"
    within: bool = False
    control: str = "none"
    samples: int = _SAMPLES
    share: float = 0.5
    binary: bool = True

    def draw(self, rng: np.random.Generator, n: int, effect: float) -> _Responses:
        """A data set."""
        norm, latent, length, question = self.make(rng, n, effect, self.samples)
        if self.binary:
            middle = 1.4 * math.log(self.share / (1 - self.share))
            right = rng.random(len(norm)) < 1 / (1 + np.exp(-latent - middle))
            return _Responses(norm, right.astype(float), length, question)
        return _Responses(norm, latent + rng.normal(size=len(norm)), length, question)


ASSOCIATIONS: dict[str, _Association] = {
    "pooled": _Association(_through_question),
    "pooled, 10 % right": _Association(_through_question, share=0.1),
    "pooled, one response": _Association(_through_question, samples=1),
    "AUROC, pooled": _Association(_through_question, "auroc"),
    "within": _Association(_through_question, within=True),
    "AUROC, within": _Association(_through_question, "auroc", within=True),
    "pooled, controlled": _Association(_through_question, control="length"),
    "through length, pooled, controlled": _Association(_through_length, control="length"),
    "through length, within, controlled": _Association(
        _through_length, within=True, control="length"
    ),
    "through length, within, controlled, no verdict": _Association(
        _through_length, within=True, control="length", binary=False
    ),
}
_EFFECT = 0.6


def association_cell(name: str, n: int, runs: int) -> Coverage:
    """One of :data:`ASSOCIATIONS`."""
    wanted, rng = ASSOCIATIONS[name], np.random.default_rng([n, len(name)])
    true = _true(name)
    held = rejected = 0
    for _ in range(runs):
        _, low, high, _ = _value(wanted, wanted.draw(rng, n, _EFFECT), 400)
        held += bool(low <= true <= high)
        rejected += bool(_value(wanted, wanted.draw(rng, n, 0.0), 400)[3] <= 0.05)
    return Coverage("association", name, n, held / runs, rejected / runs, runs)


@cache
def _true(name: str) -> float:
    """The value in so many questions that its own error is a tenth of that of 540."""
    wanted = ASSOCIATIONS[name]
    return _value(wanted, wanted.draw(np.random.default_rng(1), 50_000, _EFFECT), 0)[0]


def _value(wanted: _Association, data: _Responses, resamples: int) -> tuple[float, ...]:
    """Value, interval and p."""
    drawn = Resamples(data.question, resamples, 0)
    found = rank_associations(
        *(data.norm[:, None], data.outcome, data.length[:, None]),
        *(data.question if wanted.within else None, data.question, drawn),
        {"none": (), "length": (0,)},
    )
    if not found:
        return (math.nan,) * 4
    one = found[wanted.measure, wanted.control].estimates
    return tuple(float(part[0]) for part in (one.value, one.low, one.high, one.p))


@dataclass(frozen=True)
class CoverageCost:
    """All cells that were tried."""

    cells: Sequence[Coverage]

    @property
    def figures(self) -> list[Figure]:
        """How many kinds miss the goal."""
        missing = [cell for cell in self.cells if not cell.meets]
        named = "; ".join(f"{one.figure}, {one.data}, {one.questions}" for one in missing)
        note = f"of {len(self.cells)}, within two Monte-Carlo errors" + (named and f": {named}")
        name = "kinds that miss .93 coverage or .06 type I"
        return [Figure.of("statistics", name, len(missing), note=note)]

    def as_dict(self) -> dict[str, Any]:
        """All cells, ready for JSON: null where a kind has no such figure."""
        cells: dict[str, Any] = plain({"cells": [cell.as_dict() for cell in self.cells]})
        return cells
