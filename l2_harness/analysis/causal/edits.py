"""What the arms did to the responses, and the difference that each edit makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l2_harness.analysis.bootstrap import Estimate, Floats, estimate
from l2_harness.analysis.causal.runs import ArmRun, Runs

RESAMPLES = 2000
#: Ratios of edits between which a control counts as matched.
MATCHED = (0.9, 1.1)


@dataclass(frozen=True, eq=False)
class EditCount:
    """One arm's edits.

    Attributes:
        run: the arm.
        total: states edited; nan where it isn't known, as all that follows.
        per_response: with its interval.
        per_100_tokens: over all responses; longer responses have more rows to edit.
        edited: share of the questions with at least one edit.
        left: edits that a control was still behind when its responses ended.
        ratio: its edits over those of the peaks that it is the control of; nan for peaks.
        changed: share of the questions whose responses are not the plain ones.
        longer: tokens more than the plain responses have, the mean, with its interval.
        truncated: share of the responses that the token limit ended.
    """

    run: ArmRun
    total: float
    per_response: Estimate
    per_100_tokens: float
    edited: float
    left: float
    ratio: float
    changed: float
    longer: Estimate
    truncated: float

    @property
    def is_matched(self) -> bool:
        """Whether the count is about that of the peaks; of peaks themselves, True."""
        return self.run.arm.where == "peaks" or MATCHED[0] <= self.ratio <= MATCHED[1]


def edit_counts(runs: Runs, *, resamples: int = RESAMPLES, seed: int = 0) -> list[EditCount]:
    """The edits of every arm that makes some, the sham's among them."""
    arms = [run for run in runs.arms.values() if run.arm.where]
    return [_count(runs, run, resamples, seed) for run in arms]


def _count(runs: Runs, run: ArmRun, resamples: int, seed: int) -> EditCount:
    peaks = runs.peaks(run) if run.arm.where != "peaks" else None
    total, tokens = run.edits.sum(), run.tokens.sum()
    return EditCount(
        run,
        float(total),
        mean_of(run.edits, resamples=resamples, seed=seed),
        _ratio(100 * total, tokens),
        _share(run.edits > 0, run.edits),
        float(run.left.sum()),
        float("nan") if peaks is None else _ratio(total, peaks.edits.sum()),
        float(run.changed.mean()),
        mean_of(run.tokens - runs.plain.tokens, resamples=resamples, seed=seed),
        float(run.truncated.mean()),
    )


def mean_of(values: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean of values (Q,), one a question, with its 95 % interval."""

    def mean(weights: Floats) -> Floats:
        return np.asarray(weights @ values / weights.sum(axis=1))

    return estimate(mean, np.arange(len(values)), resamples=resamples, seed=seed)


@dataclass(frozen=True, eq=False)
class PerEdit:
    """What an edit costs, at peaks and at a control's states.

    The ratio of two means: points that the arm differs from plain by, over its edits a response.
    Counts that are not quite matched do not bias the comparison, as far as a second edit of a
    response costs what the first one does.

    Attributes:
        peaks, control: the arms.
        at_peaks, at_control: points an edit, with their intervals; nan without edits.
        difference: at peaks less at the control's states: the difference in differences.
    """

    peaks: ArmRun
    control: ArmRun
    at_peaks: Estimate
    at_control: Estimate
    difference: Estimate


def per_edit(runs: Runs, *, resamples: int = RESAMPLES, seed: int = 0) -> list[PerEdit]:
    """Points an edit of every arm that edits peaks, beside each of its controls."""
    peaks = [run for run in runs.edited if run.arm.where == "peaks"]
    return [
        _per_edit(runs, run, control, resamples, seed)
        for run in peaks
        for control in runs.controls(run)
    ]


def _per_edit(runs: Runs, peaks: ArmRun, control: ArmRun, resamples: int, seed: int) -> PerEdit:
    def points(run: ArmRun, weights: Floats) -> Floats:
        edits = weights @ run.edits
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = 100 * (weights @ (run.scores - runs.plain.scores)) / edits
        return np.where(edits > 0, ratio, np.nan)

    def of(*signed: tuple[ArmRun, int]) -> Estimate:
        def statistic(weights: Floats) -> Floats:
            return np.asarray(sum(sign * points(run, weights) for run, sign in signed))

        clusters = np.arange(len(runs.questions))
        return estimate(statistic, clusters, resamples=resamples, seed=seed)

    both = of((peaks, 1), (control, -1))
    return PerEdit(peaks, control, of((peaks, 1)), of((control, 1)), both)


def _ratio(value: float, whole: float) -> float:
    return float(value / whole) if whole > 0 else float("nan")


def _share(mask: np.ndarray, known: Floats) -> float:
    return float("nan") if np.isnan(known).any() else float(mask.mean())
