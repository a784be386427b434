"""How good the demo model is: ``python -m l2_harness.demo.evaluate --out results/demo_model``.

Answers a split three ways, greedily with thinking, greedily without, and in several samples with
thinking, and writes a table (``.md``) and its figures (``.json``). Seeded: the same command on the
same machine writes the same files.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from l2_harness.demo.problems import FAMILIES, STEPS, Problem, extract_answer
from l2_harness.demo.splits import SPLITS, make_splits
from l2_harness.demo.tokenizer import THINK_END
from l2_harness.paths import demo_model_path

MAX_NEW_TOKENS = 320
"""As `max_gen_toks` of the lm-eval tasks; the longest solution of a split has about 160 tokens."""


@dataclass(frozen=True)
class Response:
    """A text, the number it gives (None: none), and whether the token limit cut it off."""

    text: str
    answer: int | None
    cut: bool


@dataclass(frozen=True)
class Record:
    """One problem with its responses: both greedy ones and the samples."""

    problem: Problem
    thinking: Response
    direct: Response
    samples: tuple[Response, ...]

    def is_right(self, response: Response) -> bool:
        """Exact match of the number."""
        return response.answer == self.problem.answer

    @property
    def right_samples(self) -> int:
        """How many of the samples are right."""
        return sum(map(self.is_right, self.samples))

    @property
    def is_mixed(self) -> bool:
        """Some samples are right and some are wrong."""
        return 0 < self.right_samples < len(self.samples)


@dataclass(frozen=True)
class Share:
    """``count`` of ``n`` and the 95 % Wilson interval of that share."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share itself, 0..1."""
        return self.count / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return wilson(self.count, self.n)

    def as_json(self) -> dict[str, Any]:
        """The share, its parts and its interval."""
        return {"value": self.value, "interval": self.interval, **asdict(self)}


def wilson(count: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), within 0..1."""
    if n < 1:
        raise ValueError(f"n={n}: an interval needs at least one observation.")
    interval = binomtest(count, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def majority(answers: Sequence[int | None]) -> int | None:
    """The most frequent number, the first seen of equally frequent ones; None where none is."""
    found = Counter(answer for answer in answers if answer is not None)
    return found.most_common(1)[0][0] if found else None


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """All figures of one group of problems."""

    def share(is_so: Callable[[Record], bool]) -> dict[str, Any]:
        return Share(sum(map(is_so, records)), len(records)).as_json()

    samples = sum(len(r.samples) for r in records)
    return {
        "problems": len(records),
        "greedy": share(lambda r: r.is_right(r.thinking)),
        "direct": share(lambda r: r.is_right(r.direct)),
        "any": share(lambda r: r.right_samples > 0),
        "majority": share(lambda r: majority([s.answer for s in r.samples]) == r.problem.answer),
        "mixed": share(lambda r: r.is_mixed),
        # no interval: the samples of one problem are not independent of each other
        "mean_sampled": sum(r.right_samples for r in records) / samples,
        "cut": {
            "greedy": sum(r.thinking.cut for r in records) / len(records),
            "direct": sum(r.direct.cut for r in records) / len(records),
            "sampled": sum(s.cut for r in records for s in r.samples) / samples,
        },
    }


def group(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """The summary of all problems, of each number of steps and of each family that occurs."""
    groups = {"all": list(records)}
    for steps in STEPS:
        groups[f"steps {steps}"] = [r for r in records if r.problem.steps == steps]
    for family in FAMILIES:
        groups[family] = [r for r in records if r.problem.family == family]
    return {name: summarise(members) for name, members in groups.items() if members}


class Responder:
    """A model that answers questions through its chat template."""

    def __init__(
        self, model: Path, batch_size: int = 64, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> None:
        if not (model / "config.json").is_file():
            raise FileNotFoundError(f"--model {model}: no model there (no config.json).")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # Any: the libraries' own annotations do not fit their use
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.model.eval().to(device)
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens

    def prompt(self, question: str, thinking: bool) -> str:
        """The question as the chat template renders it."""
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )

    def respond(
        self,
        questions: Sequence[str],
        thinking: bool = True,
        temperature: float = 0.0,
        label: str = "responses",
    ) -> list[Response]:
        """One response a question, in the order given; greedy at temperature 0.

        Prompts go in batches of similar length: little is padded, and their responses end at
        about the same time.
        """
        prompts = [self.prompt(question, thinking) for question in questions]
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        responses: dict[int, Response] = {}
        with tqdm(total=len(prompts), desc=label, unit="response") as progress:
            for start in range(0, len(order), self.batch_size):
                chosen = order[start : start + self.batch_size]
                batch = self._respond_batch([prompts[i] for i in chosen], temperature)
                responses.update(zip(chosen, batch, strict=True))
                progress.update(len(chosen))
        return [responses[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def _respond_batch(self, prompts: list[str], temperature: float) -> list[Response]:
        batch = self.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left").to(
            self.model.device
        )
        if temperature > 0:
            how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        else:
            how = {"do_sample": False}
        output = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=self.max_new_tokens,
            use_cache=True,
            **how,
        )
        return [self._read(row) for row in output[:, batch["input_ids"].shape[1] :].tolist()]

    def _read(self, token_ids: list[int]) -> Response:
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        answer = extract_answer(text.split(THINK_END)[-1])
        return Response(text, answer, self.tokenizer.eos_token_id not in token_ids)


def evaluate(
    responder: Responder,
    problems: Sequence[Problem],
    samples: int = 8,
    temperature: float = 0.8,
    seed: int = 0,
) -> list[Record]:
    """All responses to all problems; the seed is that of the sampling."""
    questions = [problem.question for problem in problems]
    thinking = responder.respond(questions, label="greedy, thinking")
    direct = responder.respond(questions, thinking=False, label="greedy, direct")
    torch.manual_seed(seed)
    repeated = [question for question in questions for _ in range(samples)]
    sampled = responder.respond(repeated, temperature=temperature, label="sampled, thinking")
    return [
        Record(problem, thinking[i], direct[i], tuple(sampled[i * samples : (i + 1) * samples]))
        for i, problem in enumerate(problems)
    ]


def _percent(share: dict[str, Any]) -> str:
    low, high = share["interval"]
    return f"{100 * share['value']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def table(groups: dict[str, dict[str, Any]], samples: int) -> str:
    """The figures as a Markdown table, in per cent, one group a row."""
    head = [
        *("problems", "n", "greedy, thinking", "greedy, direct", "mean sampled"),
        *(f"any of {samples}", f"majority of {samples}", "mixed"),
    ]
    rows = [head, ["---"] * len(head)]
    for name, s in groups.items():
        shares = [_percent(s[key]) for key in ("any", "majority", "mixed")]
        mean = f"{100 * s['mean_sampled']:.1f}"
        greedy, direct = _percent(s["greedy"]), _percent(s["direct"])
        rows.append([name, str(s["problems"]), greedy, direct, mean, *shares])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def report(groups: dict[str, dict[str, Any]], settings: dict[str, Any]) -> str:
    """The Markdown page: what was run, what the columns mean, the table."""
    whole, samples = groups["all"], settings["samples"]
    cut = {arm: f"{100 * share:.1f} %" for arm, share in whole["cut"].items()}
    gain = 100 * (whole["any"]["value"] - whole["mean_sampled"])
    return f"""\
