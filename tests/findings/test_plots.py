from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from l2_harness.analysis.norms.profiles import layer_profile
from l2_harness.findings.plots import plot_correlations, plot_profile


def _colours(path: Path) -> set[tuple[int, ...]]:
    pixels = (imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    codes = np.unique(pixels @ [1 << 16, 1 << 8, 1])
    return {(code >> 16, code >> 8 & 255, code & 255) for code in codes.tolist()}


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _profile() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    direct = rng.uniform(5, 15, (40, 12)) * 1.3 ** np.arange(12)
    return layer_profile(direct * 1.1, direct, np.arange(12))


def _correlations() -> pd.DataFrame:
    value = np.linspace(-0.2, 0.3, 12)
    columns: dict[str, np.ndarray] = {"layer": np.arange(12)}
    for name in ("raw", "controlled"):
        columns |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
    return pd.DataFrame(columns)


def test_profile_figure_shows_both_arms_and_their_ratio(tmp_path: Path) -> None:
    path = plot_profile(_profile(), tmp_path / "profile.png", "a small model")
    assert imread(path).shape[1] > 1200
    assert {_rgb("#0072B2"), _rgb("#D55E00"), _rgb("#009E73")} <= _colours(path)


def test_correlation_figure_shows_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    plot_correlations(_correlations(), path, "a small model", late=(9, 10))
    assert {_rgb("#0072B2"), _rgb("#D55E00")} <= _colours(path)
    shaded = path.read_bytes()
    plot_correlations(_correlations(), path, "a small model", late=())
    assert path.read_bytes() != shaded


@pytest.mark.parametrize("missing", ["all", "one"])
def test_what_is_undefined_leaves_a_gap(tmp_path: Path, missing: str) -> None:
    table = _correlations()
    table.loc[slice(None) if missing == "all" else 3, table.columns != "layer"] = np.nan
    path = plot_correlations(table, tmp_path / "c.png", "a small model", late=(9, 10))
    assert path.stat().st_size > 5000


def test_no_display_and_no_pyplot_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, pandas as pd, numpy as np\n"
        "from l2_harness.findings.plots import plot_correlations\n"
        "names = ['raw', 'raw_low', 'raw_high']\n"
        "names += [n.replace('raw', 'controlled') for n in names]\n"
        "table = pd.DataFrame({'layer': range(3), **{n: np.zeros(3) for n in names}})\n"
        "plot_correlations(table, pathlib.Path(sys.argv[1]), 't', late=(1,))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MPLBACKEND")}
    path = tmp_path / "c.png"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
    assert path.is_file()
