"""Whether a feature merely fires on words: its own tokens, put into text that does not reason.

The tokens on which a feature is most active in thinking responses are inserted into direct
responses to held questions, as densely as they stand in thinking responses, and the model runs
over the result. What share of the contrast comes back? A feature of reasoning should not mind;
one that detects words comes back whole (after arXiv 2601.05679). The control inserts as many other
tokens of thinking responses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from l2_harness.analysis.sae.feature_tokens import FeatureTokens, feature_tokens
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import Pairs
from l2_harness.analysis.states.forcing import KnownTokens
from l2_harness.analysis.states.store import StateStore
from l2_harness.findings.least import QUESTIONS
from l2_harness.statistics.design import Design
from l2_harness.statistics.estimate import Estimate, Floats
from l2_harness.statistics.intervals import mean_estimates
from l2_harness.statistics.ratios import linear_shifts

#: Known tokens and a layer → the states of each one's rows at that layer, (T, d) each.
RunModel = Callable[[Sequence[KnownTokens], int], list[Tensor]]

#: From this share of the contrast on, a feature counts as a detector of words.
WORD_DETECTOR = 0.5


@dataclass(frozen=True, eq=False)
class Injected:
    """A direct response with tokens put into it.

    Attributes:
        known: to be run.
        places: (n,) rows that stand at an inserted token.
    """

    known: KnownTokens
    places: np.ndarray


def inject(
    prompt: np.ndarray, response: np.ndarray, tokens: np.ndarray, rng: np.random.Generator
) -> Injected:
    """Insert tokens between those of a response, anywhere before its last one.

    Row 0 stands at the prompt's last token, so that the first place is row 1.
    """
    gaps = np.sort(rng.integers(0, len(response), size=len(tokens)))
    # the token inserted k-th into gap g comes after g own ones and k inserted ones
    ids = np.insert(response, gaps, tokens)
    return Injected(KnownTokens.of(prompt, ids), gaps + np.arange(len(tokens)) + 1)


def how_many(rows: int, share: float) -> int:
    """Tokens to insert for them to be a share of the rows, at least one."""
    return max(1, round(rows * share / max(1 - share, 0.05)))


@dataclass(frozen=True, eq=False)
class InjectionResult:
    """What came of one feature.

    Attributes:
        feature: its number.
        tokens: the ids that were inserted.
        share: of the contrast that they bring back.
        control: the same with other tokens.
        at_tokens: mean activation at the inserted tokens, as a share of that at the same tokens
            in thinking responses.
        word_detector: whether the share is at least WORD_DETECTOR and its interval excludes 0.
    """

    feature: int
    tokens: tuple[int, ...]
    share: Estimate
    control: Estimate
    at_tokens: float

    @property
    def word_detector(self) -> bool:
        """See the attribute."""
        return bool(self.share.value >= WORD_DETECTOR and self.share.low > 0)


def injection_test(
    store: StateStore,
    loaded: LoadedSae,
    pairs: Pairs,
    features: Sequence[int],
    run: RunModel,
    *,
    top: int = 10,
    responses: int = QUESTIONS,
    seed: int = 0,
) -> list[InjectionResult]:
    """The test of some features of one SAE.

    Args:
        store: the states.
        loaded: the SAE.
        pairs: the tasks and halves.
        features: which ones.
        run: the model.
        top: tokens a feature.
        responses: direct responses, to the first so many held questions.
        seed: of where tokens go.
    """
    words = feature_tokens(store, loaded, pairs, features, top)
    chosen = _responses(store, pairs, responses)
    before = _means(store, loaded, chosen.direct, features)
    thinking = _means(store, loaded, chosen.thinking, features)
    results = []
    for column, feature in enumerate(features):
        rng = np.random.default_rng([seed, loaded.layer, feature])
        draw = _Draw(words, column, rng)
        own, at_own = _injected(run, loaded, chosen, feature, draw.own, float(words.share[column]))
        other, _ = _injected(run, loaded, chosen, feature, draw.other, float(words.share[column]))
        gap = thinking[:, column] - before[:, column]
        results.append(
            InjectionResult(
                feature,
                words.tokens[column],
                _share(own - before[:, column], gap),
                _share(other - before[:, column], gap),
                at_own / float(words.mean[column]) if words.mean[column] > 0 else float("nan"),
            )
        )
    return results


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A direct and a thinking response to each of some questions."""

    questions: np.ndarray
    direct: np.ndarray
    thinking: np.ndarray
    prompts: list[np.ndarray]
    tokens: list[np.ndarray]


def _responses(store: StateStore, pairs: Pairs, count: int) -> _Chosen:
    index = store.index
    questions = list(pairs.held[:count])

    def first(task: str) -> np.ndarray:
        own = index[index["task"] == task].reset_index()
        positions = own.drop_duplicates("question").set_index("question")["index"]
        return positions.loc[questions].to_numpy()

    direct = first(pairs.direct)
    return _Chosen(
        np.array(questions),
        direct,
        first(pairs.thinking),
        store.lists("prompt_ids", direct),
        store.lists("tokens", direct),
    )


def _means(
    store: StateStore, loaded: LoadedSae, responses: np.ndarray, features: Sequence[int]
) -> Floats:
    """(responses, features) mean activation over each one's rows, as captured."""
    found = []
    for block in store.blocks(loaded.layer, responses, loaded.rows_at_once):
        acts = loaded.encode(block.states, features).double().numpy()
        parts = np.split(acts, np.cumsum(block.lengths)[:-1])
        found += [part.mean(0) for part in parts]
    return np.array(found)


@dataclass(frozen=True, eq=False)
class _Draw:
    """Tokens to insert for one feature: its own, or others of thinking responses."""

    words: FeatureTokens
    column: int
    rng: np.random.Generator

    def own(self, n: int) -> np.ndarray:
        """``n`` of the feature's tokens, as often as they stand in thinking responses."""
        tokens = np.array(self.words.tokens[self.column], dtype=np.int64)
        if not len(tokens):
            return tokens
        return self.rng.choice(tokens, size=n, p=self.words.weights[self.column])

    def other(self, n: int) -> np.ndarray:
        """``n`` of the other tokens, likewise."""
        keep = ~np.isin(self.words.vocabulary, self.words.tokens[self.column])
        counts = self.words.counts[keep]
        return self.rng.choice(self.words.vocabulary[keep], size=n, p=counts / counts.sum())


def _injected(
    run: RunModel,
    loaded: LoadedSae,
    chosen: _Chosen,
    feature: int,
    draw: Callable[[int], np.ndarray],
    share: float,
) -> tuple[Floats, float]:
    """(responses,) mean activation with tokens inserted, and the mean at these tokens."""
    rng = np.random.default_rng([feature, loaded.layer])  # the same places for both kinds
    texts = [
        inject(prompt, tokens, draw(how_many(len(tokens), share)), rng)
        for prompt, tokens in zip(chosen.prompts, chosen.tokens, strict=True)
    ]
    means, at_tokens = [], []
    for text, states in zip(texts, run([t.known for t in texts], loaded.layer), strict=True):
        acts = loaded.encode(states.float(), [feature])[:, 0].double().numpy()
        means.append(acts.mean())
        at_tokens.append(acts[text.places])
    return np.array(means), float(np.concatenate(at_tokens).mean())


def _share(gain: Floats, gap: Floats) -> Estimate:
    """Σ gain / Σ gap with its interval over questions; nan where there is no gap."""
    shifts = linear_shifts(gain[:, None], gap[:, None])
    return mean_estimates(shifts, Design.of(len(gain)), bounded=False)[0]
