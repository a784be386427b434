"""What the bridge adds to the start of a Python interpreter, measured.

Two fresh virtual environments differ in one file, ``l2_harness_bridge.pth``. Bare interpreters
start in them in turn, in an order drawn anew each round, so that a machine that slows down or
speeds up meets all of them alike.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import statistics
import subprocess
import tempfile
import time
import venv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import l2_harness

#: Environment variable that switches the bridge off.
SWITCH = "L2_HARNESS_NO_BRIDGE"
WITHOUT, WITH, SWITCHED_OFF = "without the bridge", "with the bridge", "switched off"

_PACKAGE = Path(l2_harness.__file__).resolve().parent
_WARM_UP_ROUNDS = 3
_RESAMPLES = 2000


@dataclass(frozen=True)
class StartupRow:
    """One kind of interpreter start; times in ms, ``added`` against :data:`WITHOUT`."""

    environment: str
    median: float
    lower_quartile: float
    upper_quartile: float
    added: float | None = None
    added_lower: float | None = None
    added_upper: float | None = None

    def added_interval(self) -> str:
        """The 95 % interval of ``added`` as text; empty for the baseline."""
        if self.added_lower is None or self.added_upper is None:
            return ""
        return f"{self.added_lower:+.2f} to {self.added_upper:+.2f}"


@dataclass(frozen=True)
class StartupCost:
    """Times of every start in ms, by environment; index i of each list is round i."""

    python: str
    times: dict[str, list[float]]

    @property
    def rounds(self) -> int:
        """How many starts of each kind there were."""
        return len(self.times[WITHOUT])

    def rows(self) -> list[StartupRow]:
        """One summary a kind of start, the baseline first."""
        return [_summary(name, times, self.times[WITHOUT]) for name, times in self.times.items()]

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "python": self.python,
            "unit": "ms",
            "rounds": self.rounds,
            "rows": [asdict(row) for row in self.rows()],
            "times": self.times,
        }


def bridge_file() -> Path:
    """The ``.pth`` file: in a checkout among the sources, in a wheel moved beside the package.

    Raises:
        FileNotFoundError: neither holds it.
    """
    name = "l2_harness_bridge.pth"
    candidates = (_PACKAGE / "registration" / name, _PACKAGE.parent / name)
    for file in candidates:
        if file.is_file():
            return file
    raise FileNotFoundError(f"{name} is missing: install l2-harness again with pip.")


def measure_startup(rounds: int) -> StartupCost:
    """Time ``python -c pass`` with and without the bridge, ``rounds`` times each.

    Raises:
        OSError: a virtual environment could not be made, or the installation is incomplete.
        subprocess.CalledProcessError: an interpreter did not start.
    """
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="l2-startup-") as folder:
        plain = _environment(Path(folder, "plain"), bridge=False)
        bridged = _environment(Path(folder, "bridged"), bridge=True)
        starts = {WITHOUT: (plain, ""), WITH: (bridged, ""), SWITCHED_OFF: (bridged, "1")}
        times: dict[str, list[float]] = {name: [] for name in starts}
        for number in range(_WARM_UP_ROUNDS + rounds):
            for name in rng.sample(list(starts), len(starts)):
                elapsed = _start(*starts[name])
                if number >= _WARM_UP_ROUNDS:
                    times[name].append(elapsed)
    return StartupCost(platform.python_version(), times)


def _environment(folder: Path, *, bridge: bool) -> Path:
    """The interpreter of a new environment that sees this package, with the hook or without."""
    venv.create(folder, symlinks=os.name != "nt", with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    # The leading underscore puts this file first: `site` reads .pth files in order of name.
    (site_packages / "_l2_harness.pth").write_text(f"{_PACKAGE.parent}\n", encoding="utf-8")
    if bridge:
        shutil.copy(bridge_file(), site_packages)
    return python


def _start(python: Path, switch: str) -> float:
    """Milliseconds that one bare interpreter takes from its start to its end."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    before = time.perf_counter()
    subprocess.run([python, "-c", "pass"], env={**inherited, SWITCH: switch}, check=True)
    return (time.perf_counter() - before) * 1000


def _summary(name: str, times: list[float], baseline: list[float]) -> StartupRow:
    lower, median, upper = statistics.quantiles(times, n=4, method="inclusive")
    if times is baseline:
        return StartupRow(name, median, lower, upper)
    added = median - statistics.median(baseline)
    return StartupRow(name, median, lower, upper, added, *_bootstrap_interval(times, baseline))


def _bootstrap_interval(times: list[float], baseline: list[float]) -> tuple[float, float]:
    """The 95 % percentile interval of the difference of medians, rounds drawn as pairs."""
    rng, rounds = random.Random(0), list(zip(times, baseline, strict=True))
    differences = []
    for _ in range(_RESAMPLES):
        drawn, drawn_baseline = zip(*rng.choices(rounds, k=len(rounds)), strict=True)
        differences.append(statistics.median(drawn) - statistics.median(drawn_baseline))
    percentiles = statistics.quantiles(differences, n=40, method="inclusive")
    return percentiles[0], percentiles[-1]
