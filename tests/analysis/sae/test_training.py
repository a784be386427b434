"""Training: resumed runs are the uninterrupted ones, and nothing is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from l2_harness.analysis.sae.loading import load_sae, load_saes, parse_source
from l2_harness.analysis.sae.quality import measure
from l2_harness.analysis.sae.row_batches import RowBatches
from l2_harness.analysis.sae.train_options import TrainOptions, training_config
from l2_harness.analysis.sae.training import sae_folder, split_responses, train_layer
from l2_harness.analysis.states.questions import halves
from l2_harness.analysis.states.store import StateStore
from l2_harness.bench.sae_training import measure_training
from l2_harness.config.errors import ConfigError

OPTIONS = TrainOptions(expansion=2, k=6, steps=60, batch=64, checkpoint_every=20)


class Killed(BaseException):
    """What a killed run looks like from inside: nothing catches it."""


def killing(at: int) -> Callable[[int], None]:
    done = 0

    def progress(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= at:
            raise Killed

    return progress


@pytest.mark.parametrize("architecture", ["batchtopk", "jumprelu", "gated"])
def test_a_killed_run_ends_as_an_uninterrupted_one(
    architecture: str, noise_store: StateStore, tmp_path: Path
) -> None:
    options = replace(OPTIONS, architecture=architecture)
    whole = train_layer(noise_store, 0, tmp_path / "whole", options)
    with pytest.raises(Killed):
        train_layer(noise_store, 0, tmp_path / "cut", options, killing(47))
    assert [p.name for p in sae_folder(tmp_path / "cut", 0).glob("checkpoint-*")] == [
        f"checkpoint-{40 * 64:012d}"
    ]
    done: list[int] = []
    cut = train_layer(noise_store, 0, tmp_path / "cut", options, done.append)
    assert done[0] == 40
    assert sum(done) == 60
    assert not list(cut.glob("*checkpoint-*"))
    first, second = (load_file(f / "sae_weights.safetensors") for f in (whole, cut))
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_a_finished_sae_is_left_as_it_is(noise_store: StateStore, tmp_path: Path) -> None:
    folder = train_layer(noise_store, 0, tmp_path, OPTIONS)
    written = (folder / "sae_weights.safetensors").stat().st_mtime_ns
    done: list[int] = []
    train_layer(noise_store, 0, tmp_path, OPTIONS, done.append)
    assert (folder / "sae_weights.safetensors").stat().st_mtime_ns == written
    assert done == [60]
    with pytest.raises(ConfigError, match=r"other settings \(k\)"):
        train_layer(noise_store, 0, tmp_path, replace(OPTIONS, k=7))


def test_a_checkpoint_that_would_run_code_is_refused(
    noise_store: StateStore, tmp_path: Path
) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harm",)

    with pytest.raises(Killed):
        train_layer(noise_store, 0, tmp_path, OPTIONS, killing(25))
    (state,) = sae_folder(tmp_path, 0).glob("checkpoint-*/trainer_state.pt")
    torch.save({"optimizer": Harm()}, state, pickle_module=pickle)
    with pytest.raises(ConfigError, match="can't be read"):
        train_layer(noise_store, 0, tmp_path, OPTIONS)
    assert not (tmp_path / "harm").exists()


def test_quality_against_the_definition(noise_store: StateStore, tmp_path: Path) -> None:
    folder = train_layer(noise_store, 3, tmp_path, OPTIONS)
    loaded = load_sae(parse_source(str(folder))[0])
    held = split_responses(noise_store, 0.5, 0)[1]
    found = measure(loaded, noise_store, held)
    x = noise_store.take(3, noise_store.rows_of(held))
    with torch.no_grad():
        acts = loaded.sae.encode(x)
        rebuilt = loaded.sae.decode(acts)
    total = (x - x.mean(0)).double().square().sum()
    expected = 1 - (rebuilt - x).double().square().sum() / total
    assert found.explained_variance == pytest.approx(float(expected), abs=1e-5)
    assert 0.1 < found.explained_variance < 1
    assert found.l0 == pytest.approx(float((acts != 0).sum(1).double().mean()))
    assert found.dead == pytest.approx(float(((acts != 0).sum(0) == 0).double().mean()))
    assert found.rows == len(x)


def test_trained_on_the_half_that_features_are_chosen_on(noise_store: StateStore) -> None:
    trained, held = split_responses(noise_store, 0.5, 4)
    first, second = halves(noise_store.index["question"], 4)
    asked = noise_store.index["question"].to_numpy()
    assert set(asked[trained]) == set(first)
    assert set(asked[held]) == set(second)


def test_the_folder_is_sae_lens_own(noise_store: StateStore, tmp_path: Path) -> None:
    from sae_lens import SAE

    folder = train_layer(noise_store, 3, tmp_path, OPTIONS)
    sae = SAE.load_from_disk(folder)
    assert sae.cfg.metadata.hook_name == "blocks.3.hook_resid_post"
    assert sae.cfg.metadata.l2_harness["training"]["k"] == 6
    assert sae.cfg.normalize_activations == "none"  # folded: it takes the states as they are
    (loaded,) = load_saes([str(tmp_path)], noise_store)
    assert loaded.layer == 3


def test_batches_come_once_a_pass_and_from_anywhere(noise_store: StateStore) -> None:
    rows = np.arange(10, 110)
    batches = RowBatches(noise_store, 0, rows, 30, seed=1)
    found = [next(batches) for _ in range(6)]
    first, second = torch.cat(found[:3]), torch.cat(found[3:])
    assert len(torch.unique(first, dim=0)) == 90
    assert not torch.equal(first, second)
    later = RowBatches(noise_store, 0, rows, 30, seed=1, position=4 * 30)
    assert torch.equal(next(later), found[4])
    streamed = RowBatches(noise_store, 0, rows, 30, seed=1)
    streamed._held = None
    assert torch.equal(next(streamed), found[0])
    with pytest.raises(ConfigError, match="smaller --batch"):
        RowBatches(noise_store, 0, rows, 101, seed=1)


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match="did you mean 'batchtopk'"):
        training_config(replace(OPTIONS, architecture="batchtop"), 32)
    with pytest.raises(ConfigError, match="did you mean 'topk_threshold_lr'"):
        training_config(replace(OPTIONS, extra={"topk_treshold_lr": 1}), 32)
    with pytest.raises(ConfigError, match="sae-lens refuses"):
        training_config(replace(OPTIONS, extra={"normalize_activations": "x"}), 32)
    with pytest.raises(ConfigError, match="--share=1"):
        replace(OPTIONS, share=1.0)
    assert (
        training_config(replace(OPTIONS, extra={"topk_threshold_lr": 0.5}), 32).topk_threshold_lr
        == 0.5
    )


def test_the_benchmark_runs_each_way(noise_store: StateStore) -> None:
    said: list[str] = []
    options = TrainOptions(expansion=1, k=4, steps=6, batch=32)
    cost = measure_training(noise_store, 3, options, 2, said.append)
    assert {name: len(times) for name, times in cost.times.items()} == {
        "sae train": 2,
        "sae-lens": 2,
        "matrix products": 2,
    }
    # a training does more than its products
    assert cost.figures[1].value > 1
    assert "sae-lens: round 2 of 2" in said