# The embedded demo model on its {settings["split"]} split

```
{settings["command"]}
```

A tiny model ({settings["parameters"]:,} parameters), trained on problems of these very templates
and on nothing else. The figures say how hard the split is for it, which is what the demo needs to
know; they say nothing about thinking in real models.

{table(groups, samples)}

Accuracies are exact matches of the number after the last `####`, in per cent, with 95 % Wilson
intervals over problems. "Direct" is the same question with an empty think block. "Sampled" is
{samples} responses with thinking a problem at temperature {settings["temperature"]}, seed \
{settings["seed"]}: their mean accuracy (no interval: the
samples of one problem are not independent), how often any of them is right, how often the most
frequent number is right (the first seen where several are equally frequent), and how many problems
are mixed, some samples right and some wrong.

Over all problems, any of {samples} is {gain:.1f} points above the mean sampled accuracy. The limit
of {settings["max_new_tokens"]} new tokens cut off {cut["greedy"]} of the greedy responses with \
thinking, {cut["direct"]} of the direct
ones and {cut["sampled"]} of the sampled ones.
"""


def write(out: Path, groups: dict[str, dict[str, Any]], settings: dict[str, Any]) -> None:
    """Write ``<out>.md`` and ``<out>.json``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figures = {"settings": settings, "groups": groups}
    # not with_suffix, which would cut a name such as model.v2
    Path(f"{out}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    Path(f"{out}.md").write_text(report(groups, settings), encoding="utf-8")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the demo model on one of its splits.")
    parser.add_argument("--model", type=Path, default=demo_model_path(), help="folder of the model")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--out", type=Path, required=True, help="file name without its ending")
    parser.add_argument("--limit", type=int, help="only the first so many problems")
    parser.add_argument("--samples", type=int, default=8, help="responses a problem")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the samples")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS)
    args = parser.parse_args(argv)
    for name in ("limit", "samples", "batch_size", "max_new_tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: at least 1.")
    if not args.temperature > 0:
        parser.error(f"--temperature {args.temperature}: must be above 0; greedy is run anyway.")
    return args


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parse(argv)
    responder = Responder(args.model, args.batch_size, args.max_new_tokens)
    problems = make_splits()[args.split][: args.limit]
    records = evaluate(responder, problems, args.samples, args.temperature, args.seed)
    settings = {
        "command": f"python -m l2_harness.demo.evaluate {shlex.join(argv)}",
        "split": args.split,
        "parameters": responder.model.num_parameters(),
        "samples": args.samples,
        "temperature": args.temperature,
        "seed": args.seed,
        "batch_size": args.batch_size,
        "max_new_tokens": args.max_new_tokens,
    }
    groups = group(records)
    write(args.out, groups, settings)
    print(table(groups, args.samples))
    print(f"written: {args.out}.md and {args.out}.json")


if __name__ == "__main__":
    main()
