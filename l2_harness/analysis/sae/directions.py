"""Decoder directions of features, for steering along them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.analysis.sae.feature_sets import FeatureSet
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.config.errors import ConfigError


def decoder_directions(
    saes: Sequence[LoadedSae], features: FeatureSet, draw: int | None = None
) -> dict[int, np.ndarray]:
    """Layer → (d,) of length 1: the sum of the features' decoder rows, each of length 1.

    Args:
        saes: one a layer.
        features: chosen of them.
        draw: of the random features, in place of the reasoning ones.

    Raises:
        ConfigError: no such draw.
    """
    found = {}
    for loaded in saes:
        own = features.of(loaded)
        if draw is not None and draw >= len(own.random):
            raise ConfigError(
                f"--draw {draw}: features.json has {len(own.random)} draws of random features, "
                f"0 to {len(own.random) - 1}."
            )
        chosen = list(own.selected) if draw is None else own.random[draw].tolist()
        rows = loaded.sae.W_dec.detach().double().cpu().numpy()[chosen]
        total = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).sum(0)
        found[loaded.layer] = total / np.linalg.norm(total)
    return found
