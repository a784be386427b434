"""What the arms did to the responses, and the difference that each edit makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.compare.causal.effects import POINTS
from l2_harness.compare.causal.runs import ArmRun, Runs
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.ratios import linear_shifts

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
        change, row: the mean of its edits' ‖Δ‖/‖h‖ and of their rows, from 0.
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
    change: float
    row: float
    left: float
    ratio: float
    changed: float
    longer: Estimate
    truncated: float

    @property
    def is_matched(self) -> bool:
        """Whether the count is about that of the peaks; of peaks themselves, True."""
        return self.run.arm.where == "peaks" or MATCHED[0] <= self.ratio <= MATCHED[1]


def edit_counts(runs: Runs) -> list[EditCount]:
    """The edits of every arm that makes some, the sham's among them."""
    arms = [run for run in runs.arms.values() if run.arm.where]
    if not arms:
        return []
    per_response = _means(np.stack([run.edits for run in arms], axis=1))
    longer = _means(np.stack([run.tokens - runs.plain.tokens for run in arms], axis=1))
    return [_count(runs, *each) for each in zip(arms, per_response, longer, strict=True)]


def _count(runs: Runs, run: ArmRun, per_response: Estimate, longer: Estimate) -> EditCount:
    peaks = runs.peaks(run) if run.arm.where != "peaks" else None
    total, tokens = run.edits.sum(), run.tokens.sum()
    return EditCount(
        run,
        float(total),
        per_response,
        _ratio(100 * total, tokens),
        _share(run.edits > 0, run.edits),
        _ratio(run.change.sum(), total),
        _ratio(run.places.sum(), total),
        float(run.left.sum()),
        float("nan") if peaks is None else _ratio(total, peaks.edits.sum()),
        float(run.changed.mean()),
        longer,
        float(run.truncated.mean()),
    )


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


def per_edit(runs: Runs) -> list[PerEdit]:
    """Points an edit of every arm that edits peaks, beside each of its controls."""
    peaks = [run for run in runs.edited if run.arm.where == "peaks"]
    pairs = [(run, control) for run in peaks for control in runs.controls(run)]
    if not pairs:
        return []
    first, second = (_points_an_edit(side, runs.plain) for side in zip(*pairs, strict=True))
    found = [_means(values) for values in (first, second, first - second)]
    columns = zip(*found, strict=True)
    return [PerEdit(*pair, *of) for pair, of in zip(pairs, columns, strict=True)]


def _points_an_edit(arms: Sequence[ArmRun], plain: ArmRun) -> Floats:
    """(Q, arms) values whose mean is the points an edit; nan where an arm has no edit."""
    differences = POINTS * np.stack([run.scores - plain.scores for run in arms], axis=1)
    edits = np.stack([run.edits for run in arms], axis=1)
    return linear_shifts(differences, edits)


def _means(values: Floats) -> list[Estimate]:
    return mean_estimates(values, Design.of(len(values)), bounded=False)


def _ratio(value: float, whole: float) -> float:
    return float(value / whole) if whole > 0 else float("nan")


def _share(mask: np.ndarray, known: Floats) -> float:
    return float("nan") if np.isnan(known).any() else float(mask.mean())
