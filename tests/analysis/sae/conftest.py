"""Synthetic captured states, and SAEs with known weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.states import layout
from l2_harness.analysis.states.forcing import LayerOutput, OutputRows
from l2_harness.analysis.states.part_writer import PartWriter
from l2_harness.analysis.states.store import StateStore
from l2_harness.analysis.states.verification import NONE
from l2_harness.analysis.states.wanted import Wanted

D = 32


def _wanted(task: str, question: int, tokens: Sequence[int]) -> Wanted:
    return Wanted(
        key=("run", task, question, 0, 0, 0),
        question=f"question-{question:03d}",
        prompt="",
        prompt_tokens=2,
        tokens=np.array(tokens),
        thinking_end=None,
        layers=(),
        norms=None,
        norm_mean=np.empty(0),
        entropy=None,
    )


@pytest.fixture(scope="session")
def write_states() -> Callable[..., StateStore]:
    """``write_states(folder, responses)``: responses are (task, question, tokens, {layer: states}).

    Prompts are the ids 1, 2.
    """

    def write(folder: Path, responses: Sequence[tuple[str, int, Sequence[int], Any]]) -> StateStore:
        layers = sorted(responses[0][3])
        half = len(responses) // 2 or 1
        for part in (responses[:half], responses[half:]):
            wanted = [_wanted(task, question, tokens) for task, question, tokens, _ in part]
            writer = PartWriter(folder, wanted, layers, D, "float32")
            for _, _, tokens, by_layer in part:
                for layer in layers:
                    states = torch.as_tensor(by_layer[layer], dtype=torch.float32)
                    before = torch.cat([torch.zeros(1, D), states[:-1]])
                    change = (states - before).norm(dim=-1)
                    writer.take(layer, LayerOutput(states, states.norm(dim=-1), change))
                noise = np.random.default_rng(len(tokens)).random(len(tokens))
                outputs = OutputRows(-noise, noise, 1 - noise)
                writer.end_batch(outputs, [np.array([1, 2])])
            writer.commit(NONE)
        settings: dict[str, Any] = {
            "run_id": "run",
            "pretrained": "toy",
            "weights": "w",
            "model_dtype": "float32",
        }
        settings |= {"dtype": "float32", "layers": layers, "d_model": D}
        rows = sum(len(tokens) for _, _, tokens, _ in responses)
        layout.write_settings(folder, {**settings, "rows": rows, "complete": True})
        return StateStore(folder)

    return write


@pytest.fixture(scope="session")
def noise_store(
    write_states: Callable[..., StateStore], tmp_path_factory: pytest.TempPathFactory
) -> StateStore:
    """Two layers of states on a few directions with a mean, some thousand rows, two tasks."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, D))
    responses = []
    for question in range(40):
        for task, rows in (("t", 30), ("t_direct", 6)):
            amounts = rng.exponential(size=(rows, 12)) * (rng.random((rows, 12)) < 0.3)
            states = 3 * amounts @ directions + 5.0 + 0.1 * rng.normal(size=(rows, D))
            by_layer = {0: states, 3: 2 * states[:, ::-1].copy()}
            responses.append((task, question, rng.integers(3, 20, rows).tolist(), by_layer))
    return write_states(tmp_path_factory.mktemp("noise"), responses)


@pytest.fixture(scope="session")
def standard_sae() -> Callable[..., LoadedSae]:
    """``standard_sae(weights, bias)``: act = relu(h @ weights + bias), at layer 0."""

    def make(weights: Tensor, bias: float = 0.0, layer: int = 0) -> LoadedSae:
        from sae_lens import StandardSAE, StandardSAEConfig

        config = StandardSAEConfig(d_in=D, d_sae=weights.shape[1], apply_b_dec_to_input=False)
        sae = StandardSAE(config)
        sae.W_enc.data = weights.clone().float()
        sae.b_enc.data.fill_(bias)
        return LoadedSae(sae, layer, "toy")

    return make
