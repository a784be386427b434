"""What the long commands import, imported once: a process that is forked from here is at work
at once.

No tensor is computed, since threads don't survive a fork.
"""

from __future__ import annotations

import functools
from pathlib import Path

import datasets  # noqa: F401
import lm_eval.evaluator
import lm_eval.loggers
import lm_eval.models.huggingface
import lm_eval.tasks
import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import sae_lens  # noqa: F401
import scipy.stats  # noqa: F401
import sympy  # noqa: F401
import torch
from lm_eval.tasks._index import TaskIndex
from torch.utils import collect_env
from transformers import AutoModelForCausalLM, AutoTokenizer

import l2_harness.cli.app
import l2_harness.compare.evaluation
import l2_harness.models.hf.l2hf  # noqa: F401
from l2_harness.paths import demo_model_path

torch.set_num_threads(1)
AutoModelForCausalLM.from_pretrained(demo_model_path())
AutoTokenizer.from_pretrained(demo_model_path())

# lm-eval asks pip what is installed for each result file, and reads thousands of task files for
# each TaskManager: the same each time.
collect_env.get_pretty_env_info = functools.cache(collect_env.get_pretty_env_info)
collect_env.get_pretty_env_info()
_OWN = Path(lm_eval.tasks.__file__).parent
_build = TaskIndex.build
_stock = functools.cache(lambda: _build([_OWN]))
_stock()


def _build_but_for_its_own(paths: list[Path], **options: object) -> dict[str, object]:
    paths = list(paths)
    if _OWN not in paths[:1] or options:
        return _build(paths, **options)
    return {**_stock(), **_build(paths[1:])}


TaskIndex.build = staticmethod(_build_but_for_its_own)
