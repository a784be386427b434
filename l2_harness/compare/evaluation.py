"""One cell, evaluated by lm-eval in this process; its files are lm-eval's own."""

from __future__ import annotations

import functools
import gc
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from l2_harness.compare.suite import Cell
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.errors import ConfigError

#: Methods of an lm-eval model that answer requests.
_ANSWERING = ("generate_until", "loglikelihood", "loglikelihood_rolling")


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What lm-eval made of a cell.

    Attributes:
        lm: the lm-eval model that answered.
        results: as lm-eval gives and stores them, without the samples.
        samples: task → a dict a document, as lm-eval logs them.
    """

    lm: Any
    results: Mapping[str, Any]
    samples: Mapping[str, list[dict[str, Any]]]

    @property
    def documents(self) -> int:
        """How many were answered; a document has a sample for each of its task's filters."""
        return sum(len({s["doc_id"] for s in samples}) for samples in self.samples.values())


def make_lm(model_class: str, args: Mapping[str, Any], seed: int, **own: Any) -> Any:
    """lm-eval's model of that class, made after the seeds are set, as lm-eval's command does.

    Args:
        model_class: as lm-eval names it.
        args: model_args.
        seed: for all random states.
        own: batch_size and device.
    """
    from lm_eval.api.registry import get_model

    set_seeds(seed)
    return get_model(model_class).create_from_arg_obj(dict(args), own)


def set_seeds(seed: int) -> None:
    """The random states that lm-eval's ``--seed`` sets, but for the few-shot examples'."""
    import numpy as np
    from lm_eval.utils import set_torch_seed

    random.seed(seed)
    np.random.seed(seed)
    set_torch_seed(seed)


def evaluate(
    lm: Any, cell: Cell, args: Mapping[str, Any], catalogue: TaskCatalogue, timed: Any, **own: Any
) -> Evaluated | None:
    """Answer the cell's task.

    Args:
        lm: of :func:`make_lm`.
        cell: what to answer.
        args: its model_args, for the result file.
        catalogue: of the suite's tasks.
        timed: wraps what answers requests.
        own: batch_size and device, for the result file.

    Returns:
        None in all processes but the first.
    """
    import lm_eval

    answering = {name: getattr(lm, name) for name in _ANSWERING}
    for name, function in answering.items():
        setattr(lm, name, timed(function))
    task = cell.task
    try:
        results: Any = lm_eval.simple_evaluate(
            model=lm,
            model_args=dict(args),
            tasks=[task.task],
            num_fewshot=task.num_fewshot,
            limit=task.limit,
            system_instruction=task.system_instruction,
            apply_chat_template=task.apply_chat_template,
            fewshot_as_multiturn=task.fewshot_as_multiturn,
            gen_kwargs=cell.gen_kwargs or None,
            task_manager=catalogue.manager_with({**args, **task.metadata}),
            random_seed=cell.seed,
            numpy_random_seed=cell.seed,
            torch_random_seed=cell.seed,
            log_samples=True,
            **own,
        )
    finally:
        for name in answering:
            delattr(lm, name)
    if results is None:
        return None
    # lm-eval knows the class's name only where it makes the model itself
    results["config"]["model"] = cell.model_class
    samples = results.pop("samples")
    return Evaluated(lm, results, {task: list(of_task) for task, of_task in samples.items()})


def save(evaluated: Evaluated, cell: Cell, folder: Path) -> None:
    """Write lm-eval's result and sample files, as its command does.

    Raises:
        OSError: they can't be written; lm-eval itself would only log it.
    """
    from lm_eval.loggers import EvaluationTracker

    # with a name that ends in .json the tracker makes no folder named after the model's path
    tracker = EvaluationTracker(output_path=str(folder / "results.json"))
    task, lm = cell.task, evaluated.lm
    template = task.apply_chat_template
    tracker.general_config_tracker.log_experiment_args(
        model_source=cell.model_class,
        model_args=dict(evaluated.results["config"]["model_args"]),
        system_instruction=task.system_instruction,
        chat_template=lm.chat_template(template) if template else None,
        fewshot_as_multiturn=task.fewshot_as_multiturn,
    )
    tracker.save_results_aggregated(dict(evaluated.results), dict(evaluated.samples))
    for name, samples in evaluated.samples.items():
        # it writes a sample's texts in place: keep ours as they came
        tracker.save_results_samples(name, [dict(sample) for sample in samples])
    _check_written(folder, evaluated.samples)


def _check_written(folder: Path, samples: Mapping[str, list[Any]]) -> None:
    if len(list(folder.glob("results_*.json"))) != 1:
        raise OSError(f"lm-eval could not write its results into {folder}")
    for task, of_task in samples.items():
        files = list(folder.glob(f"samples_{task}_2*.jsonl"))
        lines = sum(1 for _ in files[0].open("rb")) if len(files) == 1 else 0
        if lines != len(of_task):
            raise OSError(f"lm-eval could not write all samples of {task} into {folder}")


@contextmanager
def environment_once() -> Iterator[None]:
    """lm-eval lists the installed packages for every result file, by a ``pip list`` that takes
    longer than a short cell; they are the same for a whole process.
    """
    from torch.utils import collect_env

    known = functools.cache(collect_env.get_pretty_env_info)
    with patch.object(collect_env, "get_pretty_env_info", known):
        yield


def release(lm: Any) -> None:
    """Let go of what an lm-eval model holds; an engine of vLLM ends only when it is told to."""
    llm = getattr(lm, "model", None)
    if hasattr(llm, "llm_engine"):
        from l2_harness.models.vllm.engine_pool import stop_engine

        stop_engine(llm)
    del lm, llm
    gc.collect()


def one_line(error: BaseException) -> str:
    """An error as a table has room for it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, ConfigError) else f"{type(error).__name__}: {text}"
