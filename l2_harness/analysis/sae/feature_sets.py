"""The chosen features of every layer, as ``features.json`` keeps them for the other commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.config.errors import ConfigError
from l2_harness.json_text import check_shape, parse_json
from l2_harness.whole_files import write_atomically

FILE = "features.json"
_SHAPE = {
    **{"thinking": str, "direct": str, "seed": int, "by": str, "chosen_on": [str], "held": [str]},
    "layers": [
        {
            **{"layer": int, "sae": str, "d_sae": int, "selected": [int], "frequency": [float]},
            **{"random": [[int]], "random_frequency": [[float]], "word_detectors": (list, None)},
        }
    ],
}


@dataclass(frozen=True, eq=False)
class LayerFeatures:
    """One layer's.

    Attributes:
        layer: decoder layer.
        source: the SAE that they are features of.
        d_sae: its size.
        selected: reasoning features, the strongest contrast first.
        random: (draws, selected) matched in frequency.
        frequency: (selected,) theirs, on the questions that they were chosen on.
        random_frequency: (draws, selected) the matches'.
        word_detectors: those of the selected that fire on words alone; None where the
            injected-token test was not run.
    """

    layer: int
    source: str
    d_sae: int
    selected: tuple[int, ...]
    random: np.ndarray
    frequency: np.ndarray
    random_frequency: np.ndarray
    word_detectors: tuple[int, ...] | None = None

    def without_words(self) -> LayerFeatures:
        """Those that are no detectors of words, with their matches.

        Raises:
            ConfigError: the injected-token test was not run.
        """
        if self.word_detectors is None:
            raise ConfigError(
                "--without-words needs the injected-token test: run l2-harness sae features "
                "without --injected 0."
            )
        kept = [i for i, f in enumerate(self.selected) if f not in self.word_detectors]
        return replace(
            self,
            selected=tuple(self.selected[i] for i in kept),
            random=self.random[:, kept],
            frequency=self.frequency[kept],
            random_frequency=self.random_frequency[:, kept],
        )

    @property
    def all(self) -> list[int]:
        """The selected ones, then the draws one after another."""
        return [*self.selected, *(int(i) for i in self.random.ravel())]


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What was chosen, and on which questions."""

    pairs: Pairs
    by: str
    layers: tuple[LayerFeatures, ...]

    def of(self, loaded: LoadedSae) -> LayerFeatures:
        """Those of an SAE.

        Raises:
            ConfigError: none were chosen of it.
        """
        for one in self.layers:
            if one.layer == loaded.layer and one.d_sae == loaded.d_sae:
                return one
        chosen = "+".join(str(one.layer) for one in self.layers)
        raise ConfigError(
            f"the features were chosen of SAEs at the layers {chosen}, not of {loaded.source} "
            f"(layer {loaded.layer}, {loaded.d_sae} features): run l2-harness sae features with it."
        )

    def without_words(self) -> FeatureSet:
        """Without detectors of words; a layer that has only such is left out.

        Raises:
            ConfigError: the injected-token test was not run, or every feature is one.
        """
        layers = tuple(one for one in (own.without_words() for own in self.layers) if one.selected)
        if not layers:
            raise ConfigError("every chosen feature is flagged as a detector of words.")
        return replace(self, layers=layers)

    def readers(self, saes: Sequence[LoadedSae]) -> list[LoadedSae]:
        """Those SAEs whose layer has features here."""
        layers = {one.layer for one in self.layers}
        return [loaded for loaded in saes if loaded.layer in layers]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        content = {
            "thinking": self.pairs.thinking,
            "direct": self.pairs.direct,
            "seed": self.pairs.seed,
            "by": self.by,
            "chosen_on": list(self.pairs.chosen_on),
            "held": list(self.pairs.held),
            "layers": [
                {
                    "layer": one.layer,
                    "sae": one.source,
                    "d_sae": one.d_sae,
                    "selected": list(one.selected),
                    "frequency": one.frequency.tolist(),
                    "random": one.random.tolist(),
                    "random_frequency": one.random_frequency.tolist(),
                    "word_detectors": one.word_detectors,
                }
                for one in self.layers
            ],
        }
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read_features(path: Path) -> FeatureSet:
    """What :meth:`FeatureSet.write` wrote; ``path`` is the file or its folder.

    Raises:
        ConfigError: it isn't there, or isn't that.
    """
    file = path / FILE if path.is_dir() else path
    try:
        content = parse_json(file.read_bytes())
        check_shape(content, _SHAPE)
        pairs = Pairs(
            str(content["thinking"]),
            str(content["direct"]),
            int(content["seed"]),
            tuple(content["chosen_on"]),
            tuple(content["held"]),
        )
        return FeatureSet(pairs, content["by"], tuple(map(_layer, content["layers"])))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{file} isn't there: write it with l2-harness sae features STATES --sae …"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is no list of features ({error!r}): write it anew.") from error


def _layer(content: dict[str, Any]) -> LayerFeatures:
    words = content["word_detectors"]
    found = LayerFeatures(
        content["layer"],
        content["sae"],
        content["d_sae"],
        tuple(content["selected"]),
        np.array(content["random"], dtype=np.int64),
        np.array(content["frequency"], dtype=np.float64),
        np.array(content["random_frequency"], dtype=np.float64),
        None if words is None else tuple(words),
    )
    size, shape = len(found.selected), found.random.shape
    if len(shape) != 2 or shape[1] != size or found.random_frequency.shape != shape:
        raise ValueError(f"random is {shape}, of {size} selected features")
    if found.frequency.shape != (size,):
        raise ValueError(f"frequency is {found.frequency.shape}, of {size} selected features")
    if not all(0 <= feature < found.d_sae for feature in found.all):
        raise ValueError(f"a feature that an SAE of {found.d_sae} doesn't have")
    return found
