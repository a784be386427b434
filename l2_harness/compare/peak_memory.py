"""The largest memory that this process needed within a stretch of its work."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start_peak() -> None:
    """Forget the peak so far, where the system allows it.

    Of all GPUs it is what torch had allocated. Elsewhere it is the process's resident set, whose
    peak Linux lets a process forget; other systems keep the peak since its start.
    """
    import torch

    if torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        _CLEAR.write_text("5")


def peak_bytes() -> int | None:
    """The peak since :func:`start_peak`, weights included; None where it can't be told."""
    import torch

    if torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        return sum(torch.cuda.max_memory_allocated(device) for device in devices)
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        found = [line for line in lines if line.startswith("VmHWM:")]
        return int(found[0].split()[1]) * 1024 if found else None
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if sys.platform == "darwin" else 1024)
    return None
