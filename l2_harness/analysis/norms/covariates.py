"""What else is known of a response, and may explain what its norms seem to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from l2_harness.analysis.norms.trace_rows import SIGNALS, RowBlock
from l2_harness.selection.confidence_scores import row_means

if TYPE_CHECKING:
    import pandas as pd

#: Column → what it is.
COVARIATES = {
    "length": "tokens of the response",
    "log_length": "natural logarithm of the length",
    "prompt_tokens": "tokens of the prompt",
    "position": "mean position of the response's rows in the whole text, in tokens",
    "logprob": "mean log-probability of the response's tokens, in nats",
    "entropy": "mean entropy of the distributions they came from, in nats",
    "self_certainty": "mean self-certainty of these, in nats",
    "truncated": "1 where the token limit cut the response off",
}
#: name → what an association is controlled for. The findings rest on all four;
#: the last set also takes out what the model's own confidence says.
CONTROLS: dict[str, tuple[str, ...]] = {
    "none": (),
    "length": ("log_length",),
    "position": ("position",),
    "entropy": ("entropy",),
    "truncation": ("truncated",),
    "logprob": ("logprob",),
    "all": ("log_length", "position", "entropy", "truncated"),
    "all_and_logprob": ("log_length", "position", "entropy", "truncated", "logprob"),
}


def covariates(traces: pd.DataFrame, signals: np.ndarray) -> pd.DataFrame:
    """The covariates of each response.

    Args:
        traces: n rows, with ``n_tokens``, ``prompt_tokens`` and ``finish_reason``.
        signals: (n, 3) the means over rows of
            :data:`~l2_harness.analysis.norms.trace_rows.SIGNALS`.

    Returns:
        n rows, the columns of :data:`COVARIATES`, float64.
    """
    import pandas as pd

    length = traces["n_tokens"].to_numpy(np.float64)
    prompt = traces["prompt_tokens"].to_numpy(np.float64)
    found = {
        "length": length,
        "log_length": np.log(length),
        "prompt_tokens": prompt,
        # row t stands at position prompt_tokens − 1 + t
        "position": prompt - 1 + (length - 1) / 2,
        **dict(zip(SIGNALS, signals.T, strict=True)),
        "truncated": (traces["finish_reason"] == "length").to_numpy(np.float64),
    }
    return pd.DataFrame({name: found[name] for name in COVARIATES})


def signal_means(block: RowBlock) -> np.ndarray:
    """(n, 3) the mean of each signal over each response's rows; nan where one is not finite."""
    return np.stack([row_means(block.signals[name], block.lengths) for name in SIGNALS], axis=1)
