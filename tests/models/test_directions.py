"""Steering along directions from a file, through l2hf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from l2_harness.config import ConfigError
from l2_harness.engines.model_files import file_digest
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_run_settings
from l2_harness.norms.directions import write_directions

ARGS = {"steering": "norm", "steering_trigger": "peak", "threshold_k": 0, "threshold_warmup": 2}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[list[int]], L2HF]:
    def demo(layers: list[int]) -> L2HF:
        rng = np.random.default_rng(0)
        width = 128
        write_directions(tmp_path / "d.npz", {i: rng.standard_normal(width) for i in layers})
        return L2HF(
            "demo",
            device="cpu",
            batch_size=4,
            record="tokens",
            trace_dir=str(tmp_path / "traces"),
            steering_source="sae",
            steering_directions=str(tmp_path / "d.npz"),
            steering_probability=1,
            steering_min_cosine=-1,
            **ARGS,
        )

    return demo


def test_it_acts_and_the_run_names_the_file(
    make: Callable[[list[int]], L2HF],
    prompts: list[str],
    instances: Callable[..., list[Any]],
    tmp_path: Path,
) -> None:
    lm = make([9, 10])
    settings = {"max_gen_toks": 24, "until": []}
    lm.generate_until(instances("generate_until", [(q, settings) for q in prompts[:2]]))
    told = lm.get_model_info()["l2"]
    assert told["interventions"]["all_layers"]["injections"] > 0
    assert told["interventions"]["dose"]["steering"] > 0
    run = read_run_settings(tmp_path / "traces", told["run_id"])
    assert run["model_files"]["steering_directions"] == file_digest(tmp_path / "d.npz")


def test_a_layer_without_a_direction(make: Callable[[list[int]], L2HF]) -> None:
    with pytest.raises(ConfigError, match="has no direction for layer 10; it has those of 9"):
        make([9])
