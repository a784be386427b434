"""The whole of ``l2-harness sae features``: choose, match, score, and test with injected tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from l2_harness.analysis.sae.contrast import contrast, held_means, score, select
from l2_harness.analysis.sae.feature_sets import FeatureSet, LayerFeatures
from l2_harness.analysis.sae.injection import InjectionResult, RunModel, injection_test
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.matching import matched_features
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.analysis.states.store import StateStore
from l2_harness.config.errors import ConfigError
from l2_harness.findings.least import QUESTIONS
from l2_harness.statistics.significance import holm

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """How features are chosen.

    Attributes:
        count: reasoning features a layer.
        by: ``difference`` of mean activation, or its standardised ``effect``.
        draws: of as many random features.
        top_tokens: a feature, for the injected-token test.
        injected_responses: of that test.
        seed: of everything that is drawn, but the halves (see :class:`Pairs`).
    """

    count: int = 10
    by: str = "difference"
    draws: int = 5
    top_tokens: int = 10
    injected_responses: int = QUESTIONS
    seed: int = 0


def choose_features(
    store: StateStore,
    saes: Sequence[LoadedSae],
    pairs: Pairs,
    options: FeatureOptions,
    progress: Callable[[int], Any] = lambda n: None,
) -> FeatureSet:
    """Reasoning features of every SAE and their random matches, on one half of the questions."""
    layers = []
    for loaded in saes:
        refuse_temporal(loaded)
        found = contrast(store, loaded, pairs)
        selected = select(found, options.count, options.by)
        random = matched_features(
            found.frequency, selected, options.draws, options.seed + loaded.layer
        )
        layers.append(
            LayerFeatures(
                loaded.layer,
                loaded.source,
                loaded.d_sae,
                tuple(selected),
                random,
                found.frequency[selected],
                found.frequency[random],
            )
        )
        progress(1)
    return FeatureSet(pairs, options.by, tuple(layers))


def score_table(
    store: StateStore,
    saes: Sequence[LoadedSae],
    features: FeatureSet,
) -> pd.DataFrame:
    """Every chosen feature on the held questions, a row a feature.

    Columns: ``layer``, ``feature``, ``kind`` (reasoning or random), ``frequency``, ``thinking``
    and ``direct`` (mean activation), ``difference`` and ``effect`` with ``_low`` and ``_high``,
    ``p`` and ``p_holm`` (over the features of that kind), ``replicates``: whether p_holm is
    below 0.05 with thinking the larger.
    """
    import pandas as pd

    frames = []
    for loaded in saes:
        own = features.of(loaded)
        means = held_means(store, loaded, features.pairs, own.all)
        found = score(means)
        kinds = ["reasoning"] * len(own.selected) + ["random"] * own.random.size
        frames.append(
            pd.DataFrame(
                {
                    "layer": loaded.layer,
                    "feature": own.all,
                    "kind": kinds,
                    "frequency": np.concatenate([own.frequency, own.random_frequency.ravel()]),
                    "thinking": means.thinking.mean(0),
                    "direct": means.direct.mean(0),
                    **vars(found),
                }
            )
        )
    table = pd.concat(frames, ignore_index=True)
    table["p_holm"] = np.nan
    for kind in ("reasoning", "random"):
        inside = table["kind"] == kind
        table.loc[inside, "p_holm"] = holm(table.loc[inside, "p"])
    table["replicates"] = (table["p_holm"] < 0.05) & (table["difference"] > 0)
    return table


def injection_table(
    store: StateStore,
    saes: Sequence[LoadedSae],
    features: FeatureSet,
    run: RunModel,
    options: FeatureOptions,
    text: Callable[[int], str] = str,
) -> pd.DataFrame:
    """The injected-token test of every reasoning feature, a row a feature.

    Columns: ``layer``, ``feature``, ``share`` and ``control`` with ``_low`` and ``_high``,
    ``questions``, ``at_tokens``, ``word_detector``, ``tokens`` (as ``text`` writes an id).
    """
    import pandas as pd

    rows = []
    for loaded in saes:
        results = injection_test(
            store,
            loaded,
            features.pairs,
            features.of(loaded).selected,
            run,
            top=options.top_tokens,
            responses=options.injected_responses,
            seed=options.seed,
        )
        rows += [_row(loaded.layer, result, text) for result in results]
    return pd.DataFrame(rows)


def _row(layer: int, result: InjectionResult, text: Callable[[int], str]) -> dict[str, Any]:
    row: dict[str, Any] = {"layer": layer, "feature": result.feature}
    for name, value in (("share", result.share), ("control", result.control)):
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return {
        **row,
        "questions": result.share.questions,
        "at_tokens": result.at_tokens,
        "word_detector": result.word_detector,
        "tokens": " ".join(repr(text(token)) for token in result.tokens),
    }


def with_word_detectors(features: FeatureSet, injected: pd.DataFrame) -> FeatureSet:
    """The features with what the injected-token test says of them."""
    flagged = injected[injected["word_detector"]]
    layers = tuple(
        replace(
            one,
            word_detectors=tuple(
                int(f) for f in flagged.loc[flagged["layer"] == one.layer, "feature"]
            ),
        )
        for one in features.layers
    )
    return replace(features, layers=layers)


def refuse_temporal(loaded: LoadedSae) -> None:
    """Raise ConfigError for an SAE that reads a whole text, of which only responses are here."""
    if loaded.architecture == "temporal":
        raise ConfigError(
            f"{loaded.source} is a temporal SAE: its activations depend on all tokens before, the "
            "prompt's too, and only responses' states are captured. l2-harness sae bound takes it."
        )
