"""SAEs from folders and from sae-lens' releases, up to the call of the hub."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from l2_harness.analysis.sae.loading import LoadedSae, load_sae, load_saes, parse_source
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError

D = 32


def save(loaded: LoadedSae, folder: Path, **metadata: Any) -> Path:
    loaded.sae.save_model(folder)
    config = json.loads((folder / "cfg.json").read_text("utf-8"))
    config["metadata"] |= metadata
    (folder / "cfg.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture
def toy(standard_sae: Callable[..., LoadedSae]) -> LoadedSae:
    return standard_sae(torch.randn(D, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("hook", "layer"),
    [
        ("blocks.3.hook_resid_post", 3),
        ("blocks.4.hook_resid_pre", 3),
        ("model.layers.3", 3),
        ("model.language_model.layers.3", 3),
        ("transformer.h.3", 3),
    ],
)
def test_which_layer_a_hook_is(toy: LoadedSae, tmp_path: Path, hook: str, layer: int) -> None:
    folder = save(toy, tmp_path / "sae", hook_name=hook)
    assert load_sae(parse_source(str(folder))[0]).layer == layer


@pytest.mark.parametrize("hook", ["blocks.3.hook_mlp_out", "blocks.0.hook_resid_pre"])
def test_a_hook_that_is_no_decoder_layer(toy: LoadedSae, tmp_path: Path, hook: str) -> None:
    folder = save(toy, tmp_path / "sae", hook_name=hook)
    with pytest.raises(ConfigError, match=f"reads '{hook}'"):
        load_sae(parse_source(str(folder))[0])
    assert load_sae(parse_source(f"{folder}@7")[0]).layer == 7


def test_a_layer_that_contradicts_the_metadata(toy: LoadedSae, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    with pytest.raises(ConfigError, match="metadata say layer 3"):
        load_sae(parse_source(f"{folder}@2")[0])


def test_no_layer_at_all(toy: LoadedSae, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "sae")
    with pytest.raises(ConfigError, match="add @LAYER"):
        load_sae(parse_source(str(folder))[0])


def test_checked_against_the_states(
    toy: LoadedSae, noise_store: StateStore, tmp_path: Path
) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    (loaded,) = load_saes([str(folder)], noise_store)
    states = noise_store.take(3, noise_store.rows_of(noise_store.responses()[:2]))
    torch.testing.assert_close(loaded.encode(states), toy.encode(states))
    assert loaded.encode(states, [5, 2]).shape == (len(states), 2)
    with pytest.raises(ConfigError, match="both read layer 3"):
        load_saes([str(folder), str(folder)], noise_store)
    other = save(toy, tmp_path / "layer", hook_name="blocks.2.hook_resid_post")
    with pytest.raises(ConfigError, match=r"reads layer 2, .* holds the layers 0\+3"):
        load_saes([str(other)], noise_store)
    record = {"states": {"weights": "others"}}
    other = save(toy, tmp_path / "w", hook_name="blocks.3.hook_resid_post", l2_harness=record)
    with pytest.raises(ConfigError, match="states of other weights"):
        load_saes([str(other)], noise_store)


def test_states_of_another_width(noise_store: StateStore, tmp_path: Path) -> None:
    from sae_lens import StandardSAE, StandardSAEConfig

    sae = StandardSAE(StandardSAEConfig(d_in=16, d_sae=8))
    folder = save(LoadedSae(sae, 0, ""), tmp_path / "sae", model_name="some-model")
    with pytest.raises(ConfigError, match=r"takes states of 16 .* have 32: .*some-model"):
        load_saes([f"{folder}@0"], noise_store)


def test_what_is_no_sae(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no cfg\.json"):
        parse_source(str(tmp_path))
    with pytest.raises(ConfigError, match="no such folder, and no RELEASE:ID"):
        parse_source("nowhere")


def test_an_architecture_that_only_trains(toy: LoadedSae, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    config = json.loads((folder / "cfg.json").read_text("utf-8"))
    (folder / "cfg.json").write_text(json.dumps(config | {"architecture": "batchtopk"}), "utf-8")
    with pytest.raises(ConfigError, match="save_inference_model"):
        load_sae(parse_source(str(folder))[0])


def test_an_unknown_release() -> None:
    with pytest.raises(ConfigError, match="did you mean 'llama_scope_r1_distill'"):
        load_sae(parse_source("llama_scope_r1_distil:l0r_800m_slimpajama")[0])
    with pytest.raises(ConfigError, match="ID l99r not found"):
        load_sae(parse_source("llama_scope_r1_distill:l99r")[0])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """The hub's download replaced by local files, and nothing else: (repository, file) → path."""
    files: dict[tuple[str, str], Path] = {}

    def download(repo_id: str, filename: str, subfolder: str = "", **options: Any) -> str:
        name = f"{subfolder}/{filename}" if subfolder else filename
        return str(files[repo_id, name])

    from sae_lens.loading import pretrained_sae_loaders

    monkeypatch.setattr(pretrained_sae_loaders, "hf_hub_download", download)

    def provide(name: str, path: Path) -> None:
        repo_id, _, file = name.partition("//")
        files[repo_id, file] = path

    return provide


