"""Reasoning features: what differs most between thinking and direct answers to one question.

Chosen on one half of the questions; scored on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import Pairs, question_means
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import student


@dataclass(frozen=True, eq=False)
class Contrast:
    """Every feature of an SAE on the questions that features are chosen on.

    Attributes:
        difference: (d_sae,) mean over questions of thinking minus direct mean activation.
        effect: (d_sae,) that, divided by its standard deviation over questions (Cohen's d of
            paired differences); 0 where a feature never fires.
        frequency: (d_sae,) share of the thinking responses' rows in which it is active.
        questions: how many.
    """

    difference: np.ndarray
    effect: np.ndarray
    frequency: np.ndarray
    questions: int


def contrast(store: StateStore, loaded: LoadedSae, pairs: Pairs) -> Contrast:
    """The contrast of all features, on ``pairs.chosen_on``, in bounded memory."""
    total = torch.zeros(loaded.d_sae, dtype=torch.float64)
    squares, fired = torch.zeros_like(total), torch.zeros_like(total)
    rows = 0
    for part in question_means(store, loaded, pairs, pairs.chosen_on):
        difference = (part.thinking - part.direct).double()
        total += difference.sum(0)
        squares += difference.square().sum(0)
        fired += part.fired
        rows += part.rows
    n = len(pairs.chosen_on)
    mean = total / n
    deviation = ((squares - n * mean.square()).clamp_min(0) / (n - 1)).sqrt()
    effect = torch.where(deviation > 0, mean / deviation.clamp_min(1e-30), 0.0)
    return Contrast(mean.numpy(), effect.numpy(), (fired / rows).numpy(), n)


def select(found: Contrast, count: int, by: str = "difference") -> list[int]:
    """The features with the largest ``difference`` (or ``effect``), largest first.

    Raises:
        ConfigError: fewer features than that are more active in thinking.
    """
    values = found.difference if by == "difference" else found.effect
    order = np.argsort(-values, kind="stable")[:count]
    if len(order) < count or values[order[-1]] <= 0:
        raise ConfigError(
            f"only {int((values > 0).sum())} features are more active in thinking responses, and "
            f"{count} are asked for: pass a smaller --features."
        )
    return [int(i) for i in order]


@dataclass(frozen=True, eq=False)
class HeldMeans:
    """Some features on the held questions.

    Attributes:
        features: their numbers.
        questions: (q,) identities.
        thinking, direct: (q, features) mean activations.
    """

    features: tuple[int, ...]
    questions: np.ndarray
    thinking: Floats
    direct: Floats


def held_means(
    store: StateStore, loaded: LoadedSae, pairs: Pairs, features: Sequence[int]
) -> HeldMeans:
    """Mean activations of some features on ``pairs.held``."""
    parts = list(question_means(store, loaded, pairs, pairs.held, features))
    return HeldMeans(
        tuple(features),
        np.array([q for part in parts for q in part.questions]),
        torch.cat([part.thinking for part in parts]).double().numpy(),
        torch.cat([part.direct for part in parts]).double().numpy(),
    )


@dataclass(frozen=True, eq=False)
class Scores:
    """Each feature's contrast on the held questions, (features,) each, with 95 % intervals.

    ``p`` is the paired t test's over questions; nan where a feature fires in none of them. Random
    signs would have to be drawn very often for a correction over hundreds of features.
    """

    difference: Floats
    difference_low: Floats
    difference_high: Floats
    effect: Floats
    effect_low: Floats
    effect_high: Floats
    p: Floats


def score(means: HeldMeans) -> Scores:
    """Differences and effects with intervals over questions, and p values."""
    differences = means.thinking - means.direct
    n = len(differences)
    mean = differences.mean(axis=0)
    deviation = differences.std(axis=0, ddof=1) if n > 1 else np.zeros_like(mean)
    safe = np.where(deviation > 0, deviation, 1.0)
    effect = np.where(deviation > 0, mean / safe, 0.0)
    # what each question changes in the effect: its distance from the mean, less what it adds to
    # the deviation
    distance = (differences - mean) / safe
    shifts = distance - effect / 2 * (distance**2 - 1)
    low, high = student(mean, deviation / np.sqrt(n), n - 1)
    effect_low, effect_high = student(
        effect, np.sqrt((shifts**2).sum(axis=0) / (n * (n - 1))), n - 1
    )
    return Scores(
        *(mean, low, high, effect, effect_low, effect_high),
        p=_paired_p(differences),
    )


def _paired_p(differences: Floats) -> Floats:
    from scipy.stats import ttest_1samp

    p = np.full(differences.shape[1], np.nan)
    varies = np.ptp(differences, axis=0) > 0
    if len(differences) > 1 and varies.any():
        p[varies] = ttest_1samp(differences[:, varies], 0.0).pvalue
    return p
