"""act ≤ ‖w‖‖h‖ + b for every architecture, and the alarm for another encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2_harness.analysis.sae.bound import encoder_bound
from l2_harness.analysis.sae.bound_check import (
    BoundResult,
    BoundViolationError,
    check_bound,
    check_sae,
    require,
)
from l2_harness.analysis.sae.lens import architectures
from l2_harness.analysis.sae.loading import LoadedSae, load_sae, parse_source
from l2_harness.analysis.sae.train_options import TrainOptions
from l2_harness.analysis.sae.training import train_layer
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError

D = 32
TRAINED = [
    *("standard", "gated", "topk", "abstopk", "jumprelu", "batchtopk"),
    *("matryoshka_batchtopk", "matching_pursuit"),
]
UNTRAINED = ["transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"]


@pytest.fixture(scope="module")
def trained(
    noise_store: StateStore, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], LoadedSae]:
    folder = tmp_path_factory.mktemp("saes")

    def make(architecture: str) -> LoadedSae:
        options = TrainOptions(architecture=architecture, expansion=2, k=6, steps=150, batch=64)
        found = train_layer(noise_store, 3, folder / architecture, options)
        return load_sae(parse_source(str(found))[0])

    return make


def random_sae(architecture: str, **config: Any) -> Any:
    from sae_lens.registry import SAE_CLASS_REGISTRY

    sae_class, config_class = SAE_CLASS_REGISTRY[architecture]
    if "transcoder" in architecture:
        config |= {"d_out": 24, "apply_b_dec_to_input": False}
    if architecture == "temporal":
        config |= {"n_heads": 2, "bottleneck_factor": 8, "kval_topk": 9}
    if "topk" in architecture:
        config.setdefault("k", 9)
    torch.manual_seed(0)
    sae = sae_class(config_class(d_in=D, d_sae=64, **config))
    for name, parameter in sae.named_parameters():
        scale = 0.3 if "W_" in name else 1.0
        if not name.startswith("attn"):
            torch.nn.init.normal_(parameter, std=scale)
    if hasattr(sae, "threshold"):
        sae.threshold.data.abs_()
    return sae


def states(rows: int = 300, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(rows, D, generator=generator) + 1


def test_every_architecture_of_sae_lens_is_here() -> None:
    from sae_lens.registry import SAE_CLASS_REGISTRY

    assert sorted(architectures()) == sorted(TRAINED)
    covered = {"standard", "gated", "topk", "abstopk", "jumprelu", "matching_pursuit", "temporal"}
    assert set(SAE_CLASS_REGISTRY) == covered | set(UNTRAINED)


@pytest.mark.parametrize("architecture", TRAINED)
def test_trained(
    architecture: str, trained: Callable[[str], LoadedSae], noise_store: StateStore
) -> None:
    loaded = trained(architecture)
    result = check_sae(loaded, noise_store)
    assert result.violations == 0
    assert result.rows == noise_store.n_rows
    assert 0.3 < result.tightest <= 1
    assert result.active == int((loaded.encode(noise_store.take(3, np.arange(1440))) != 0).sum())
    require([result])


@pytest.mark.parametrize("architecture", TRAINED)
def test_an_encoder_scaled_after_its_weights_were_read(
    architecture: str, trained: Callable[[str], LoadedSae], noise_store: StateStore
) -> None:
    loaded = trained(architecture)
    known = encoder_bound(loaded.sae)
    tampered = copy.deepcopy(loaded.sae)
    tampered.W_dec.data.mul_(8)  # matching pursuit's features are the decoder's
    tampered.W_enc.data.mul_(1 if architecture == "matching_pursuit" else 8)
    result = check_sae(LoadedSae(tampered, 3, "tampered"), noise_store, known)
    assert result.violations > 0
    with pytest.raises(BoundViolationError, match=f"layer 3: {result.violations} of"):
        require([result])


@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "gated", "topk", "abstopk", "jumprelu"])
def test_what_is_done_to_the_input(architecture: str, subtract: bool, normalise: str) -> None:
    sae = random_sae(architecture, normalize_activations=normalise, apply_b_dec_to_input=subtract)
    known = encoder_bound(sae)
    with torch.no_grad():
        result = check_bound(sae.encode, known, [states()])
        scaled = check_bound(lambda h: 10 * sae.encode(h), known, [states()])
    assert result.violations == 0
    assert result.active > 100
    assert 0.2 < result.tightest <= 1
    assert scaled.violations > 0


@pytest.mark.parametrize("architecture", UNTRAINED)
def test_transcoders(architecture: str) -> None:
    sae = random_sae(architecture)
    with torch.no_grad():
        result = check_bound(sae.encode, encoder_bound(sae), [states()])
    assert (result.violations, result.active > 100) == (0, True)


@pytest.mark.parametrize("factor", [1.0, 0.1])
@pytest.mark.parametrize("tied", [True, False])
def test_temporal(tied: bool, factor: float) -> None:
    kind = "none" if factor == 1 else "constant_scalar_rescale"
    sae = random_sae(
        "temporal",
        tied_weights=tied,
        normalize_activations=kind,
        activation_normalization_factor=factor,
    )
    sequence = states(60)
    with torch.no_grad():
        result = check_bound(lambda h: sae.encode(h[None])[0], encoder_bound(sae), [sequence])
    assert (result.violations, result.active > 100) == (0, True)


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "matryoshka_batchtopk", "jumprelu"])
def test_training_classes(architecture: str) -> None:
    from sae_lens.registry import get_sae_training_class

    from l2_harness.analysis.sae.train_options import training_config

    options = TrainOptions(architecture=architecture, expansion=2, k=6)
    sae = get_sae_training_class(architecture)[0](training_config(options, D))
    sae.W_dec.data.mul_(torch.rand(64, 1) + 0.5)  # the decoder's norms count with topk
    with torch.no_grad():
        result = check_bound(sae.encode, encoder_bound(sae), [states()])
    assert (result.violations, result.active > 100) == (0, True)


def test_matching_pursuit_with_repeats_and_long_features() -> None:
    """Without its stop a feature is taken again and again; with ‖d‖² > 2 the residual grows."""
    for length, stop in ((1.0, False), (1.3, True), (1.6, True)):
        config = {"stop_on_duplicate_support": stop, "max_iterations": 6}
        sae = random_sae("matching_pursuit", **config)
        sae.W_dec.data.div_(sae.W_dec.data.norm(dim=-1, keepdim=True)).mul_(length)
        with torch.no_grad():
            result = check_bound(sae.encode, encoder_bound(sae), [states()])
        assert (result.violations, result.active > 100) == (0, True)


def test_limits_against_the_definition() -> None:
    sae = random_sae("jumprelu")
    h = states(5)
    limits, _ = encoder_bound(sae).limits(h, sae.encode(h).detach())
    for row in range(5):
        for i in range(64):
            w = sae.W_enc[:, i].detach().double().numpy()
            b = float((sae.b_enc[i].double() - sae.b_dec.double() @ torch.from_numpy(w)).detach())
            value = np.linalg.norm(w) * np.linalg.norm(h[row].double().numpy()) + b
            expected = value if value > float(sae.threshold[i].detach()) else 0.0
            assert float(limits[row, i]) == pytest.approx(max(expected, 0.0), rel=1e-6)


def test_a_state_along_its_feature_reaches_the_bound(
    standard_sae: Callable[..., LoadedSae],
) -> None:
    weights = torch.randn(D, 4, generator=torch.Generator().manual_seed(1))
    loaded = standard_sae(weights, bias=0.5)
    h = (weights * torch.tensor([1.0, 2.0, 3.0, 4.0])).T
    result = check_bound(loaded.encode, encoder_bound(loaded.sae), [h])
    assert result.tightest == pytest.approx(1, abs=1e-6)
    assert result.violations == 0  # rounding is no violation
    above = check_bound(lambda x: loaded.encode(x) * 1.001, encoder_bound(loaded.sae), [h])
    assert above.violations == 4


def test_activations_that_are_nan_are_violations() -> None:
    sae = random_sae("standard")
    nan = torch.full((2, 64), torch.nan)
    result = check_bound(lambda h: nan, encoder_bound(sae), [states(2)])
    assert result.violations == result.active == 128


def test_quantiles_against_numpy() -> None:
    shares = np.random.default_rng(0).beta(2, 5, 5000)
    result = BoundResult(0, "x")
    acts = torch.from_numpy(shares)[None].float()
    result.add(torch.ones(1, 5000, dtype=torch.float64), torch.zeros(1, 5000), acts)
    for q in (0.05, 0.5, 0.95):
        assert result.quantile(q) == pytest.approx(np.quantile(shares, q), abs=2e-3)


def test_an_unknown_architecture(standard_sae: Callable[..., LoadedSae]) -> None:
    loaded = standard_sae(torch.zeros(D, 3))
    loaded.sae.cfg.architecture = lambda: "new"
    with pytest.raises(ConfigError, match="no bound is known for the architecture 'new'"):
        encoder_bound(loaded.sae)


def test_the_command_ends_with_1(
    noise_store: StateStore,
    trained: Callable[[str], LoadedSae],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from typer.testing import CliRunner

    from l2_harness.cli.app import app
    from l2_harness.findings.section import read_section

    folder = trained("standard").source
    args = ["sae", "bound", str(noise_store.folder), "--sae", folder, "--out", str(tmp_path)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    section = read_section(tmp_path / "sae_bound")
    assert section.tables[0].frame["violations"].tolist() == [0]

    from sae_lens import StandardSAE

    encode = StandardSAE.encode
    monkeypatch.setattr(StandardSAE, "encode", lambda self, x: 5 * encode(self, x))
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert "activations exceed" in result.output
    assert read_section(tmp_path / "sae_bound").findings[0].startswith("VIOLATED")
