"""Captured states against plain forward passes and against decoding's own norms."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from l2_harness.analysis.sae.model_runs import runner
from l2_harness.analysis.states import capture as capturing
from l2_harness.analysis.states import layout
from l2_harness.analysis.states.capture import CaptureOptions, capture
from l2_harness.analysis.states.forcing import KnownTokens, TeacherForcing
from l2_harness.analysis.states.run_model import RunModel, load_run_model
from l2_harness.analysis.states.store import StateStore
from l2_harness.analysis.states.wanted import Wanted, wanted_responses
from l2_harness.config.errors import ConfigError
from l2_harness.norms import read_run_settings
from l2_harness.whole_files import only_writer

ALL = CaptureOptions(layers=(0, 1, 2, 3, 4), batch_size=3)
SMALL_PARTS = replace(ALL, part_bytes=4 * 32 * 5 * 30)  # some 30 rows a part


def wanted_and_model(run: Any, **options: Any) -> tuple[list[Wanted], RunModel]:
    wanted = wanted_responses(run.traces, run.samples)
    run_id = wanted[0].key[0]
    settings = read_run_settings(run.traces, run_id)
    return wanted, load_run_model(settings, run_id, device="cpu", **options)


@torch.no_grad()
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt-neox"])
def test_entropies_of_layers(family: str, record: Callable[..., Any], tmp_path: Path) -> None:
    """Against the model's own attention weights, and its head on its own states."""
    wanted, model = wanted_and_model(record(family))
    capture(wanted, model, tmp_path, replace(ALL, entropies=True))
    store = StateStore(tmp_path)
    base = model.causal_lm.base_model
    for number in (0, 7):
        own = np.array([number])
        ids = np.concatenate([store.lists("prompt_ids", own)[0], store.lists("tokens", own)[0]])
        plain = model.causal_lm(
            torch.from_numpy(ids[:-1].astype(np.int64))[None],
            output_hidden_states=True,
            output_attentions=True,
            use_cache=False,
        )
        n_rows = len(store.rows_of(own))
        found = store.by_layer("attention_entropy", own)
        for layer, weights in enumerate(plain.attentions):
            rows = weights[0, :, -n_rows:].double().numpy()
            expected = scipy.stats.entropy(rows, axis=-1).mean(0)
            np.testing.assert_allclose(found[:, layer], expected, rtol=1e-3, atol=1e-4)
        lens = store.by_layer("lens_entropy", own)
        np.testing.assert_allclose(lens[:, -1], store.values("entropy", own), rtol=1e-3, atol=1e-4)
        if family == "llama":
            logits = model.causal_lm.lm_head(base.norm(plain.hidden_states[2][0, -n_rows:]))
            expected = scipy.stats.entropy(logits.double().softmax(-1).numpy(), axis=-1)
            np.testing.assert_allclose(lens[:, 1], expected, rtol=1e-3, atol=1e-4)


def test_a_folder_with_entropies_is_another(record: Callable[..., Any], tmp_path: Path) -> None:
    wanted, model = wanted_and_model(record("llama"))
    capture(wanted, model, tmp_path, ALL)
    with pytest.raises(ConfigError, match="holds states with entropies=False"):
        capture(wanted, model, tmp_path, replace(ALL, entropies=True))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "qwen3-moe", "granite"])
