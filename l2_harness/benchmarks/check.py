"""Does a task load, render and score? Gold answers must be right, wrong ones wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2_harness.answers import judge
from l2_harness.benchmarks.documents import reference_of
from l2_harness.benchmarks.written_answers import right_responses, wrong_responses
from l2_harness.config.errors import ConfigError

if TYPE_CHECKING:
    from l2_harness.benchmarks.task import BenchmarkTask

#: How many prompts a check renders, and how many failures it keeps.
PROMPTS = 3
KEPT_FAILURES = 20

Responses = Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Failure:
    """A response that was not scored as it should be."""

    doc_id: int
    form: str
    response: str
    target: str
    answer: str | None
    verdict: str


@dataclass
class TaskCheck:
    """What the check of one task found.

    Attributes:
        task: its name.
        documents: how many it has.
        prompts: the first few, as they are sent.
        right: (scored right, tried) of gold answers in every form.
        wrong: (scored right, tried) of wrong answers.
        failures: the first of the responses that scored otherwise than they should.
        unverified: comparisons that timed out or failed.
        problem: why the task could not be loaded, or None.
    """

    task: str
    documents: int = 0
    prompts: list[str] = field(default_factory=list)
    right: tuple[int, int] = (0, 0)
    wrong: tuple[int, int] = (0, 0)
    failures: list[Failure] = field(default_factory=list)
    unverified: int = 0
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether it loaded, all gold answers scored and no wrong one did."""
        return self.problem is None and self.right[0] == self.right[1] and self.wrong[0] == 0


def check_task(name: str, data: Path | None = None, limit: int | None = None) -> TaskCheck:
    """Load a task, from the hub or from the folder ``data``, and score its documents.

    Args:
        name: a task of this project.
        data: the folder of local data.
        limit: documents to score, the first ones; all by default.
    """
    result = TaskCheck(name)
    try:
        task = load_task(name, data)
        documents = list(task.test_docs())
        result.prompts = render_prompts(task)
    except (ConfigError, OSError, KeyError, ValueError) as error:
        result.problem = str(error)
        return result
    result.documents = len(documents)
    documents = documents[:limit]
    result.right = _score(documents, right_responses, True, result)
    result.wrong = _score(documents, wrong_responses, False, result)
    return result


def load_task(name: str, data: Path | None = None, **switches: Any) -> BenchmarkTask:
    """A task of this project, built by lm-eval from its YAML.

    Raises:
        KeyError: there is no such task.
    """
    from lm_eval.tasks import TaskManager

    from l2_harness.paths import tasks_dir

    metadata = switches | ({"l2_data": str(data)} if data else {})
    manager = TaskManager(include_path=str(tasks_dir()), include_defaults=False, metadata=metadata)
    return manager.load([name])["tasks"][name]


def render_prompts(task: BenchmarkTask, count: int = PROMPTS) -> list[str]:
    """The first prompts of a task, without a chat template."""
    documents = task.test_docs().select(range(min(count, len(task.test_docs()))))
    return [
        task.fewshot_context(document, 0, gen_prefix=task.doc_to_prefix(document))
        for document in documents
    ]


def _score(
    documents: Sequence[Mapping[str, Any]], responses: Responses, expected: bool, result: TaskCheck
) -> tuple[int, int]:
    scored = tried = 0
    for doc_id, document in enumerate(documents):
        reference = reference_of(document)
        for form, response in responses(document):
            judgement = judge(response, reference)
            tried += 1
            scored += judgement.correct
            result.unverified += judgement.verdict.unverified
            if judgement.correct != expected and len(result.failures) < KEPT_FAILURES:
                result.failures.append(
                    Failure(
                        doc_id,
                        form,
                        response,
                        document["target"],
                        judgement.answer,
                        judgement.verdict.value,
                    )
                )
    return scored, tried
