"""``steering_source=sae``: the moments and the size of steering, in a direction of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from l2_harness.config import ConfigError, read_interventions
from l2_harness.norms.directions import read_directions, write_directions

LAYERS, WIDTH = (3, 5), 8


@pytest.fixture
def file(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    path = tmp_path / "directions.npz"
    write_directions(path, {layer: 3 * rng.standard_normal(WIDTH) for layer in LAYERS})
    return str(path)


@pytest.mark.parametrize("mode", ["blend", "add"])
@pytest.mark.parametrize("steering", ["norm", "random"])
def test_against_the_reference(
    mode: str, steering: str, file: str, lab: Any, world: Any, lively: Any
) -> None:
    own = {"steering": steering, "steering_mode": mode, "steering_trigger": "peak"}
    args = lively | own | {"threshold_k": 0.3, "steering_source": "sae"}
    args["steering_directions"] = file
    fast = lab.run_fast(world, args, lab.together(world, range(len(world.prompts))))
    lab.compare(fast, *lab.run_slow(world, args), tolerance=1e-6)  # ‖Δ‖ is a float32
    assert sum(c["injections"] for r in fast.reports for c in r.counters.values()) > 5


def test_first_step_has_the_size_of_the_stored_states(
    file: str, lab: Any, world: Any, lively: Any
) -> None:
    args = lively | {"steering": "norm", "steering_trigger": "peak", "threshold_k": 0.3}
    other = args | {"steering_source": "sae", "steering_directions": file}
    schedule = list(lab.together(world, range(len(world.prompts))))
    both = [lab.run_fast(world, each, schedule).reports for each in (args, other)]
    first = [
        [next((e.row, e.layer, e.detail) for e in r.events if e.layer == 3) for r in reports]
        for reports in both
    ]
    assert len(first[0]) > 3
    for bank, sae in zip(*first, strict=True):
        assert bank[:2] == sae[:2]
        change = json.loads(bank[2])["change"]
        assert json.loads(sae[2])["change"] == pytest.approx(change, rel=1e-4)


def test_files(file: str, tmp_path: Path) -> None:
    found = read_directions(file, LAYERS)
    assert {layer: np.linalg.norm(v) for layer, v in found.items()} == pytest.approx({3: 1, 5: 1})
    with pytest.raises(ConfigError, match="has no direction for layer 4; it has those of 3"):
        read_directions(file, [3, 4])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_directions(str(tmp_path / "none.npz"), [3])
    write_directions(tmp_path / "zero.npz", {3: np.zeros(4)})
    with pytest.raises(ConfigError, match="vector of layer 3 is no direction"):
        read_directions(str(tmp_path / "zero.npz"), [3])


def test_they_go_together(file: str) -> None:
    for half in ({"steering_source": "sae"}, {"steering_directions": file}):
        with pytest.raises(ConfigError, match="go together"):
            read_interventions({"steering": "norm", **half})


def test_of_another_width(file: str, lab: Any) -> None:
    from l2_harness.interventions import InterventionRun, Response

    config = read_interventions(
        {"steering": "norm", "steering_source": "sae", "steering_directions": file}
    )
    pipeline = InterventionRun(config, [3]).pipeline([Response(1, 2)])
    pipeline.begin_pass(np.array([0]), np.array([1]))
    with pytest.raises(ConfigError, match="vectors of 8 components, and the model's states have 4"):
        pipeline.layer(3, torch.ones(1, 4))