def test_states_are_those_of_plain_passes(
    family: str, record: Callable[..., Any], tmp_path: Path
) -> None:
    wanted, model = wanted_and_model(record(family))
    settings = capture(wanted, model, tmp_path, ALL)
    assert settings["max_norm_deviation"] <= 1e-4
    assert settings["max_entropy_deviation"] <= 1e-3
    store = StateStore(tmp_path)
    assert store.n_rows == sum(len(w.tokens) for w in wanted)
    for number in (0, 5, 13):
        one = store.index.iloc[number]
        known = next(w for w in wanted if w.key == tuple(one[name] for name in layout.KEY))
        prompt = model.lm.tokenizer(known.prompt, return_tensors="pt")["input_ids"][0]
        assert len(prompt) == known.prompt_tokens
        ids = torch.cat([prompt, torch.from_numpy(known.tokens[:-1])])[None]
        with torch.no_grad():
            plain = model.causal_lm(ids, output_hidden_states=True, use_cache=False)
        here = slice(len(prompt) - 1, None)
        rows = store.rows_of(np.array([number]))
        for layer in range(4):  # the last entry of hidden_states is normed
            expected = plain.hidden_states[layer + 1][0]
            torch.testing.assert_close(
                store.take(layer, rows), expected[here], rtol=1e-4, atol=1e-4
            )
            moved = (expected[1:] - expected[:-1]).norm(dim=-1)[len(prompt) - 2 :]
            change = store.by_layer("change", np.array([number]))[:, layer]
            np.testing.assert_allclose(change, moved, rtol=1e-3, atol=1e-4)
        log_probs = plain.logits[0, here].log_softmax(-1)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        top = plain.logits[0, here].topk(2).values
        own = np.array([number])
        np.testing.assert_allclose(store.values("entropy", own), entropy, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(store.values("margin", own), top[:, 0] - top[:, 1], atol=1e-3)
        picked = log_probs[torch.arange(len(known.tokens)), torch.from_numpy(known.tokens)]
        np.testing.assert_allclose(store.values("logprob", own), picked, rtol=1e-3, atol=1e-4)


def test_a_pass_for_one_layer_ends_with_it(llama: Any, tmp_path: Path) -> None:
    wanted, model = wanted_and_model(llama)
    capture(wanted, model, tmp_path, ALL)
    store = StateStore(tmp_path)
    one = store.index.iloc[5]
    known = next(w for w in wanted if w.key == tuple(one[name] for name in layout.KEY))
    prompt = np.asarray(model.lm.tokenizer(known.prompt)["input_ids"])
    ran: list[int] = []
    for layer, module in enumerate(model.decoder_layers):
        module.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    (states,) = runner(model)([KnownTokens.of(prompt, known.tokens)], 2)
    assert ran == [0, 1, 2]
    expected = store.take(2, store.rows_of(np.array([5])))
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-4)


def test_norms_without_outliers(llama: Any, tmp_path: Path) -> None:
    import pandas as pd

    wanted, model = wanted_and_model(llama)
    settings = capture(wanted, model, tmp_path, replace(ALL, outlier_dims=2))
    store = StateStore(tmp_path)
    table = pd.read_parquet(tmp_path / layout.WITHOUT_OUTLIERS)
    assert list(table.columns) == [*layout.KEY, "layers", "norms"]
    states = store.take(3, np.arange(store.n_rows))
    largest = states.square().mean(0).argsort(descending=True)[:2]
    assert settings["outlier_dims"]["3"] == largest.tolist()
    states[:, largest] = 0
    flat = np.concatenate([n.reshape(-1, 5) for n in table["norms"]])
    np.testing.assert_allclose(flat[:, 3], states.norm(dim=-1), rtol=1e-5)
    assert table["norms"].iloc[0].dtype == np.float32


@pytest.mark.process
def test_a_killed_capture_goes_on(llama: Any, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from l2_harness.analysis.states.capture import CaptureOptions, capture
from l2_harness.analysis.states.run_model import load_run_model
from l2_harness.analysis.states.wanted import wanted_responses
from l2_harness.analysis.states import part_writer
from l2_harness.norms import read_run_settings
wanted = wanted_responses({str(llama.traces)!r}, {str(llama.samples)!r})
run_id = wanted[0].key[0]
model = load_run_model(read_run_settings({str(llama.traces)!r}, run_id), run_id, device="cpu")
write = part_writer.PartWriter._write_index
def killing(self):
    if len(list(Path({str(tmp_path)!r}).glob("part-*"))) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self)
