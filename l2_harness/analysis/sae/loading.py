"""SAEs from a folder or a sae-lens release, checked against the states that they are to read."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.analysis.sae.lens import quiet, sae_lens
from l2_harness.config.errors import ConfigError, nearest
from l2_harness.paths import expanded

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from l2_harness.analysis.states.store import StateStore

_CONFIG = "cfg.json"
_HOW = "Pass --sae with a folder, or with RELEASE:ID of sae-lens; add @LAYER to say which layer."

#: Scalings that sae-lens folds into the weights where it knows them, and else leaves out.
_NOT_FOLDED = ("expected_average_only_in", "covariance_whitening")

#: Numbers that the activations of one block may come to.
_ELEMENTS = 2**24


@dataclass(frozen=True)
class SaeSource:
    """Where an SAE is: ``FOLDER[@LAYER]`` or ``RELEASE:ID[@LAYER]``.

    Attributes:
        folder: of sae-lens' files, or None.
        release, sae_id: of sae-lens' list or a hub repository, or None.
        layer: as given, or None where the SAE's own metadata are to say it.
    """

    folder: Path | None = None
    release: str | None = None
    sae_id: str | None = None
    layer: int | None = None

    def __str__(self) -> str:
        return str(self.folder) if self.folder is not None else f"{self.release}:{self.sae_id}"


@dataclass(frozen=True, eq=False)
class LoadedSae:
    """An SAE and the layer whose output it reads.

    Attributes:
        sae: sae-lens' object, float32.
        layer: decoder layer, from 0.
        source: where it was loaded from, in words.
    """

    sae: Any
    layer: int
    source: str

    @property
    def architecture(self) -> str:
        """Its name in sae-lens' registry."""
        return str(self.sae.cfg.architecture())

    @property
    def d_sae(self) -> int:
        """How many features."""
        return int(self.sae.cfg.d_sae)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        device: torch.device = self.sae.W_dec.device
        return device

    @property
    def rows_at_once(self) -> int:
        """Rows whose activations may be held at once."""
        return max(_ELEMENTS // self.d_sae, 1)

    def encode(self, states: Tensor, features: Sequence[int] | None = None) -> Tensor:
        """(rows, d_sae) activations of states (rows, d), on the host; only those of ``features``.

        A block with more rows than may be held at once is encoded in pieces.
        """
        import torch

        with torch.no_grad():
            pieces = []
            for piece in states.split(self.rows_at_once):
                acts = self.sae.encode(piece.to(self.device))
                pieces.append((acts if features is None else acts[:, list(features)]).cpu())
            return torch.cat(pieces)


def parse_source(text: str) -> list[SaeSource]:
    """The SAEs that one ``--sae`` names: several for a folder of SAE folders.

    Raises:
        ConfigError: neither a folder with SAEs nor RELEASE:ID.
    """
    match = re.fullmatch(r"(.*)@(\d{1,5})", text)
    name, layer = (match[1], int(match[2])) if match else (text, None)
    path = expanded(name)
    if path.is_dir():
        if (path / _CONFIG).is_file():
            return [SaeSource(folder=path, layer=layer)]
        inside = sorted(p.parent for p in path.glob(f"*/{_CONFIG}"))
        if not inside or layer is not None:
            raise ConfigError(f"--sae {text}: {path} holds no {_CONFIG}, so it is no SAE. {_HOW}")
        return [SaeSource(folder=one) for one in inside]
    release, colon, sae_id = name.partition(":")
    if not (colon and release and sae_id):
        raise ConfigError(f"--sae {text}: no such folder, and no RELEASE:ID. {_HOW}")
    return [SaeSource(release=release, sae_id=sae_id, layer=layer)]


def load_sae(source: SaeSource, device: str = "cpu") -> LoadedSae:
    """Load an SAE and find out which layer's output it reads.

    Raises:
        ConfigError: no such release or id, a folder that isn't an SAE's, weights that are no
            numbers, a hook that is not the residual stream after a decoder layer.
    """
    package = sae_lens()
    try:
        if source.folder is not None:
            with quiet():
                sae = package.SAE.load_from_disk(source.folder, device=device, dtype="float32")
        else:  # with its warnings and the hub's progress bars
            sae = package.SAE.from_pretrained(
                release=source.release, sae_id=source.sae_id, device=device, dtype="float32"
            )
    except Exception as error:  # whatever sae-lens and safetensors make of a damaged file
        reason = " ".join(_reason(source, error).split())
        raise ConfigError(f"--sae {source} can't be loaded: {reason}") from error
    sae.eval()
    _check_numbers(sae, source)
    if sae.cfg.normalize_activations in _NOT_FOLDED:
        warnings.warn(
            f"{source} was trained on scaled states (normalize_activations="
            f"{sae.cfg.normalize_activations}) and the scale is not in its weights: its "
            "activations on plain states are not what it was trained to give.",
            stacklevel=2,
        )
    return LoadedSae(sae, _layer(sae, source), str(source))


def load_saes(names: Sequence[str], store: StateStore, device: str = "cpu") -> list[LoadedSae]:
    """The SAEs that all ``--sae`` name, by layer, each checked against the states.

    Raises:
        ConfigError: none, two for one layer, or one that does not fit.
    """
    if not names:
        raise ConfigError(f"no SAE is given. {_HOW}")
    loaded = [load_sae(source, device) for name in names for source in parse_source(name)]
    by_layer: dict[int, LoadedSae] = {}
    for one in loaded:
        if one.layer in by_layer:
            raise ConfigError(
                f"{by_layer[one.layer].source} and {one.source} both read layer {one.layer}: "
                "pass one a layer."
            )
        check(one, store)
        by_layer[one.layer] = one
    return [by_layer[layer] for layer in sorted(by_layer)]


def check(loaded: LoadedSae, store: StateStore) -> None:
    """Raise ConfigError where an SAE can't read these states."""
    d_in = int(loaded.sae.cfg.d_in)
    if d_in != store.d_model:
        raise ConfigError(
            f"{loaded.source} takes states of {d_in} components, and those in {store.folder} have "
            f"{store.d_model}: it is another model's ({loaded.sae.cfg.metadata.model_name})."
        )
    if loaded.layer not in store.layers:
        raise ConfigError(
            f"{loaded.source} reads layer {loaded.layer}, and {store.folder} holds the layers "
            f"{'+'.join(map(str, store.layers))}: capture that layer, or pass another SAE."
        )
    record = loaded.sae.cfg.metadata.l2_harness or {}
    trained_on = record.get("states", {}).get("weights")
    if trained_on and store.settings.get("weights") not in (None, trained_on):
        raise ConfigError(
            f"{loaded.source} was trained on states of other weights (fingerprint {trained_on}, "
            f"here {store.settings['weights']}): it is another model's."
        )


def _check_numbers(sae: Any, source: SaeSource) -> None:
    for name, weight in sae.state_dict().items():
        # a feature that never fires may have a threshold of infinity
        if weight.isnan().any() or (name != "threshold" and weight.isinf().any()):
            raise ConfigError(
                f"--sae {source}: its {name} has values that are not finite, so that its "
                "activations are no numbers. Train it anew, or pass another one."
            )


def _layer(sae: Any, source: SaeSource) -> int:
    metadata = sae.cfg.metadata
    hooks = [h for h in (metadata.hf_hook_name, metadata.hook_name) if h]
    found = {layer for layer in map(_hook_layer, hooks) if layer is not None}
    if source.layer is not None:
        if found and source.layer not in found:
            raise ConfigError(
                f"{source}@{source.layer}: the SAE's own metadata say layer {min(found)} "
                f"({hooks[0]})."
            )
        return source.layer
    if hooks and not found:
        raise ConfigError(
            f"{source} reads {hooks[0]!r}, and states are the residual stream after a decoder "
            "layer (blocks.N.hook_resid_post). Pass an SAE of that, or add @LAYER if its name "
            "for it is unusual."
        )
    if not found:
        raise ConfigError(f"{source} does not say which layer it reads: add @LAYER to it.")
    return found.pop()


def _hook_layer(hook: str) -> int | None:
    """The decoder layer whose output a hook is, or None for any other place."""
    if match := re.fullmatch(r"blocks\.(\d{1,5})\.hook_resid_post", hook):
        return int(match[1])
    if match := re.fullmatch(r"blocks\.(\d{1,5})\.hook_resid_pre", hook):
        return int(match[1]) - 1 if int(match[1]) else None  # the output of the layer before
    if match := re.fullmatch(r"(?:.+\.)?(?:layers|h|blocks)\.(\d{1,5})", hook):
        return int(match[1])
    return None


def _reason(source: SaeSource, error: Exception) -> str:
    if source.folder is not None and isinstance(error, KeyError):
        from sae_lens.registry import SAE_CLASS_REGISTRY

        return (
            f"sae-lens has no SAE class or setting {error} to run. A training checkpoint has to be "
            f"saved with save_inference_model first. Classes: {', '.join(SAE_CLASS_REGISTRY)}."
        )
    if source.release is not None and "not found in pretrained" in str(error):
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        match = nearest(source.release, get_pretrained_saes_directory())
        hint = f"; did you mean {match!r}?" if match else "."
        return f"sae-lens knows no release {source.release!r}{hint}"
    return str(error)
