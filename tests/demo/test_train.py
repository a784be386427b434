"""Training: a run that was killed ends where one in a single go ends, alone or shared out."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from l2_harness.demo import train as training
from l2_harness.demo.corpus import Example, examples
from l2_harness.demo.tokenizer import build_tokenizer
from l2_harness.demo.train import IGNORED, Trainer, TrainingConfig, encode, export, pad

MICRO = TrainingConfig(
    steps=24, examples_per_step=4, micro_batch=2, hidden_size=16, layers=1, warmup_steps=2,
    checkpoint_seconds=0,
)  # fmt: skip
"""One layer, a few thousand weights, a checkpoint at every step."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no fight over the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainer(work: Path, steps: int = 0, config: TrainingConfig = MICRO) -> Trainer:
    work.mkdir(exist_ok=True)
    made = Trainer(config, work)
    for _ in range(steps):
        made.update()
    return made


def weights(made: Trainer) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in made.model.state_dict().items()}


def are_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", steps=6)
    trainer(tmp_path / "parts", steps=4).save()
    resumed = trainer(tmp_path / "parts")
    assert resumed.load()
    assert resumed.step == 4
    for _ in range(2):
        resumed.update()
    assert are_equal(weights(whole), weights(resumed))
    assert (whole.step, whole.tokens) == (resumed.step, resumed.tokens)
    assert not are_equal(weights(whole), weights(trainer(tmp_path / "short", steps=4)))


def test_checkpoint_is_replaced_whole(tmp_path: Path) -> None:
    made = trainer(tmp_path, steps=1)
    made.save()
    made.update()
    made.save()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert not trainer(tmp_path / "empty").load()


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).save()
    with pytest.raises(ValueError, match="pass another --work"):
        trainer(tmp_path, config=replace(MICRO, seed=1)).load()


BATCH = [e for e in examples(0, 0, 0, 0.5, 8) if e.prompt][:4]
OTHER_PROCESSES = """
import os, signal, sys, time
import torch
import torch.distributed as dist
from pathlib import Path
from l2_harness.demo import train as training
from l2_harness.demo.corpus import Example

torch.set_num_threads(1)
folder = Path(sys.argv[1])
config = training.TrainingConfig(**{config!r})
batch = [Example(*pair) for pair in {batch!r}]

def share(index):
    training.examples = lambda seed, rank, step, progress, n: batch[rank::2]
    meeting = f"file://{{folder}}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=index, world_size=2)
    made = training.Trainer(config, folder)
    loss = made.update()
    gradients = {{name: p.grad for name, p in made.model.named_parameters()}}
    state = (loss, made.tokens, made.model.state_dict(), gradients)
    torch.save(state, folder / f"{{index}}.pt")
    dist.destroy_process_group()

def run(work, out):
    training.train(config, work, out, processes=1)

def kill_at_the_first_checkpoint(work, out):
    process = torch.multiprocessing.get_context("fork").Process(target=run, args=(work, out))
    process.start()
    while not (work / "checkpoint.pt").exists() and process.is_alive():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "ended before it was killed"

torch.multiprocessing.start_processes(share, nprocs=2, start_method="fork")
kill_at_the_first_checkpoint(folder / "work", folder / "out")
"""


