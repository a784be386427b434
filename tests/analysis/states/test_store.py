"""Reading captured states, and the order of questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l2_harness.analysis.states.capture import CaptureOptions, capture
from l2_harness.analysis.states.questions import halves, question_id, question_order
from l2_harness.analysis.states.run_model import load_run_model
from l2_harness.analysis.states.store import StateStore, chunks
from l2_harness.analysis.states.wanted import wanted_responses
from l2_harness.config.errors import ConfigError
from l2_harness.norms import read_run_settings


@pytest.fixture(scope="module")
def store(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> StateStore:
    wanted = wanted_responses(llama.traces, llama.samples)
    run_id = wanted[0].key[0]
    model = load_run_model(read_run_settings(llama.traces, run_id), run_id, device="cpu")
    folder = tmp_path_factory.mktemp("states")
    capture(wanted, model, folder, CaptureOptions(layers=(1, 4), part_bytes=4 * 32 * 2 * 40))
    return StateStore(folder)


def test_rows_at_random(store: StateStore) -> None:
    assert len(list(store.folder.glob("part-*"))) > 2
    files = sorted(store.folder.glob("part-*/layer-004.npy"))
    whole = np.concatenate([np.load(f, allow_pickle=False) for f in files])
    rows = np.random.default_rng(0).integers(0, store.n_rows, 200)
    torch.testing.assert_close(store.take(4, rows), torch.from_numpy(whole[rows]))


@pytest.mark.parametrize("max_rows", [1, 17, 10_000])
def test_blocks_cover_every_response_once(store: StateStore, max_rows: int) -> None:
    chosen = store.responses(task="t_direct")[::-1]
    blocks = list(store.blocks(1, chosen, max_rows))
    assert np.concatenate([b.responses for b in blocks]).tolist() == chosen.tolist()
    assert all(len(b.states) <= max_rows or len(b.responses) == 1 for b in blocks)
    states = torch.cat([b.states for b in blocks])
    torch.testing.assert_close(states, store.take(1, store.rows_of(chosen)))
    norms = store.by_layer("norms", chosen)[:, 0]
    np.testing.assert_allclose(states.norm(dim=-1), norms, rtol=1e-5)


def test_input_tokens_stand_one_before_the_predicted(store: StateStore) -> None:
    (number,) = store.responses(task="t")[:1]
    tokens = store.values("tokens", np.array([number]))
    read = store.input_tokens(np.array([number]))
    assert read[1:].tolist() == tokens[:-1].tolist()
    assert read[0] == store.lists("prompt_ids", np.array([number]))[0][-1]


def test_a_layer_that_is_not_there(store: StateStore) -> None:
    with pytest.raises(ConfigError, match=r"layers 1\+4, and layer 2"):
        store.take(2, np.arange(3))


def test_no_states(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="l2-harness capture"):
        StateStore(tmp_path)


@given(st.lists(st.integers(1, 9), min_size=1), st.integers(1, 20))
def test_chunks_are_neighbours_within_the_limit(lengths: list[int], limit: int) -> None:
    found = list(chunks(np.array(lengths), limit))
    assert [i for start, end in found for i in range(start, end)] == list(range(len(lengths)))
    assert all(end - start == 1 or sum(lengths[start:end]) <= limit for start, end in found)
    # and as few as may be: no chunk could have taken the next one too
    for start, end in found[:-1]:
        assert sum(lengths[start : end + 1]) > limit


@given(st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=2), st.integers(0, 5))
def test_halves_are_disjoint_and_whole(questions: set[str], seed: int) -> None:
    first, second = halves(questions, seed)
    assert not set(first) & set(second)
    assert set(first) | set(second) == questions
    assert len(first) - len(second) in (0, 1)
    # the order of two questions does not depend on the others
    some = set(list(questions)[:2])
    kept = [q for q in question_order(questions, seed) if q in some]
    assert question_order(some, seed) == kept


def test_the_same_document_is_the_same_question() -> None:
    assert question_id({"a": 1, "b": "é"}, "x") == question_id({"b": "é", "a": 1}, "y")
    assert question_id({"a": 1}, "x") != question_id({"a": 2}, "x")
    assert question_id(None, "x" * 64) == "x" * 16
