"""The study's lm-eval tasks, written as YAML: each level of difficulty, thinking and direct."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

#: What a level's problems are: the metadata that makes them (:mod:`l2_harness.studies.problems`).
WORDS = ("totals", "relations", "prices")
LEVELS: Mapping[str, Mapping[str, Any]] = {
    "sums": {"families": ["sums"], "steps": [1], "limit": 20},
    "mixed": {"families": ["sums", "totals"], "steps": [1], "limit": 20},
    "words": {"families": [*WORDS], "steps": [1], "limit": 20},
}
#: What follows the question, and what an example answers.
FORMS = {
    "thinking": ("Think step by step, then give the answer.", "{{solution}} #### {{answer}}"),
    "direct": ("Answer with the number only.", "{{answer}}"),
}
VALIDATION = "validation"
#: Of a response, in tokens. The longest worked solution has about 60.
MOST_TOKENS = {"thinking": 80, "direct": 16}

_SHARED = """\
custom_dataset: !function l2_harness.studies.problems.load_splits
fewshot_split: shots
fewshot_config: {sampler: first_n}
output_type: generate_until
target_delimiter: " "
filter_list:
  - name: number
    filter:  # the last number of a response, whatever stands around it
      - {function: regex, regex_pattern: '-?\\d+', group_select: -1}
      - {function: take_first}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    regexes_to_ignore: ['(?s).*#### ']
"""


def write_tasks(folder: Path) -> None:
    """Every level in both forms, for the test and for the validation split."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_shared_yaml").write_text(_SHARED, encoding="utf-8")
    for level in LEVELS:
        for form in FORMS:
            for split in ("test", VALIDATION):
                task = _task(level, form, split)
                file = folder / f"{task['task']}.yaml"
                file.write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")


def task_name(level: str, form: str, split: str = "test") -> str:
    """Such as ``steps1_thinking`` and ``steps1_thinking_validation``."""
    return f"{level}_{form}" + (f"_{split}" if split != "test" else "")


def _task(level: str, form: str, split: str) -> dict[str, Any]:
    request, target = FORMS[form]
    return {
        "include": "_shared_yaml",
        "task": task_name(level, form, split),
        "test_split": split,
        "doc_to_text": f"Question: {{{{question}}}} {request}\nAnswer:",
        "doc_to_target": target,
        "generation_kwargs": {
            "do_sample": False,
            # a base model goes on with a question of its own
            "until": ["\n\n", "\nQuestion:"],
            "max_gen_toks": MOST_TOKENS[form],
        },
        "metadata": {"version": 1.0, **LEVELS[level]},
    }