@pytest.fixture(scope="module")
def other_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two sharing processes and a killed one leave behind; forked, to import once."""
    folder = tmp_path_factory.mktemp("processes")
    batch = [(example.prompt, example.response) for example in BATCH]
    script = OTHER_PROCESSES.format(batch=batch, config=asdict(MICRO))
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=300)
    return folder


@pytest.mark.process
def test_a_killed_run_goes_on_from_its_checkpoint(
    other_processes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work, out = other_processes / "work", other_processes / "out"
    assert not out.exists()
    training.train(MICRO, work, out, processes=1)
    assert "going on from step" in capfd.readouterr().out
    whole = trainer(tmp_path / "whole", steps=MICRO.steps)
    done = trainer(work)
    assert done.load()
    assert done.step == MICRO.steps
    assert are_equal(weights(whole), weights(done))
    assert (out / "model.safetensors").is_file()


@pytest.mark.process
def test_two_processes_do_what_one_does_with_all_examples(
    other_processes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = [torch.load(other_processes / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert are_equal(shared[0][2], shared[1][2])
    assert are_equal(shared[0][3], shared[1][3])

    monkeypatch.setattr(training, "examples", lambda *_: iter(BATCH))
    alone = trainer(tmp_path)
    untrained = weights(alone)
    loss = alone.update()
    assert [shared[0][:2], shared[1][:2]] == [(pytest.approx(loss, rel=1e-5), alone.tokens)] * 2
    for name, parameter in alone.model.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, shared[0][3][name], rtol=1e-3, atol=1e-6), name
        assert not torch.equal(shared[0][2][name], untrained[name]), name


def test_gradient_is_that_of_the_mean_loss_of_a_response_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Micro-batches and padding change nothing: each example alone, without padding, agrees."""
    monkeypatch.setattr(training, "examples", lambda *_: iter(BATCH))
    made = trainer(tmp_path)
    total, targets = torch.zeros(()), 0
    for example in BATCH:
        ids, labels = encode(made.tokenizer, example)
        log_probs = made.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        for position, label in enumerate(labels[1:]):
            if label != IGNORED:
                total = total - log_probs[position, label]
                targets += 1
    (total / targets).backward()
    expected = {n: p.grad.clone() for n, p in made.model.named_parameters() if p.grad is not None}
    loss = made.update()
    assert loss == pytest.approx((total / targets).item(), rel=1e-5)
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-3, atol=1e-6), name


def test_loss_starts_at_chance_and_falls(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    losses = [made.update() for _ in range(MICRO.steps)]
    assert losses[0] == pytest.approx(math.log(len(made.tokenizer)), rel=0.05)
    assert losses[-1] < 0.85 * losses[0]


def test_every_weight_is_trained_by_one_optimiser(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    by_adam = [id(p) for group in made.adam.param_groups for p in group["params"]]
    by_muon = [id(p) for p in made.muon.parameters]
    assert sorted(by_adam + by_muon) == sorted(id(p) for p in made.model.parameters())
    assert id(made.model.get_input_embeddings().weight) in by_adam


def test_rate_rises_holds_and_falls() -> None:
    config = TrainingConfig(steps=100, warmup_steps=10, decay_share=0.4)
    rates = [config.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(rates[10:60]) == {1.0}
    assert rates[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])


def test_encode_masks_the_prompt_and_pad_masks_the_padding() -> None:
    tokenizer = build_tokenizer()
    ids, labels = encode(tokenizer, Example("1 + 1 =", "2."))
    assert tokenizer.convert_ids_to_tokens(ids) == ["1", "+", "1", "=", "2", "."]
    assert labels == [IGNORED] * 4 + ids[4:]
    drill_ids, drill_labels = encode(tokenizer, Example("", "2."))
    assert drill_ids == drill_labels == ids[4:]
    padded, padded_labels = pad([(ids, labels), (drill_ids, drill_labels)], pad_id=0)
    assert padded.tolist() == [ids, [*drill_ids, 0, 0, 0, 0]]
    assert padded_labels.tolist() == [labels, drill_labels + [IGNORED] * 4]


def test_export_loads_as_float32_from_half_the_bytes(tmp_path: Path) -> None:
    made = trainer(tmp_path / "work", steps=1)
    expected = weights(made)
    export(made, tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.dtype == torch.float32
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < 2.5 * model.num_parameters()
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name].half().float()), name
    assert len(AutoTokenizer.from_pretrained(tmp_path / "out")) == model.config.vocab_size
    assert json.loads((tmp_path / "out" / "training.json").read_text())["tokens"] == made.tokens
