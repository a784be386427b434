"""All scores of the n responses to one prompt, from their recorded rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from l2_harness.norms.rows import ResponseRows
from l2_harness.selection.confidence_scores import (
    WINDOW,
    cisc_weights,
    deepconf_scores,
    row_means,
)
from l2_harness.selection.counted_rows import Part, counted_rows
from l2_harness.selection.entropy_dynamics import instability
from l2_harness.selection.group_threshold import group_thresholds
from l2_harness.selection.norm_scores import NORM_SCORES, norm_scores

#: Names of the scores that every recorded response has.
ROW_SCORES = (
    "length",
    *NORM_SCORES,
    *("mean_logprob", "perplexity", "mean_entropy", "self_certainty"),
    *("picsar", "cisc", "edis"),
    *("deepconf_mean", "deepconf_lowest", "deepconf_tail"),
)


@dataclass(frozen=True, eq=False)
class ScoredResponse:
    """One response as the scores see it.

    Attributes:
        rows: its T rows, all of them.
        thinking_end: row of the token that ended its thinking, or None.
        truncated: whether the token limit cut it off.
    """

    rows: ResponseRows
    thinking_end: int | None = None
    truncated: bool = False


def group_scores(
    responses: Sequence[ScoredResponse],
    part: Part = "all",
    window: int = WINDOW,
    temperature: float = 1.0,
) -> list[dict[str, float]]:
    """The scores of each response to one prompt.

    τ is taken from all rows of all responses, whatever part of them counts. A response of which
    nothing counts, or with a number that is not finite among those that a score is made of, has
    nan for that score, and nan ranks below every number.

    Args:
        responses: in the order of their samples.
        part: which rows count; Chain-of-Embedding and StALT, which the rows carry, are of all.
        window: tokens of a DeepConf group.
        temperature: of CISC.

    Returns:
        Name → value for each response: those of :data:`ROW_SCORES` (without DeepConf's where
        confidences are missing), and whatever ``rows.scores`` holds.
    """
    spans = [counted_rows(part, len(r.rows.norms), r.thinking_end, r.truncated) for r in responses]
    lengths = np.array([span.stop - span.start for span in spans])
    counted = np.flatnonzero(lengths).tolist()
    values: Mapping[str, np.ndarray] = {}
    if counted:
        tau = group_thresholds(np.concatenate([r.rows.norms for r in responses]))
        values = _scores(
            [responses[i].rows for i in counted],
            [spans[i] for i in counted],
            tau,
            window,
            temperature,
        )
    result: list[dict[str, float]] = [dict.fromkeys(ROW_SCORES, np.nan) for _ in responses]
    for name in ROW_SCORES:
        if counted and name not in values:
            for scores in result:
                del scores[name]
        for i, value in zip(counted, values.get(name, ()), strict=False):
            result[i][name] = float(value)
    return [{**scores, **r.rows.scores} for scores, r in zip(result, responses, strict=True)]


def _scores(
    rows: Sequence[ResponseRows],
    spans: Sequence[slice],
    tau: np.ndarray,
    window: int,
    temperature: float,
) -> Mapping[str, np.ndarray]:
    """Name → (n,) of responses that all have rows that count."""
    lengths = np.array([span.stop - span.start for span in spans])

    def column(name: str) -> np.ndarray:
        return _counted([r.signals[name] for r in rows], spans)

    mean_logprob, entropy = row_means(column("logprob"), lengths), column("entropy")
    values = {
        "length": lengths.astype(np.float64),
        **norm_scores(_counted([r.norms for r in rows], spans), lengths, tau),
        "mean_logprob": mean_logprob,
        "perplexity": np.exp(-mean_logprob),
        "mean_entropy": row_means(entropy, lengths),
        "self_certainty": row_means(column("self_certainty"), lengths),
        # log p(reasoning) + log p(answer given it), arXiv 2508.21787, of the answer that the
        # response gives itself; the paper asks for it in a second prompt
        "picsar": mean_logprob * lengths,
        "cisc": cisc_weights(mean_logprob, temperature),
        "edis": np.array([instability(of) for of in np.split(entropy, np.cumsum(lengths)[:-1])]),
    }
    if all(r.signals.get("confidence") is not None for r in rows):
        values |= deepconf_scores(column("confidence"), lengths, window)
    return values


def _counted(values: Sequence[np.ndarray | None], spans: Sequence[slice]) -> np.ndarray:
    """The rows that count of all responses, one after the other."""
    return np.concatenate([v[span] for v, span in zip(values, spans, strict=True) if v is not None])
