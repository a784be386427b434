"""A detector of words is told from a feature that minds the text, with a stub for the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from l2_harness.analysis.sae.feature_tokens import feature_tokens
from l2_harness.analysis.sae.injection import how_many, inject, injection_test
from l2_harness.analysis.sae.loading import LoadedSae
from l2_harness.analysis.sae.pairs import pair_tasks
from l2_harness.analysis.states.forcing import KnownTokens
from l2_harness.analysis.states.store import StateStore

D = 32
WORD, REASONING, HALF = 0, 1, 2
WAIT = 50  # the word that component 0 stands for


def states_of(ids: np.ndarray, prompt_tokens: int, reasoning: bool) -> np.ndarray:
    """Component 0 reads the token; 1 and 2 know how the text came about, 2 reads it as well."""
    read = np.asarray(ids)[prompt_tokens - 1 :]
    states = np.full((len(read), D), 0.1)
    states[:, WORD] = read == WAIT
    states[:, REASONING] = reasoning * (read % 2)
    states[:, HALF] = (read == WAIT) * (2 if reasoning else 0.5)
    return states


@pytest.fixture(scope="module")
def store(
    write_states: Callable[..., StateStore], tmp_path_factory: pytest.TempPathFactory
) -> StateStore:
    rng = np.random.default_rng(0)
    responses: list[Any] = []
    for question in range(40):
        for task, rows in (("q", 40), ("q_direct", 12)):
            thinking = task == "q"
            tokens = rng.integers(3, 40, rows)
            if thinking:
                tokens[rng.random(rows) < 0.2] = WAIT
            known = KnownTokens.of([1, 2], tokens)
            states = states_of(known.ids, 2, thinking)
            responses.append((task, question, tokens.tolist(), {0: states}))
    return write_states(tmp_path_factory.mktemp("words"), responses)


def stub(known: Sequence[KnownTokens], layer: int) -> list[Tensor]:
    assert layer == 0
    return [torch.from_numpy(states_of(k.ids, k.prompt_tokens, False)).float() for k in known]


def test_words_come_back_and_reasoning_does_not(
    store: StateStore, standard_sae: Callable[..., LoadedSae]
) -> None:
    loaded = standard_sae(torch.eye(D))
    pairs = pair_tasks(store, None, None, 0)
    options = {"top": 3, "responses": 20}
    word, reasoning, half = injection_test(
        store, loaded, pairs, [WORD, REASONING, HALF], stub, **options
    )
    assert word.word_detector
    assert word.tokens == (WAIT,)
    assert word.share.value == pytest.approx(1, abs=0.25)
    assert word.share.low > 0.7
    assert word.at_tokens == pytest.approx(1)
    assert word.control.value == 0
    assert not reasoning.word_detector
    assert reasoning.share.value == 0
    assert reasoning.at_tokens == 0
    assert not half.word_detector
    assert half.share.value == pytest.approx(word.share.value / 4, abs=0.1)
    assert half.at_tokens == pytest.approx(0.25)


def test_tokens_against_the_definition(
    store: StateStore, standard_sae: Callable[..., LoadedSae]
) -> None:
    loaded = standard_sae(torch.eye(D))
    pairs = pair_tasks(store, None, None, 0)
    found = feature_tokens(store, loaded, pairs, [WORD, REASONING], 4)
    responses = store.responses(task="q", questions=pairs.chosen_on)
    ids = store.input_tokens(responses)
    assert found.tokens[0] == (WAIT,)
    assert found.share[0] == pytest.approx((ids == WAIT).mean())
    assert found.mean[0] == pytest.approx(1)
    assert all(token % 2 for token in found.tokens[1])
    assert len(found.tokens[1]) == 4
    assert found.weights[1].sum() == pytest.approx(1)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.lists(st.integers(20, 29), max_size=5),
    st.integers(0, 99),
)
def test_where_inserted_tokens_stand(response: list[int], tokens: list[int], seed: int) -> None:
    prompt = np.array([7, 8])
    rng = np.random.default_rng(seed)
    found = inject(prompt, np.array(response), np.array(tokens, dtype=np.int64), rng)
    read = found.known.ids[len(prompt) - 1 :]  # a row's own token
    assert read[found.places].tolist() == tokens
    kept = np.delete(found.known.predicted, found.places - 1)
    assert kept.tolist() == response
    assert found.known.predicted[-1] == response[-1]
    assert len(found.known.predicted) == len(response) + len(tokens)


def test_density() -> None:
    assert how_many(12, 0.25) == 4  # 4 of 16 rows
    assert how_many(3, 0.001) == 1
    assert how_many(5, 1.0) == 100