part_writer.PartWriter._write_index = killing
options = CaptureOptions(layers=(0, 1, 2, 3, 4), batch_size=3, part_bytes={SMALL_PARTS.part_bytes})
capture(wanted, model, Path({str(tmp_path)!r}), options)
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    before = [p.name for p in layout.part_folders(tmp_path)]
    assert len(before) == 2
    assert len(list(tmp_path.glob(".part-*.tmp"))) == 1
    assert not layout.read_settings(tmp_path)["complete"]
    wanted, model = wanted_and_model(llama)
    done: list[int] = []
    settings = capture(wanted, model, tmp_path, SMALL_PARTS, done.append)
    assert done[0] > 0  # what was there
    assert sum(done) == len(wanted) == settings["responses"]
    assert [p.name for p in layout.part_folders(tmp_path)][:2] == before
    assert not list(tmp_path.glob(".part-*.tmp"))
    whole = tmp_path.with_name("whole")
    capture(wanted, model, whole, ALL)
    first, second = StateStore(tmp_path), StateStore(whole)
    for key in [w.key for w in wanted]:
        rows = []
        for store in (first, second):
            same = (store.index[list(layout.KEY)] == list(key)).all(axis=1)
            rows.append(store.take(2, store.rows_of(np.flatnonzero(same))))
        torch.testing.assert_close(*rows, rtol=1e-5, atol=1e-5)


