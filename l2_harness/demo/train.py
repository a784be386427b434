"""Trains the embedded model from nothing: ``python -m l2_harness.demo.train --work DIR``.

Qwen3's architecture, 1.8 million parameters; Muon (lr 0.012) for the matrices and Adam (0.005)
for embeddings and norms; the rates hold after a short warm-up and fall to 0 over the last 40 %.
On a CPU two processes of one thread each share the batch; on a GPU one process takes it all.
A checkpoint is written every few minutes, complete or not at all, and the same command goes on
from it. Seeded: examples depend on (seed, process, step) alone.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from l2_harness.demo.corpus import Example, examples
from l2_harness.demo.muon import Muon
from l2_harness.demo.processes import rank, sum_over_processes, world_size
from l2_harness.demo.tokenizer import CONTEXT, build_tokenizer
from l2_harness.paths import demo_model_path

IGNORED = -100


@dataclass(frozen=True)
class TrainingConfig:
    """One training run; ``steps`` updates of ``examples_per_step`` examples in all processes."""

    steps: int = 1700
    examples_per_step: int = 48
    micro_batch: int = 12
    seed: int = 0
    muon_lr: float = 0.012
    adam_lr: float = 0.005
    warmup_steps: int = 60
    decay_share: float = 0.4
    hidden_size: int = 128
    layers: int = 12
    checkpoint_seconds: float = 120.0

    def rate(self, step: int) -> float:
        """The factor on both learning rates at a step."""
        rising = (step + 1) / self.warmup_steps
        falling = (self.steps - step) / (self.decay_share * self.steps)
        return min(1.0, rising, falling)


def build_model(config: TrainingConfig, vocabulary: int, eos: int, pad: int) -> Qwen3ForCausalLM:
    """The untrained model, the same in every process."""
    torch.manual_seed(config.seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=config.hidden_size,
            intermediate_size=2 * config.hidden_size,
            num_hidden_layers=config.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=eos,
            pad_token_id=pad,
            use_cache=False,
        )
    )


class Trainer:
    """Model, optimisers and the step they are at, in one process."""

    def __init__(self, config: TrainingConfig, work: Path) -> None:
        self.config = config
        self.work = work
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = build_tokenizer()
        self.model = build_model(
            config,
            len(self.tokenizer),
            self.tokenizer.eos_token_id,
            self.tokenizer.pad_token_id,
        ).to(self.device)  # type: ignore[arg-type]  # transformers wraps `to` without its types
        named = list(self.model.named_parameters())
        matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in named if p.ndim != 2 or "embed" in name]
        self.muon = Muon(matrices)
        self.adam = torch.optim.Adam(others, lr=config.adam_lr, betas=(0.9, 0.95))
        self.step = 0
        self.tokens = 0

    def update(self) -> float:
        """One step; returns the mean loss a response token, in nats."""
        config = self.config
        batch = list(
            examples(
                config.seed,
                rank(),
                self.step,
                self.step / config.steps,
                config.examples_per_step // world_size(),
            )
        )
        encoded = sorted((encode(self.tokenizer, e) for e in batch), key=lambda pair: len(pair[0]))
        self.model.zero_grad(set_to_none=True)
        totals = torch.zeros(3)
        for start in range(0, len(encoded), config.micro_batch):
            totals += self._accumulate(encoded[start : start + config.micro_batch])
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        sum_over_processes([*gradients, totals])
        loss, targets, tokens = totals.tolist()
        for gradient in gradients:
            gradient /= targets
        rate = config.rate(self.step)
        self.muon.step(config.muon_lr * rate)
        for group in self.adam.param_groups:
            group["lr"] = config.adam_lr * rate
        self.adam.step()
        self.step += 1
        self.tokens += int(tokens)
        return loss / targets

    def _accumulate(self, encoded: list[tuple[list[int], list[int]]]) -> Tensor:
        """Backward of one micro-batch: the sum of its losses, its targets, its tokens."""
        ids, labels = pad(encoded, self.tokenizer.pad_token_id)
        ids, labels = ids.to(self.device), labels.to(self.device)
        logits = self.model(input_ids=ids).logits
        loss = cross_entropy(
            logits[:, :-1].flatten(0, 1),
            labels[:, 1:].flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        loss.backward()
        targets = (labels[:, 1:] != IGNORED).sum().item()
        tokens = sum(len(row) for row, _ in encoded)
        return torch.tensor([loss.item(), targets, tokens])

    def save(self) -> None:
        """Write the checkpoint, complete or not at all."""
        state = {
            "model": self.model.state_dict(),
            "muon": self.muon.buffers,
            "adam": self.adam.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "config": asdict(self.config),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.checkpoint)

    def load(self) -> bool:
        """Go on from the checkpoint, where there is one.

        Raises:
            ValueError: it belongs to a training of other settings.
        """
        if not self.checkpoint.exists():
            return False
        state: dict[str, Any] = torch.load(
            self.checkpoint, map_location=self.device, weights_only=True
        )
        if state["config"] != asdict(self.config):
            raise ValueError(
                f"{self.checkpoint} belongs to a training with {state['config']}, not "
                f"{asdict(self.config)}: pass another --work, or the same settings."
            )
        self.model.load_state_dict(state["model"])
        self.muon.buffers = state["muon"]
        self.adam.load_state_dict(state["adam"])
        self.step, self.tokens = state["step"], state["tokens"]
        return True

    @property
    def checkpoint(self) -> Path:
        """The one checkpoint of a run."""
        return self.work / "checkpoint.pt"


def encode(tokenizer: PreTrainedTokenizerFast, example: Example) -> tuple[list[int], list[int]]:
    """Ids of an example and their labels, the prompt's ignored."""
    prompt = tokenizer(example.prompt).input_ids if example.prompt else []
    response = tokenizer(example.response).input_ids
    return prompt + response, [IGNORED] * len(prompt) + response


