"""What the tool finds in a real model: all of its commands, one after another, in one folder.

    python -m l2_harness.studies.real_models --model HuggingFaceTB/SmolLM2-135M-Instruct --out DIR

finds a level of arithmetic at which the model is right some of the time (on a validation split),
records norms there (on a test split), and runs every analysis. A step that is done is not run
again; the same command goes on after an interruption. ``DIR/steps.csv`` says what each step took,
``DIR/steps/`` has what each printed, ``real_models.yaml`` beside this file what the steps are.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from l2_harness.config.layers import LayerSelection
from l2_harness.paths import DEMO_MODEL, no_network_for
from l2_harness.studies.steps import Step, run_step, write_table
from l2_harness.studies.task_files import FORMS, VALIDATION, task_name, write_tasks

#: Level of difficulty and examples in the prompt: first those whose answers have a fixed place.
CANDIDATES = (("sums", 2), ("mixed", 2), ("words", 2), ("sums", 0), ("mixed", 0))
#: Of the answers at a level that is worth a look, the share that is right.
MIDDLING = (0.2, 0.8)
#: Of its responses, the share that comes to an end by itself: what is cut off has no answer.
ENDED = 0.8


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Attributes:
        validation, test, techniques, causal: questions of the choice of a level, of the recorded
            runs, of the comparison, of the causal test.
        samples: of a question.
        captured: responses of each form whose states are kept.
        sae_layers, sae_steps, sae_batch: autoencoders, steps to train each, rows of a step.
        draws: sets of random features beside the chosen ones; fewer where few features are alive.
        injected: responses of the injected-token test.
        resamples: of the bootstrap.
    """

    validation: int = 40
    test: int = 300
    samples: int = 8
    techniques: int = 100
    causal: int = 24
    captured: int = 120
    sae_layers: int = 5
    sae_steps: int = 300
    sae_batch: int = 512
    draws: int = 5
    injected: int = 12
    resamples: int = 1000


QUICK = Sizes(
    validation=4,
    test=12,
    samples=8,
    techniques=3,
    causal=3,
    sae_layers=2,
    sae_steps=20,
    sae_batch=32,
    injected=2,
    resamples=50,
)


@dataclass(frozen=True)
class Model:
    """What the steps have to know of the model.

    Attributes:
        pretrained: as commands in the study's folder take it.
        name: as tables show it.
        layers: how many it has.
        chat: whether its tokenizer has a chat template.
    """

    pretrained: str
    name: str
    layers: int
    chat: bool

    def spread(self, count: int) -> list[int]:
        """``count`` layers, from early ones to the last but one."""
        last = self.layers - 2
        return sorted({round(last * part / count) for part in range(1, count + 1)})


def look_at(model: str, out: Path) -> Model:
    """The model; a folder gets a link in ``out``, so that commands hold no path."""
    from transformers import AutoConfig, AutoTokenizer

    from l2_harness.compare.suite import short_name
    from l2_harness.engines.decoder_layers import number_of_layers
    from l2_harness.engines.hf.loading import resolve_pretrained

    name, pretrained = short_name(model), model
    if model != DEMO_MODEL and Path(model).is_dir():
        pretrained, link = f"./{name}", out / name
        if not link.is_symlink():
            link.symlink_to(Path(model).resolve(), target_is_directory=True)
    source = resolve_pretrained(model, {})
    layers = number_of_layers(AutoConfig.from_pretrained(source))
    assert layers is not None, f"the configuration of {model} says nothing of its layers"
    chat = AutoTokenizer.from_pretrained(source).chat_template is not None
    return Model(pretrained, name, layers, chat)


def write_suite(
    file: Path,
    model: Model,
    tasks: Sequence[Mapping[str, Any]],
    methods: Any,
    limit: int,
    batch_size: int = 64,
) -> None:
    """A suite of this model, on the first ``limit`` questions of each task."""
    args = {"pretrained": model.pretrained, "dtype": "float32"}
    suite = {
        "models": {model.name: {"args": args}},
        "tasks": list(tasks),
        "include_path": ["tasks"],
        "apply_chat_template": model.chat,
        "limit": limit,
        "batch_size": batch_size,
        "device": "cpu",
        "methods": methods,
    }
    file.write_text(yaml.safe_dump(suite, sort_keys=False, allow_unicode=True), encoding="utf-8")


def candidates_step(out: Path, model: Model, sizes: Sizes) -> Step:
    """Thinking and direct answers at every level, greedily, on the validation split."""
    tasks = [
        {
            "task": task_name(level, form, VALIDATION),
            "name": f"{level}_{shots}shot_{form}",
            "num_fewshot": shots,
        }
        for level, shots in CANDIDATES
        for form in FORMS
    ]
    methods = {"plain": {"role": "plain"}}
    write_suite(out / "candidates.yaml", model, tasks, methods, sizes.validation)
    return Step("candidates", "l2-harness compare candidates.yaml --out candidates")


