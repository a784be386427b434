from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.config import ConfigError, read_interventions
from l2_harness.norms.calibration import (
    calibrated_values,
    read_calibration,
    threshold_values,
    write_calibration,
)


def _write(path: Path) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(0)
    norms = {layer: rng.lognormal(4, 0.3, 500).astype(np.float32) for layer in (20, 21)}
    write_calibration(path, norms, {"model": "tiny"})
    return norms


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    norms = _write(path)
    read = read_calibration(path)
    assert sorted(read) == [20, 21]
    for layer, values in read.items():
        assert list(values) == [
            *("count", "mean", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99")
        ]
        assert values["count"] == 500
        assert values["mean"] == pytest.approx(norms[layer].mean(), rel=1e-6)
        assert values["p90"] == pytest.approx(np.quantile(norms[layer], 0.9), rel=1e-6)
    assert calibrated_values(path, 0.95, [21]) == {21: read[21]["p95"]}
    assert json.loads(path.read_text())["source"] == {"model": "tiny"}


def test_norms_that_are_not_finite_do_not_count(tmp_path: Path) -> None:
    write_calibration(tmp_path / "c", {3: np.array([1.0, np.nan, 3.0, np.inf])})
    assert read_calibration(tmp_path / "c")[3]["count"] == 2
    with pytest.raises(ValueError, match="Layer 4 has no finite norm"):
        write_calibration(tmp_path / "c", {4: np.array([np.nan])})
    with pytest.raises(ValueError, match="at least one layer"):
        write_calibration(tmp_path / "c", {})


def _without(name: str) -> Any:
    def change(content: dict[str, Any]) -> None:
        del content["layers"]["20"][name]

    return change


def _setting(name: str, value: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        content["layers"]["20"][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("layers"), "no calibration file of version 1"),
        (lambda c: c.update(version=2), "no calibration file of version 1"),
        (_without("p90"), "entry '20' lacks a number among count, mean, p1"),
        (_setting("p50", "12"), "entry '20' lacks a number"),
        (_setting("p50", float("nan")), "entry '20' lacks a number"),
        (_setting("p50", 1e9), "percentiles that do not ascend"),
        (_setting("count", 0), "counts no row"),
        (lambda c: c["layers"].update(x=c["layers"]["20"]), "entry 'x' is no layer"),
    ],
)
def test_damage_is_refused_with_a_remedy(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "c.json"
    _write(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message) as error:
        read_calibration(path)
    assert "l2-harness calibrate" in str(error.value)


def test_what_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("{")
    with pytest.raises(ConfigError, match="can't be read"):
        read_calibration(tmp_path / "c")
    with pytest.raises(ConfigError, match="can't be read"):
        read_calibration(tmp_path / "none")


def test_a_layer_that_the_file_lacks(tmp_path: Path) -> None:
    _write(tmp_path / "c")
    with pytest.raises(ConfigError, match=r"holds the layers 20\+21, but layer 22 is monitored"):
        calibrated_values(tmp_path / "c", 0.9, [21, 22])


def test_values_that_a_run_starts_with(tmp_path: Path) -> None:
    path = tmp_path / "c"
    _write(path)
    file = {"threshold": "calibrated", "calibration": str(path), "threshold_quantile": 0.75}
    given = {"threshold": "fixed", "threshold_values": "20:3+21:4"}
    found = [threshold_values(read_interventions(a).threshold, [21]) for a in (file, given, {})]
    assert found == [{21: read_calibration(path)[21]["p75"]}, {21: 4.0}, {}]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    path = tmp_path / "c.json"
    _write(path)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="full"):
        write_calibration(path, {1: np.ones(3)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
