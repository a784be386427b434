"""Training SAEs on captured states with sae-lens' trainer, a folder a layer, resumable.

A run that was killed goes on from its last checkpoint, with the same rows in the same order: on a
CPU the finished weights are those of an uninterrupted run, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.analysis.sae import checkpoints
from l2_harness.analysis.sae.lens import quiet
from l2_harness.analysis.sae.row_batches import RowBatches
from l2_harness.analysis.sae.train_options import TrainOptions, training_config
from l2_harness.analysis.states.questions import question_order
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.json_text import check_shape, parse_json
from l2_harness.whole_files import write_atomically

#: What this project knows of an SAE that it trained, beside sae-lens' files.
RECORD = "l2_harness.json"

_NORM_BATCHES = 20


def sae_folder(out: Path, layer: int) -> Path:
    """Where the SAE of a layer is."""
    return out / f"layer-{layer:03d}"


def split_responses(store: StateStore, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The responses to the first share of the questions in the seed's order, and the others."""
    order = question_order(store.index["question"], seed)
    # as `questions.halves` at 0.5: features are then chosen on what the SAE was trained on
    cut = min(max(int(len(order) * share + 0.5), 1), len(order) - 1)
    return store.responses(questions=order[:cut]), store.responses(questions=order[cut:])


def train_layer(
    store: StateStore,
    layer: int,
    out: Path,
    options: TrainOptions,
    progress: Callable[[int], Any] = lambda steps: None,
) -> Path:
    """Train the SAE of one layer, or go on with it, or leave it as it is if it is finished.

    Args:
        store: the states.
        layer: which layer.
        out: the folder of all layers' SAEs.
        options: see there.
        progress: told how many steps have been done, as they are.

    Returns:
        The SAE's folder: sae-lens' ``cfg.json`` and ``sae_weights.safetensors``, and our record.

    Raises:
        ConfigError: the folder holds one of other settings; too few rows; unknown settings.
    """
    folder = sae_folder(out, layer)
    record = _record(store, layer, options)
    if _is_finished(folder, record):
        progress(options.steps)
        return folder
    trainer = make_trainer(store, layer, options)
    rows = training_rows(store, options)
    with quiet():
        if checkpoints.load_checkpoint(trainer, folder):
            progress(trainer.n_training_steps)
        else:
            _fit_scale(trainer, store, layer, rows, options)
        trainer.data_provider = RowBatches(
            store, layer, rows, options.batch, options.seed, trainer.n_training_samples
        )
        _run(trainer, folder, options, progress)
        trainer.fit()  # every step is done: this folds the scale into the weights
        _save(trainer, folder, record, store)
    checkpoints.remove_checkpoints(folder)
    return folder


def _record(store: StateStore, layer: int, options: TrainOptions) -> dict[str, Any]:
    kept = ("run_id", "pretrained", "weights", "model_dtype", "dtype", "d_model", "rows")
    states = {name: store.settings.get(name) for name in kept}
    settings = json.loads(json.dumps(options.as_dict(), default=str))
    return {"layer": layer, "states": states, "training": settings}


def _is_finished(folder: Path, record: dict[str, Any]) -> bool:
    """Whether the SAE is there; its folder is prepared where it isn't."""
    path = folder / RECORD
    if path.exists():
        before = _read_record(path)
        done = before.pop("finished")
        if before != record:
            names = [
                n for n in record["training"] if before["training"].get(n) != record["training"][n]
            ]
            raise ConfigError(
                f"{folder} holds an SAE of other settings ({', '.join(names) or 'other states'}): "
                "pass another --out, or delete it."
            )
        return done
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(folder, record, finished=False)
    return False


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = parse_json(path.read_bytes())
        check_shape(content, {"layer": int, "states": dict, "training": dict, "finished": bool})
        for name in ("states", "training", "finished"):
            content[name]
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{path} is damaged ({error!r}): delete {path.parent} to train this layer anew."
        ) from error
    return content


def _write_record(folder: Path, record: dict[str, Any], finished: bool) -> None:
    text = json.dumps({**record, "finished": finished}, indent=1, ensure_ascii=False)
    write_atomically(folder / RECORD, (text + "\n").encode())


def make_trainer(store: StateStore, layer: int, options: TrainOptions) -> Any:
    """sae-lens' trainer of a new SAE, which has no data yet."""
    import torch

    config = training_config(options, store.d_model)
    from sae_lens import SAETrainer
    from sae_lens.config import SAETrainerConfig
    from sae_lens.registry import get_sae_training_class

    sae_class = get_sae_training_class(options.architecture)[0]
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(options.seed * 100_003 + layer)
        sae = sae_class(config)
        decay = max(options.steps // 5, 1)
        trainer_config = SAETrainerConfig(
            total_training_samples=options.steps * options.batch,
            train_batch_size_samples=options.batch,
            lr=options.lr,
            lr_end=options.lr / 10,
            lr_warm_up_steps=min(options.steps // 20, options.steps - decay - 1),
            lr_decay_steps=decay,
            device=options.device,
            # so often that dead features get their auxiliary loss in a short run too
            dead_feature_window=max(options.steps // 10, 10),
            feature_sampling_window=max(options.steps // 2, 1),
            n_batches_for_norm_estimate=_NORM_BATCHES,
        )
        return SAETrainer(trainer_config, sae, iter(()))


def training_rows(store: StateStore, options: TrainOptions) -> np.ndarray:
    """The numbers of the rows that are trained on."""
    return store.rows_of(split_responses(store, options.share, options.seed)[0])


def _fit_scale(
    trainer: Any, store: StateStore, layer: int, rows: np.ndarray, options: TrainOptions
) -> None:
    """sae-lens' own estimates, of rows that do not count as trained on."""
    batches = RowBatches(store, layer, rows, options.batch, options.seed)
    wanted = trainer.sae.cfg.normalize_activations
    estimates = {"d_in": store.d_model, "n_batches_for_norm_estimate": _NORM_BATCHES}
    if wanted == "expected_average_only_in":
        trainer.activation_scaler.estimate_scaling_factor(data_provider=batches, **estimates)
    elif wanted == "covariance_whitening":
        trainer.activation_scaler.estimate_whitening(data_provider=batches, **estimates)


def _run(trainer: Any, folder: Path, options: TrainOptions, progress: Callable[[int], Any]) -> None:
    """The loop of sae-lens' ``fit``, which saves between steps and not within one."""
    trainer.sae.to(trainer.cfg.device)
    while trainer.n_training_steps < options.steps:
        trainer.maybe_reset_sparsity()
        trainer.step(next(trainer.data_provider))
        trainer.n_training_steps += 1
        progress(1)
        done = trainer.n_training_steps
        if done % options.checkpoint_every == 0 and done < options.steps:
            checkpoints.save_checkpoint(trainer, folder)


def _save(trainer: Any, folder: Path, record: dict[str, Any], store: StateStore) -> None:
    metadata = trainer.sae.cfg.metadata
    metadata.model_name = store.settings["pretrained"]
    metadata.hook_name = f"blocks.{record['layer']}.hook_resid_post"
    metadata.l2_harness = record
    with checkpoints.storing(folder):
        trainer.sae.save_inference_model(folder)
    _write_record(folder, record, finished=True)