def test_batches_stay_in_their_budget(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, model = wanted_and_model(llama)
    sizes = []
    run = TeacherForcing.run

    def watched(self: TeacherForcing, batch: Any, *args: Any) -> Any:
        sizes.append((len(batch), len(batch) * max(len(k.ids) for k in batch)))
        return run(self, batch, *args)

    monkeypatch.setattr(TeacherForcing, "run", watched)
    capture(wanted, model, tmp_path, replace(ALL, batch_size=4, batch_tokens=70))
    assert all(n == 1 or (n <= 4 and positions <= 70) for n, positions in sizes)
    assert max(n for n, _ in sizes) > 1
    assert sum(n for n, _ in sizes) == len(wanted)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_storage_rounds_and_nothing_else(llama: Any, tmp_path: Path, dtype: str) -> None:
    wanted, model = wanted_and_model(llama)
    capture(wanted, model, tmp_path / "wide", ALL)
    settings = capture(wanted, model, tmp_path / "narrow", replace(ALL, dtype=dtype))
    assert settings["max_norm_deviation"] <= 1e-4  # of what the model gave
    rows = np.arange(StateStore(tmp_path / "wide").n_rows)
    wide = StateStore(tmp_path / "wide").take(4, rows)
    narrow = StateStore(tmp_path / "narrow").take(4, rows)
    torch.testing.assert_close(narrow, wide.to(getattr(torch, dtype)).float(), rtol=0, atol=0)


def test_another_model_is_noticed(
    record: Callable[..., Any], llama: Any, tiny_model: Callable[..., Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.layers[3].mlp.down_proj.weight[0, 0] += 1.0
    model.save_pretrained(other)
    for file in llama.model.glob("tokenizer*"):
        shutil.copy(file, other)
    wanted, loaded = wanted_and_model(llama, pretrained=str(other))
    with pytest.raises(ConfigError, match=r"at layer [34] of task t.*weights .* are others"):
        capture(wanted, loaded, tmp_path / "states", ALL)
    assert not layout.part_folders(tmp_path / "states")
    assert not list((tmp_path / "states").glob(".part-*.tmp"))


def test_another_dtype_is_named(llama: Any, tmp_path: Path) -> None:
    wanted, model = wanted_and_model(llama, model_dtype="bfloat16")
    with pytest.raises(ConfigError, match=r"loaded as bfloat16, and the run's is float32"):
        capture(wanted, model, tmp_path, ALL)


def test_another_prompt_is_noticed(llama: Any, tmp_path: Path) -> None:
    wanted, model = wanted_and_model(llama)
    shorter = replace(wanted[0], prompt=wanted[0].prompt[:4], prompt_tokens=50)
    with pytest.raises(ConfigError, match=r"has \d+ tokens .* and 50 in the traces"):
        capture([shorter], model, tmp_path / "a", ALL)
    swapped = replace(wanted[6], prompt=wanted[6].prompt.replace("Ada", "Ben"))
    with pytest.raises(ConfigError, match="these are not the states"):
        capture([swapped], model, tmp_path / "b", ALL)


def test_a_prompt_cut_on_the_left(record: Callable[..., Any], tmp_path: Path) -> None:
    run = record("llama", max_length=40)
    wanted, model = wanted_and_model(run)
    whole = [len(model.lm.tokenizer(w.prompt)["input_ids"]) for w in wanted]
    assert any(n > w.prompt_tokens for n, w in zip(whole, wanted, strict=True))
    assert capture(wanted, model, tmp_path, ALL)["max_norm_deviation"] <= 1e-4


def test_only_late_layers_recorded(record: Callable[..., Any], tmp_path: Path) -> None:
    wanted, model = wanted_and_model(record("qwen2", layers="2+3"))
    assert capture(wanted, model, tmp_path / "a", ALL)["max_norm_deviation"] <= 1e-4
    with pytest.raises(ConfigError, match=r"recorded the layers 2\+3"):
        capture(wanted, model, tmp_path / "b", replace(ALL, layers=(0, 1)))


def test_interventions_are_refused(record: Callable[..., Any]) -> None:
    acting = {"suppression": "peaks", "threshold_warmup": 2, "threshold_k": 0.0}
    run = record("llama", **acting)
    with pytest.raises(ConfigError, match="with interventions"):
        wanted_responses(run.traces, run.samples)


def test_settings_of_interventions_are_refused(llama: Any) -> None:
    settings = {"pretrained": str(llama.model), "recursion": "norm", "record": "tokens"}
    with pytest.raises(ConfigError, match="with interventions"):
        load_run_model(settings, "x", device="cpu")


def test_another_capture_in_the_same_folder(llama: Any, tmp_path: Path) -> None:
    wanted, model = wanted_and_model(llama)
    capture(wanted[:3], model, tmp_path, ALL)
    with pytest.raises(ConfigError, match="layers="):
        capture(wanted, model, tmp_path, replace(ALL, layers=(1, 2)))
    settings = capture(wanted, model, tmp_path, ALL)  # more responses may follow
    assert settings["responses"] == len(wanted)


def test_another_capture_at_the_same_time(llama: Any, tmp_path: Path) -> None:
    wanted, model = wanted_and_model(llama)
    with only_writer(tmp_path), pytest.raises(BlockingIOError, match="another command is writing"):
        capture(wanted, model, tmp_path, ALL)
    assert not list(tmp_path.iterdir())
    assert capture(wanted, model, tmp_path, ALL)["responses"] == len(wanted)


def test_the_same_questions_of_every_task(llama: Any) -> None:
    chosen = wanted_responses(llama.traces, llama.samples, responses=3, seed=5)
    by_task = {t: {w.question for w in chosen if w.key[1] == t} for t in ("t", "t_direct")}
    assert by_task["t"] == by_task["t_direct"]
    assert len(by_task["t"]) == 3
    half = wanted_responses(llama.traces, llama.samples, split="half", seed=5)
    assert by_task["t"] <= {w.question for w in half}
    assert len(half) == 8  # of 7 questions, 4 in two tasks


def test_samples_of_another_run(llama: Any, tmp_path: Path) -> None:
    text = next(llama.samples.glob("samples_t_2*.jsonl")).read_text("utf-8")
    name = "samples_t_2026-01-01T00-00-00.000000.jsonl"
    (tmp_path / name).write_text(text.replace("Ada", "Eve"), "utf-8")
    with pytest.raises(ConfigError, match="another run's"):
        wanted_responses(llama.traces, tmp_path, tasks=["t"])


def test_a_part_is_never_larger_than_asked(llama: Any) -> None:
    wanted, model = wanted_and_model(llama)
    parts = list(capturing._parts(wanted, SMALL_PARTS, model.d_model))
    assert sum(map(len, parts)) == len(wanted)
    assert all(len(p) == 1 or sum(len(w.tokens) for w in p) <= 30 for p in parts)
    assert any(len(p) > 1 for p in parts)
