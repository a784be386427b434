"""Where a model that was named lies, and the files that the package carries."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

#: ``pretrained=demo`` is the model that the package carries, whatever folders are at hand: one that
#: is called so is ``./demo``.
DEMO_MODEL = "demo"


def demo_model_path() -> Path:
    """The folder of the packaged model, as ``from_pretrained`` takes it."""
    return _PACKAGE / "demo" / "model"


def model_source(name: str) -> str:
    """What ``from_pretrained`` takes for the name of a model: a folder, or a name on the hub."""
    return str(demo_model_path()) if name == DEMO_MODEL else name


def is_on_disk(name: str) -> bool:
    """Whether the name is of the packaged model or of a folder."""
    return expanded(model_source(name)).is_dir()


def no_network_for(name: str) -> None:
    """Leave the hub alone where the model is on disk; before anything imports huggingface_hub."""
    if is_on_disk(name):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def tasks_dir() -> Path:
    """The folder of this project's task YAMLs, for lm-eval's ``--include_path``.

    A wheel holds it inside the package; an editable install uses the checkout's own ``tasks/``.

    Raises:
        FileNotFoundError: the installation holds no tasks.
    """
    candidates = (_PACKAGE / "_tasks", _PACKAGE.parent / "tasks")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        "l2_harness holds no task files: neither "
        + " nor ".join(str(folder) for folder in candidates)
        + " exists. Install it again with pip."
    )


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path as it was typed, ``~`` being the home folder; where there is none, it stays ``~``."""
    try:
        return Path(os.path.expanduser(path))
    except ValueError:  # a NUL: no such file, as whoever opens it will say
        return Path(path)
