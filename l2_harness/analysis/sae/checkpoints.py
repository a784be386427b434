"""Checkpoints of a training run, complete or absent, without unpickling anything.

sae-lens writes them (``SAETrainer.save_checkpoint``): weights in safetensors, the optimiser and
the schedules in a file of torch's, which is read with ``weights_only=True``.
"""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from l2_harness.config.errors import ConfigError, StorageError

_PREFIX = "checkpoint-"
#: A disk with less than this left is full, where the error does not say.
_FULL = 2**20


def save_checkpoint(trainer: Any, folder: Path) -> None:
    """Write where the run stands, then drop what stood there before."""
    name = f"{_PREFIX}{trainer.n_training_samples:012d}"
    temporary = f".{name}.tmp"
    shutil.rmtree(folder / temporary, ignore_errors=True)
    with storing(folder):
        trainer.save_checkpoint(temporary, base_path=folder)
    earlier = _checkpoints(folder)
    os.replace(folder / temporary, folder / name)
    for path in earlier:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Where libraries write into a folder: of a full disk each says something else, or nothing.

    Raises:
        StorageError: it can't be written.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        is_full = shutil.disk_usage(folder).free < _FULL
        number = errno.ENOSPC if is_full else getattr(error, "errno", None) or errno.EIO
        raise StorageError(
            number,
            f"can't write an SAE ({os.strerror(number)}). What was finished stands: free space or "
            "restore access, then run the same command again",
            str(folder),
        ) from error


def load_checkpoint(trainer: Any, folder: Path) -> bool:
    """Go on from the latest checkpoint of a folder; False where there is none.

    Raises:
        ConfigError: it can't be read, or holds more than tensors and plain values.
    """
    from safetensors.torch import load_file

    found = _checkpoints(folder)
    if not found:
        return False
    latest = found[-1]
    try:
        # sae-lens leaves the choice to torch's default, which an environment variable can change
        torch.load(latest / "trainer_state.pt", map_location="cpu", weights_only=True)
        weights = load_file(latest / "sae_weights.safetensors", device=trainer.cfg.device)
        trainer.sae.process_state_dict_for_loading(weights)
        trainer.sae.load_state_dict(weights)
        trainer.load_trainer_state(latest)
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"{latest} can't be read ({error}): delete it to train this layer anew."
        ) from error
    return True


def remove_checkpoints(folder: Path) -> None:
    """Drop them all, once the finished SAE is on disk."""
    for path in [*_checkpoints(folder), *folder.glob(f".{_PREFIX}*.tmp")]:
        shutil.rmtree(path, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))