def test_the_release_of_the_distilled_llama(
    hub: Callable[[str, Path], None], tmp_path: Path
) -> None:
    """Its own format: a linear layer's weights, a log threshold, a norm to be folded in."""
    weights = {
        "encoder.weight": torch.randn(64, D),
        "encoder.bias": torch.randn(64),
        "decoder.weight": torch.randn(D, 64),
        "decoder.bias": torch.randn(D),
        "log_jumprelu_threshold": torch.full((64,), -1.0),
    }
    config = {"d_model": D, "expansion_factor": 2, "hook_point_in": "blocks.1.hook_resid_post"}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    save_file(weights, tmp_path / "w.safetensors")
    folder = "fnlp/Llama-Scope-R1-Distill//800M-Slimpajama-0-OpenR1-Math-220k/L1R"
    hub(f"{folder}/config.json", tmp_path / "config.json")
    hub(f"{folder}/sae_weights.safetensors", tmp_path / "w.safetensors")
    loaded = load_sae(parse_source("llama_scope_r1_distill:l1r_800m_slimpajama")[0])
    assert (loaded.architecture, loaded.layer, loaded.d_sae) == ("jumprelu", 1, 64)
    h = torch.randn(5, D)
    scale = 37.07457226753229  # of the release's own list
    before = (h * scale) @ weights["encoder.weight"].T + weights["encoder.bias"]
    expected = before.relu() * (before > torch.tensor(-1.0).exp())
    torch.testing.assert_close(loaded.encode(h), expected, rtol=1e-4, atol=1e-3)


def test_the_release_for_qwen(
    hub: Callable[[str, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sae_lens.loading import pretrained_sae_loaders as loaders

    info = {"Qwen3-1.7B-Base": ("Qwen/Qwen3-1.7B-Base", D)}
    monkeypatch.setattr(loaders, "QWEN_SCOPE_MODEL_INFO", info)
    wide = 32 * 1024
    weights = {"W_enc": torch.randn(wide, D), "W_dec": torch.randn(D, wide)}
    weights |= {"b_enc": torch.zeros(wide), "b_dec": torch.zeros(D)}
    torch.save(weights, tmp_path / "l.pt")
    hub("Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50//layer2.sae.pt", tmp_path / "l.pt")
    loaded = load_sae(parse_source("qwen-scope-3-1.7b-base-w32k-l50:layer2")[0])
    assert (loaded.architecture, loaded.layer) == ("topk", 2)
    acts = loaded.encode(torch.randn(3, D))
    assert (acts != 0).sum(1).tolist() == [50, 50, 50]


def test_a_repository_in_sae_lens_own_format(
    hub: Callable[[str, Path], None], toy: LoadedSae, tmp_path: Path
) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    for name in ("cfg.json", "sae_weights.safetensors"):
        hub(f"someone/saes//l3/{name}", folder / name)
    save_file({"sparsity": torch.zeros(8)}, tmp_path / "s.safetensors")
    hub("someone/saes//l3/sparsity.safetensors", tmp_path / "s.safetensors")
    loaded = load_sae(parse_source("someone/saes:l3")[0])
    h = torch.randn(4, D)
    torch.testing.assert_close(loaded.encode(h), toy.encode(h))


def test_a_scale_that_is_not_folded_in_is_said(toy: LoadedSae, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    config = json.loads((folder / "cfg.json").read_text("utf-8"))
    config["normalize_activations"] = "expected_average_only_in"
    (folder / "cfg.json").write_text(json.dumps(config), "utf-8")
    with pytest.warns(UserWarning, match="the scale is not in its weights"):
        load_sae(parse_source(str(folder))[0])


def test_a_folder_of_folders(toy: LoadedSae, noise_store: StateStore, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "a", hook_name="blocks.3.hook_resid_post")
    shutil.copytree(folder, tmp_path / "b")
    save(toy, tmp_path / "b", hook_name="blocks.0.hook_resid_post")
    (tmp_path / "sae_quality").mkdir()
    assert [one.layer for one in load_saes([str(tmp_path)], noise_store)] == [0, 3]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("W_dec", torch.nan, "its W_dec has values that are not finite"),
        ("W_enc", -torch.inf, "its W_enc has values that are not finite"),
        ("b_dec", torch.nan, "its b_dec has values that are not finite"),
    ],
)
def test_weights_that_are_no_numbers(
    name: str, value: float, told: str, toy: LoadedSae, tmp_path: Path
) -> None:
    toy.sae.state_dict()[name].flatten()[1] = value
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    with pytest.raises(ConfigError, match=told):
        load_sae(parse_source(str(folder))[0])


class _Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return ran.append, ("unpickled",)


ran: list[str] = []


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("sae_weights.safetensors", pickle.dumps(_Malicious())),
        ("sae_weights.safetensors", b""),
        ("sae_weights.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
        ("sae_weights.safetensors", None),
        ("cfg.json", b"[1]"),
        ("cfg.json", b'{"d_in":'),
        ("cfg.json", b"[" * 100_000),
        ("cfg.json", {"metadata": None}),
        ("cfg.json", {"d_in": 7}),
        ("cfg.json", {"d_sae": -3}),
        ("cfg.json", {"d_in": "x"}),
        ("cfg.json", {"architecture": "../evil"}),
        ("cfg.json", {"normalize_activations": "evil"}),
    ],
    ids=str,
)
def test_a_damaged_folder(file: str, content: Any, toy: LoadedSae, tmp_path: Path) -> None:
    folder = save(toy, tmp_path / "sae", hook_name="blocks.3.hook_resid_post")
    damaged = folder / file
    if content is None:
        damaged.write_bytes(damaged.read_bytes()[:100])
    elif isinstance(content, bytes):
        damaged.write_bytes(content)
    else:
        damaged.write_text(json.dumps(json.loads(damaged.read_text()) | content))
    with pytest.raises(ConfigError, match="can't be loaded") as refused:
        load_sae(parse_source(str(folder))[0])
    assert len(str(refused.value).splitlines()) == 1
    assert not ran
