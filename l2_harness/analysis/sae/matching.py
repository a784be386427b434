"""Features drawn to be compared with: of the same activation frequency, and otherwise any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from l2_harness.config.errors import ConfigError


def matched_features(
    frequency: np.ndarray, selected: Sequence[int], draws: int, seed: int
) -> np.ndarray:
    """For each selected feature, the unused one nearest in frequency, ``draws`` times over.

    A feature is used once in all draws together. The selected ones take their turns in random
    order, anew for each draw, so that none always gets the best match.

    Args:
        frequency: (d_sae,) share of the rows in which each feature is active.
        selected: which are to be matched; no match is one of them.
        draws: how many matches each gets.
        seed: of the turns.

    Returns:
        (draws, selected) int64.

    Raises:
        ConfigError: fewer features are left than are needed.
    """
    free = np.ones(len(frequency), dtype=bool)
    free[list(selected)] = False
    free &= frequency > 0  # what never fires has nothing to compare
    needed = draws * len(selected)
    if free.sum() < needed:
        raise ConfigError(
            f"{needed} random features are needed ({draws} draws of {len(selected)}), and "
            f"{int(free.sum())} others are ever active: pass fewer --draws or --features."
        )
    rng = np.random.default_rng(seed)
    # as close in ratio as may be: 0.1 % and 0.2 % are further apart than 50 % and 51 %
    level = np.log(np.maximum(frequency, 1e-12))
    found = np.empty((draws, len(selected)), dtype=np.int64)
    for draw in range(draws):
        for turn in rng.permutation(len(selected)):
            distance = np.where(free, np.abs(level - level[selected[turn]]), np.inf)
            found[draw, turn] = int(distance.argmin())
            free[found[draw, turn]] = False
    return found
