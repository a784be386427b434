"""The memory that a run needs beyond the loaded model, each measured in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l2_harness.bench.child import apart
from l2_harness.bench.workloads import Workload
from l2_harness.compare.peak_memory import peak_bytes, start_peak

#: A function and its arguments, which make the workload in the new process.
MakeWorkload = tuple[Callable[..., Workload], tuple[Any, ...]]


def peak_memory(make: MakeWorkload, ours: bool, args: Mapping[str, Any]) -> int:
    """Bytes between a loaded model and the peak of one run.

    On a GPU of what torch had allocated; elsewhere of the process's resident set.

    Args:
        make: makes the workload.
        ours: whether ``l2hf`` runs it, recording everything, or ``hf``.
        args: of the model class.
    """
    return apart(_measure, make, ours, dict(args))


def _measure(make: MakeWorkload, ours: bool, args: dict[str, Any]) -> int:
    function, arguments = make
    work = function(*arguments)
    with tempfile.TemporaryDirectory() as folder:
        lm = _load(work, ours, args, folder)
        requests = work.requests(lm)
        before = _start()
        lm.generate_until(requests, disable_tqdm=True)
        peak = peak_bytes()
        if peak is None:
            raise RuntimeError("this system does not tell how much memory a process has needed.")
        return peak - before


def _load(work: Workload, ours: bool, args: dict[str, Any], folder: str) -> Any:
    if not ours:
        from lm_eval.models.huggingface import HFLM

        return HFLM(str(work.model), **args)
    from l2_harness.models.hf.l2hf import L2HF

    record = {"record": "tokens", "layers": "all", "trace_dir": str(Path(folder, "traces"))}
    return L2HF(str(work.model), **record, **args)


def _start() -> int:
    """What is held now; the peak counts from here."""
    import psutil
    import torch

    start_peak()
    if torch.cuda.is_available():
        return sum(torch.cuda.memory_allocated(i) for i in range(torch.cuda.device_count()))
    return int(psutil.Process().memory_info().rss)
