"""The embedded demo model: its problems, its tokenizer, the script that trains it.

Nothing heavy is imported here: `model_path` answers where the packaged model lies, and the
submodules that need torch or transformers import them themselves.
"""

from __future__ import annotations

from pathlib import Path

MODEL_NAME = "demo"


def model_path() -> Path:
    """The folder of the packaged model, as `from_pretrained` takes it."""
    return Path(__file__).resolve().parent / "model"


__all__ = ["MODEL_NAME", "model_path"]
