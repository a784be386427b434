"""What decides a response is told apart, a copy is not, and 100 GB are not read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from l2_harness.engines import model_files as module
from l2_harness.engines.model_files import file_digest, model_files


@pytest.fixture
def model(tiny_model: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny_model("llama").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"rope_theta": 5000.0}),
        ("generation_config.json", {"eos_token_id": [1, 2]}),
        ("generation_config.json", {"repetition_penalty": 1.3, "top_k": 7}),
        ("tokenizer_config.json", {"padding_side": "left", "add_bos_token": True}),
        ("tokenizer.json", {"added": 1}),
    ],
)
def test_a_changed_file_is_named(model: Path, name: str, values: dict[str, Any]) -> None:
    before = model_files({"pretrained": str(model)})
    edit_json(model / name, **values)
    assert changed(before, model_files({"pretrained": str(model)})) == {f"pretrained/{name}"}


@pytest.mark.parametrize("role", ["peft", "delta", "tokenizer", "lora_local_path"])
def test_every_folder_counts_under_its_argument(model: Path, tmp_path: Path, role: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "adapter_config.json").write_text("{}")
    (other / "adapter_model.safetensors").write_bytes(b"12345")
    arguments = {"pretrained": str(model), role: str(other)}
    before = model_files(arguments)
    (other / "adapter_model.safetensors").write_bytes(b"12346")
    assert changed(before, model_files(arguments)) == {f"{role}/adapter_model.safetensors"}


def test_weights_in_a_subfolder(model: Path) -> None:
    shutil.copytree(model, model / "inner")
    arguments = {"pretrained": str(model), "subfolder": "inner"}
    before = model_files(arguments)
    edit_json(model / "inner" / "config.json", rope_theta=5.0)
    assert changed(before, model_files(arguments)) == {"pretrained/inner/config.json"}
    assert not any("inner" in name for name in model_files({"pretrained": str(model)}))


def test_a_copy_elsewhere_is_the_same(model: Path, tmp_path: Path) -> None:
    before = model_files({"pretrained": str(model)})
    shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
    (tmp_path / "copy" / "README.md").write_text("what a copy may have besides")
    (tmp_path / "copy" / "trainer_state.json").write_text("{}")
    assert model_files({"pretrained": str(tmp_path / "copy")}) == before


@pytest.mark.parametrize("small", [0, module._SMALL])
def test_a_middle_layer_that_is_zeroed(
    model: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the header, the size, the beginning and the end of the file kept."""
    monkeypatch.setattr(module, "_SMALL", small)
    before = model_files({"pretrained": str(model)})
    path = model / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.2.mlp.down_proj.weight"].zero_()
    size = path.stat().st_size
    save_file(weights, path, metadata={"format": "pt"})
    assert path.stat().st_size == size
    assert changed(before, model_files({"pretrained": str(model)})) == {
        "pretrained/model.safetensors"
    }


def test_any_large_tensor_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL", 0)
    weights = {f"layer{i}": torch.randn(64, 64) for i in range(12)}
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    found = {file_digest(path)}
    for name in weights:
        save_file({**weights, name: torch.zeros(64, 64)}, path)
        found.add(file_digest(path))
    assert len(found) == 1 + len(weights)


@pytest.mark.parametrize("name", ["model.gguf", "pytorch_model.bin"])
def test_a_large_file_of_another_kind(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a stretch as long as the distance of two samples is zeroed."""
    monkeypatch.setattr(module, "_SMALL", 0)
    monkeypatch.setattr(module, "_DISTANCE", 10_000)
    content = np.random.default_rng(0).bytes(200_000)
    path = tmp_path / name
    path.write_bytes(content)
    whole = file_digest(path)
    for start in range(0, 186_000, 7_000):
        path.write_bytes(content[:start] + bytes(14_000) + content[start + 14_000 :])
        assert file_digest(path) != whole, start


def test_little_of_a_large_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 GB of tensors of 32 MB each, some 13 MB."""
    monkeypatch.setattr(module, "_SMALL", 1 << 20)
    path = tmp_path / "model.safetensors"
    save_file({f"layer{i}": torch.zeros(1 << 20) for i in range(4)}, path)
    with path.open("rb") as file:
        read = sum(length for _, length in module._samples(file, ".safetensors", 16 << 20))
    assert read < 4 * 5_000


@pytest.mark.parametrize("role", ["calibration", "steering_directions"])
def test_a_file_counts_under_its_argument(tmp_path: Path, role: str) -> None:
    (tmp_path / "file").write_bytes(b"1")
    before = model_files({role: str(tmp_path / "file")})
    assert list(before) == [role]
    (tmp_path / "file").write_bytes(b"2")
    assert changed(before, model_files({role: str(tmp_path / "file")})) == {role}


def test_a_repository_counts_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--org--name"
    for commit in ("a" * 40, "b" * 40):
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    arguments = {"pretrained": "org/name", "cache_dir": str(tmp_path)}
    assert model_files(arguments) == {"pretrained": "commit " + "a" * 40}
    (repository / "refs" / "main").write_text("b" * 40)
    assert model_files(arguments) == {"pretrained": "commit " + "b" * 40}
    assert model_files({**arguments, "revision": "a" * 40}) == {"pretrained": "commit " + "a" * 40}


def test_an_object_has_no_files() -> None:
    assert model_files({"pretrained": object(), "tokenizer": None, "peft": ""}) == {}