def pad(encoded: list[tuple[list[int], list[int]]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and labels, (examples, width): causal attention never looks right."""
    width = max(len(ids) for ids, _ in encoded)
    ids = [row + [pad_id] * (width - len(row)) for row, _ in encoded]
    labels = [row + [IGNORED] * (width - len(row)) for _, row in encoded]
    return torch.tensor(ids), torch.tensor(labels)


def export(trainer: Trainer, out: Path) -> None:
    """Write the model as float16 weights that load as float32, with its tokenizer."""
    model = trainer.model
    model.config.use_cache = model.generation_config.use_cache = True
    model.generation_config.pad_token_id = trainer.tokenizer.pad_token_id
    model.half().save_pretrained(out)
    trainer.tokenizer.save_pretrained(out)
    # dtype=auto would otherwise load float16, which a CPU computes slowly and coarsely
    path = out / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "float32"}, indent=2))
    description = asdict(trainer.config) | {"tokens": trainer.tokens}
    (out / "training.json").write_text(json.dumps(description, indent=2) + "\n")


def run(index: int, processes: int, meeting: str, config: TrainingConfig, work: Path) -> None:
    """One process of the training, from its checkpoint (if any) to the last step."""
    if processes > 1:
        torch.set_num_threads(1)
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=index, world_size=processes
        )
    trainer = Trainer(config, work)
    if trainer.load() and index == 0:
        print(f"going on from step {trainer.step}", flush=True)
    saved = started = time.monotonic()
    first_step, first_tokens = trainer.step, trainer.tokens
    while trainer.step < config.steps:
        loss = trainer.update()
        now = time.monotonic()
        if index == 0 and trainer.step % 20 == 0:
            a_step = (now - started) / (trainer.step - first_step)
            print(
                f"step {trainer.step}/{config.steps}  loss {loss:.3f}  "
                f"{(trainer.tokens - first_tokens) / (now - started):,.0f} tokens/s  "
                f"{(config.steps - trainer.step) * a_step / 60:.1f} min left",
                flush=True,
            )
        if index == 0 and now - saved > config.checkpoint_seconds:
            trainer.save()
            saved = now
    if index == 0:
        trainer.save()
    if processes > 1:
        dist.destroy_process_group()


def train(config: TrainingConfig, work: Path, out: Path, processes: int | None = None) -> None:
    """Train in ``work`` and write the model to ``out``."""
    work.mkdir(parents=True, exist_ok=True)
    if processes is None:
        processes = 1 if torch.cuda.is_available() else 2
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        if processes == 1:
            run(0, 1, meeting, config, work)
        else:
            torch.multiprocessing.spawn(run, (processes, meeting, config, work), nprocs=processes)
    trainer = Trainer(config, work)
    trainer.load()
    export(trainer, out)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the demo model; run again to go on.")
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--out", type=Path, default=demo_model_path(), help="folder for the model")
    parser.add_argument("--steps", type=int, default=TrainingConfig.steps)
    parser.add_argument("--seed", type=int, default=TrainingConfig.seed)
    parser.add_argument("--processes", type=int, default=None)
    args = parser.parse_args(argv)
    train(TrainingConfig(steps=args.steps, seed=args.seed), args.work, args.out, args.processes)


if __name__ == "__main__":
    main()
