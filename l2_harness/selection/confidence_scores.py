"""Scores from the output distributions: likelihood, entropy, self-certainty, DeepConf, CISC.

Sources: self-certainty Kang et al., arXiv 2502.18581; DeepConf Fu et al., arXiv 2508.15260,
section 3, with the window of its code, 2,048 tokens; CISC Taubenfeld et al., arXiv 2502.06233,
with the softmax of its code (google-research/cisc, post_processing/util.py) and its confidence
"response probability".
"""

from __future__ import annotations

import numpy as np

WINDOW = 2048


def lowest_group(confidence: np.ndarray, window: int = WINDOW) -> float:
    """The least mean over ``window`` neighbouring tokens; over all where there are fewer.

    Args:
        confidence: (T,) token confidences, T ≥ 1.
        window: tokens of a group; groups overlap in all tokens but one.
    """
    if len(confidence) <= window:
        return float(confidence.mean(dtype=np.float64))
    up_to = np.concatenate([[0.0], np.cumsum(confidence, dtype=np.float64)])
    return float((up_to[window:] - up_to[:-window]).min() / window)


def tail(confidence: np.ndarray, window: int = WINDOW) -> float:
    """The mean over the last ``window`` tokens, confidence: (T,), T ≥ 1."""
    return float(confidence[-window:].mean(dtype=np.float64))


def row_means(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(n,) the mean of each response's rows; nan where one is not finite.

    Args:
        values: (rows,) of all responses, one after the other.
        lengths: (n,) how many each has, at least one.
    """
    starts = np.cumsum(lengths) - lengths
    means = np.add.reduceat(values.astype(np.float64), starts) / lengths
    return np.where(np.isfinite(means), means, np.nan)


def cisc_weights(mean_logprob: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """(n,) the votes of CISC, softmax of confidence over temperature, up to one factor for all.

    A confidence is the geometric mean of its tokens' probabilities, from 0 to 1. The authors tune
    the temperature on questions of their own, a model and a confidence; 1 is close to a majority.

    Args:
        mean_logprob: (n,) of one prompt's responses; nan has nan.
        temperature: above 0.
    """
    confidence = np.exp(mean_logprob)
    known = confidence[np.isfinite(confidence)]
    largest = known.max() if len(known) else 0.0
    return np.asarray(np.exp((confidence - largest) / temperature))


def deepconf_scores(
    confidence: np.ndarray, lengths: np.ndarray, window: int = WINDOW
) -> dict[str, np.ndarray]:
    """DeepConf's average, lowest group and tail confidence of each of n responses, (n,) each."""
    means = row_means(confidence, lengths)
    lowest, last = means.copy(), means.copy()
    ends = np.cumsum(lengths)
    for i in np.flatnonzero((lengths > window) & np.isfinite(means)):
        rows = confidence[ends[i] - lengths[i] : ends[i]]
        lowest[i], last[i] = lowest_group(rows, window), tail(rows, window)
    return {"deepconf_mean": means, "deepconf_lowest": lowest, "deepconf_tail": last}