def candidate_scores(out: Path, model: str) -> dict[tuple[str, int], tuple[float, float]]:
    """Of each candidate's thinking responses, the share that is right and the share that ended."""
    from l2_harness.lm_eval_files import join_samples
    from l2_harness.norms import read_traces

    found = {}
    for level, shots in CANDIDATES:
        cell = out / f"candidates/cells/{model}/{level}_{shots}shot_thinking/plain/seed0"
        rows = join_samples(read_traces(cell / "traces"), cell)
        right = rows["metric_exact_match"].mean()
        found[level, shots] = (float(right), float((rows["finish_reason"] != "length").mean()))
    return found


def middling(scores: Mapping[tuple[str, int], tuple[float, float]]) -> tuple[str, int]:
    """The first candidate that is middling and whose responses end; else the nearest to half."""
    ending = {one: right for one, (right, ended) in scores.items() if ended >= ENDED}
    usable = ending or {one: right for one, (right, _) in scores.items()}
    low, high = MIDDLING
    found = [one for one, right in usable.items() if low <= right <= high]
    return found[0] if found else min(usable, key=lambda one: abs(usable[one] - 0.5))


def study_steps(out: Path, model: Model, sizes: Sizes, level: str, shots: int) -> list[Step]:
    """All that follows the choice of the task."""
    plan = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    thinking, direct = (task_name(level, form) for form in FORMS)
    task = {"task": thinking, "num_fewshot": shots}
    samples = _with_samples(plan["samples"], sizes.samples)
    write_suite(out / "samples.yaml", model, [task], samples, sizes.test, batch_size=128)
    write_suite(out / "techniques.yaml", model, [task], plan["techniques"], sizes.techniques)
    template = "--apply_chat_template" if model.chat else ""
    asked = f"--include_path tasks --num_fewshot {shots} {template} --limit {sizes.test}"
    blanks = {
        **asdict(sizes),
        **{"pretrained": model.pretrained, "name": model.name, "shots": shots},
        **{"thinking": thinking, "direct": direct},
        "asked": f"{asked} --batch_size 64 --device cpu --log_samples",
        "template": template or "--no-chat-template",
        "late": _joined(LayerSelection.parse("late").resolve(model.layers)),
        "spread": _joined(model.spread(sizes.sae_layers)),
    }
    return [Step(name, command.format_map(blanks)) for name, command in plan["steps"].items()]


def _with_samples(methods: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The methods that choose among at most so many."""
    return {
        name: method
        for name, method in methods.items()
        if method["args"].get("num_samples", 1) <= most
    }


def _joined(layers: Sequence[int]) -> str:
    return "+".join(map(str, layers))


def link_samples(out: Path) -> None:
    """``drawn``: the run of the suite ``samples`` whose samples its methods share."""
    link = out / "drawn"
    (cell,) = out.glob("samples/samples/*/*/*/seed0")
    if not link.is_symlink():
        link.symlink_to(cell.relative_to(out), target_is_directory=True)


def run_study(name: str, out: Path, sizes: Sizes) -> None:
    """Run what is not done of the study, and say where its report is.

    Raises:
        StepFailedError: a command ended with an error; the steps before it are kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_tasks(out / "tasks")
    # in another process, since what it imports would count as the memory of all steps
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        model = other.submit(look_at, name, out).result()
        first = candidates_step(out, model, sizes)
        key = run_step(first, out).key
        level, shots = middling(other.submit(candidate_scores, out, model.name).result())
    print(f"{model.name} is asked: {level}, {shots} examples.", flush=True)
    steps = study_steps(out, model, sizes, level, shots)
    for step in steps:
        key = run_step(step, out, key).key
        if step.name == "samples":
            link_samples(out)
        write_table([first, *steps], out)
    print(f"{out / 'report.html'} shows all of it, {out / 'steps.csv'} what it took.")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True, help="a folder, a hub's name, or demo")
    parser.add_argument("--out", type=Path, required=True, help="folder, gone on with if there")
    parser.add_argument("--quick", action="store_true", help="a few questions of everything")
    for size in fields(Sizes):
        default = f"{size.default}, or {getattr(QUICK, size.name)} with --quick"
        parser.add_argument(f"--{size.name.replace('_', '-')}", type=int, help=default)
    given = vars(parser.parse_args(argv))
    own = {size.name: given[size.name] for size in fields(Sizes) if given[size.name] is not None}
    no_network_for(given["model"])
    run_study(given["model"], given["out"], replace(QUICK if given["quick"] else Sizes(), **own))


if __name__ == "__main__":
    main()
