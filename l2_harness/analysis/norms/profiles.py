"""Mean norm per layer of two ways to answer the same prompts.

Raw norms grow with depth and are not to be compared between layers or models. What is
comparable is the ratio of two arms at one layer, on the same prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.ratios import ratios

if TYPE_CHECKING:
    import pandas as pd


def pair_by_document(
    thinking: pd.DataFrame, direct: pd.DataFrame
) -> tuple[Floats, Floats, np.ndarray]:
    """The mean norms of both arms, for the documents that both have.

    Args:
        thinking: a row a response, with ``doc_id`` and ``norm_mean`` (L,).
        direct: likewise. Several responses to a document are averaged.

    Returns:
        Thinking (n, L), direct (n, L), and the doc_ids (n,), ascending.
    """
    arms = [_by_document(frame) for frame in (thinking, direct)]
    shared = sorted(arms[0].keys() & arms[1].keys())
    first, second = (np.array([arm[doc_id] for doc_id in shared]) for arm in arms)
    return first, second, np.array(shared)


def layer_profile(thinking: ArrayLike, direct: ArrayLike, layers: ArrayLike) -> pd.DataFrame:
    """Means, difference and ratio per layer, of paired responses.

    Args:
        thinking: (n, L) mean norm of the thinking response to each prompt at each layer.
        direct: (n, L) the same of the direct response to the same prompt.
        layers: (L,) layer indices.

    Returns:
        A row a layer: ``layer``, and ``thinking``, ``direct``, ``difference`` (thinking minus
        direct, in the layer's own unit), ``ratio`` (of the two means), each with ``_low`` and
        ``_high``.
    """
    import pandas as pd

    thinking, direct = np.asarray(thinking, dtype=float), np.asarray(direct, dtype=float)
    if thinking.shape != direct.shape or thinking.ndim != 2:
        raise ValueError(
            f"thinking {thinking.shape} and direct {direct.shape} must both be (pairs, layers)."
        )
    frames = [pd.DataFrame({"layer": np.asarray(layers)})]
    arms = {"thinking": thinking, "direct": direct, "difference": thinking - direct}
    for name, values in arms.items():
        found = mean_estimates(values, Design.of(len(values)), bounded=False)
        frames.append(pd.DataFrame([one.columns(name) for one in found]))
    frames.append(pd.DataFrame(ratios([thinking], [direct]).columns("ratio")))
    return pd.concat(frames, axis=1)


def _by_document(frame: pd.DataFrame) -> dict[int, Floats]:
    return {
        int(str(doc_id)): np.mean(np.stack(list(group)), axis=0, dtype=np.float64)
        for doc_id, group in frame.groupby("doc_id")["norm_mean"]
    }
