"""The option ``--engine``, and what vLLM has to find in the environment before it is imported."""

from __future__ import annotations

import os
from typing import Annotated

import typer

Engine = Annotated[
    str | None,
    typer.Option(help="hf or vllm, in place of what the rows name: l2hf or l2vllm, hf or vllm."),
]

#: In this process, with little memory, and with what was compiled before taken from the disk.
_ON_CPUS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_USE_AOT_COMPILE": "0",
}


def engine_of(name: str | None) -> str | None:
    """An engine that is known and installed, ready to be imported.

    Raises:
        ConfigError: it isn't.
    """
    from l2_harness.config.errors import unknown_value
    from l2_harness.models.capabilities import engines

    if name is not None and name not in engines():
        raise unknown_value("--engine", name, engines())
    if name == "vllm":
        prepare_vllm()
    return name


def prepare_vllm(one_process: bool = False) -> None:
    """Check which vLLM there is, and set what it needs on a CPU and the user has not set.

    Args:
        one_process: whether its engine is to run in this process, on a GPU too.

    Raises:
        ConfigError: none is installed, or one that is not known.
    """
    import torch

    from l2_harness.engines.vllm.release import check_release

    check_release()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its log goes to standard output
    if not torch.cuda.is_available():
        for name, value in _ON_CPUS.items():
            os.environ.setdefault(name, value)
    if one_process:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
