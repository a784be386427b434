"""The memory that a run needs beyond the loaded model, each measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l2_harness.bench.workloads import Workload

#: A function and its arguments, which make the workload in the new process.
MakeWorkload = tuple[Callable[..., Workload], tuple[Any, ...]]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(make: MakeWorkload, ours: bool, args: Mapping[str, Any]) -> int:
    """Bytes between a loaded model and the peak of one run.

    On a GPU of what torch had allocated; elsewhere of the process's resident set.

    Args:
        make: makes the workload.
        ours: whether ``l2hf`` runs it, recording everything, or ``hf``.
        args: of the model class.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return int(pool.apply(_measure, (make, ours, dict(args))))


def _measure(make: MakeWorkload, ours: bool, args: dict[str, Any]) -> int:
    function, arguments = make
    work = function(*arguments)
    with tempfile.TemporaryDirectory() as folder:
        lm = _load(work, ours, args, folder)
        requests = work.requests(lm)
        before = _start()
        lm.generate_until(requests, disable_tqdm=True)
        return _peak() - before


def _load(work: Workload, ours: bool, args: dict[str, Any], folder: str) -> Any:
    if not ours:
        from lm_eval.models.huggingface import HFLM

        return HFLM(str(work.model), **args)
    from l2_harness.models.hf import L2HF

    record = {"record": "tokens", "layers": "all", "trace_dir": str(Path(folder, "traces"))}
    return L2HF(str(work.model), **record, **args)


def _start() -> int:
    """What is held now; the peak counts from here."""
    import psutil
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if _CLEAR.exists():
        _CLEAR.write_text("5")  # Linux: forget the process's peak so far
    return int(psutil.Process().memory_info().rss)


def _peak() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if _STATUS.exists():
        (line,) = [x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
