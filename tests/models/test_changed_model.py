"""A rerun never gets the answers of another model, and is told what has changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from l2_harness.config import ConfigError
from l2_harness.models.hf.l2hf import L2HF
from l2_harness.norms import read_traces

SETTINGS = {"until": [], "do_sample": False, "max_gen_toks": 6}


@pytest.fixture(scope="module")
def original(
    tiny_model: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("original")
    tiny_model("llama").save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "tokenizer")
    adapted = get_peft_model(tiny_model("llama"), LoraConfig(r=2, init_lora_weights=False))
    adapted.save_pretrained(str(folder / "adapter"))
    return folder


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def requests_(instances: Callable[..., list[Any]], prompts: list[str]) -> list[Any]:
    return instances("generate_until", [(prompt, SETTINGS) for prompt in prompts[:3]])


def l2hf(place: Path, **args: Any) -> L2HF:
    full: dict[str, Any] = {"record": "tokens", "trace_dir": str(place / "traces"), "seed": 1}
    full |= {"peft": str(place / "adapter"), "tokenizer": str(place / "tokenizer")}
    return L2HF(str(place / "base"), device="cpu", batch_size=2, **full | args)


def passes(lm: L2HF, requests: list[Any]) -> int:
    ran: list[int] = []
    handle = lm._causal_lm.register_forward_pre_hook(lambda *a: ran.append(1))
    lm.generate_until(requests, disable_tqdm=True)
    handle.remove()
    return len(ran)


def _json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _zeroed(path: Path, tensor: str) -> None:
    weights = load_file(path)
    weights[tensor].zero_()
    save_file(weights, path, metadata={"format": "pt"})


LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
CHANGES: dict[str, Callable[[Path], None]] = {
    "pretrained/config.json": lambda p: _json(p / "base/config.json", rms_norm_eps=0.5),
    "pretrained/generation_config.json": lambda p: _json(
        p / "base/generation_config.json", repetition_penalty=1.5
    ),
    "pretrained/model.safetensors": lambda p: _zeroed(
        p / "base/model.safetensors", "model.layers.2.mlp.up_proj.weight"
    ),
    "peft/adapter_model.safetensors": lambda p: _zeroed(
        p / "adapter/adapter_model.safetensors", LORA
    ),
    "tokenizer/tokenizer_config.json": lambda p: _json(
        p / "tokenizer/tokenizer_config.json", model_max_length=77
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_place_is_run_and_named(
    name: str, place: Path, requests_: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert passes(l2hf(place), requests_) > 0
    assert passes(l2hf(place), requests_) == 0
    CHANGES[name](place)
    lm = l2hf(place)
    with caplog.at_level("WARNING"):
        assert passes(lm, requests_) > 0
    (line,) = [m for m in caplog.messages if m.startswith("nothing is taken from")]
    assert line.endswith(f"is another: {name} has changed")
    assert passes(l2hf(place), requests_) == 0
    assert read_traces(place / "traces").run_id.nunique() == 2


def test_samples_of_the_model_before_a_change_are_refused(
    place: Path, requests_: list[Any]
) -> None:
    l2hf(place).generate_until(requests_, disable_tqdm=True)
    args = {"samples_from": str(place / "traces"), "record": "summary", "trace_dir": None}
    assert passes(l2hf(place, **args), requests_) == 0
    CHANGES["peft/adapter_model.safetensors"](place)
    with pytest.raises(ConfigError, match=r"peft/adapter_model\.safetensors has changed"):
        l2hf(place, **args)


def test_a_copy_elsewhere_resumes(place: Path, requests_: list[Any], tmp_path: Path) -> None:
    l2hf(place).generate_until(requests_, disable_tqdm=True)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("base", "adapter", "tokenizer", "traces"):
        shutil.move(place / name, moved / name)
    assert passes(l2hf(moved), requests_) == 0
    assert read_traces(moved / "traces").run_id.nunique() == 1


def test_another_setting_is_named(
    place: Path, requests_: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    l2hf(place).generate_until(requests_, disable_tqdm=True)
    with caplog.at_level("INFO"):
        assert passes(l2hf(place, max_length=99, seed=2), requests_) > 0
    (line,) = [m for m in caplog.messages if m.startswith("nothing is taken from")]
    assert line.endswith("is another: max_length=None there, 99 here; seed=1 there, 2 here")


def test_a_run_of_an_earlier_version_is_resumed_and_the_log_says_what_it_lacks(
    place: Path, requests_: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It knew a model's weight files by their ends, and none of its other files."""
    l2hf(place).generate_until(requests_, disable_tqdm=True)
    (path,) = (place / "traces").glob("run-*.json")
    described = json.loads(path.read_text())
    del described["settings"]["model_files"]
    path.write_text(json.dumps(described))
    with caplog.at_level("INFO"):
        assert passes(l2hf(place), requests_) == 0
    assert "that they are the same still is not known" in caplog.text
    described["settings"]["weights"] = "0" * 16
    path.write_text(json.dumps(described))
    assert passes(l2hf(place), requests_) > 0


def test_what_is_no_description_of_a_run_does_not_stop_one(
    place: Path, requests_: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    (place / "traces").mkdir()
    (place / "traces" / "run-abc.json").write_text("{")
    assert passes(l2hf(place), requests_) > 0
    assert "isn't a description of a run" in caplog.text
