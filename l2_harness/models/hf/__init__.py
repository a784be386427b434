"""``l2hf``, the model class on Hugging Face transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2_harness.lazy_names import lazy_names

if TYPE_CHECKING:
    from l2_harness.models.hf.l2hf import L2HF

__all__ = ["L2HF"]

__getattr__, __dir__ = lazy_names(globals(), {"L2HF": "l2hf"})
