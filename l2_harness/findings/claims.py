"""What may be claimed: where the corrected p is below 5 % and the interval leaves out the null."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
#: The column of p values that are corrected for how many there are.
CORRECTED = "p_holm"


def signs(
    rows: pd.DataFrame, name: str = "value", null: float = 0.0, p: str = CORRECTED
) -> np.ndarray:
    """(n,) the side on which a figure of each row lies, 1 or −1, as far as that may be claimed.

    Args:
        rows: with ``name_low``, ``name_high`` and the corrected p values.
        name: of the figure.
        null: what the interval has to leave out.
        p: the column of the p values.
    """
    above, below = rows[f"{name}_low"] > null, rows[f"{name}_high"] < null
    claimed = (rows[p] < LEVEL) & (above | below)
    return np.where(claimed, np.where(above, 1, -1), 0)


def groups(
    rows: pd.DataFrame, labels: str, name: str = "value", null: float = 0.0, p: str = CORRECTED
) -> list[np.ndarray]:
    """The labels of the rows that lie above, below, and on neither side; see :func:`signs`."""
    found, names = signs(rows, name, null, p), rows[labels].to_numpy()
    return [names[found == sign] for sign in (1, -1, 0)]
