"""Which runs are rows of one table, and what each is there for: decided once for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from l2_harness.config.errors import unknown_value
from l2_harness.lm_eval_files.names import PLAIN, NamedRun
from l2_harness.lm_eval_files.outcomes import Outcome, Role
from l2_harness.lm_eval_files.runs import SHOTS

#: What makes a test another one, whatever the methods are called.
_OF_THE_TEST = frozenset({"chat_template", "system_instruction", SHOTS})
#: Arguments that one model needs and another can't share.
_OF_THE_MODEL = frozenset(
    """base_url delta gguf_file gptqmodel_file peft revision subfolder think_end_token
    tokenizer tokenizer_revision""".split()
)
_UNSET = frozenset({"", "False", "None"})


@dataclass(frozen=True, eq=False)
class TaskRun:
    """What one run says about one task.

    Attributes:
        tasks: lm-eval's, that make it up.
        passed_over: how many earlier runs of the same kind there are.
    """

    named: NamedRun
    task: str
    tasks: Sequence[str]
    passed_over: int = 0


def latest(entries: Sequence[TaskRun]) -> list[TaskRun]:
    """Of runs of one kind in one folder, the latest."""
    kinds: dict[tuple[object, ...], list[TaskRun]] = {}
    for entry in entries:
        one = entry.named
        key = (one.model, one.method, one.run.seed, entry.task, one.run.folder)
        kinds.setdefault(key, []).append(entry)
    return [
        replace(
            max(own, key=lambda e: (e.named.run.date, e.named.run.path.name)),
            passed_over=len(own) - 1,
        )
        for own in kinds.values()
    ]


def models_as_rows(entries: Sequence[TaskRun]) -> list[TaskRun]:
    """Models in the place of methods, where every model has one method and some share a task.

    A name that was given stays; a run made once more stays that of its model.
    """
    methods: dict[str, set[str]] = {}
    models: dict[str, set[str]] = {}
    for entry in entries:
        one = entry.named
        methods.setdefault(one.model, set()).add(one.repeats or one.method)
        models.setdefault(entry.task, set()).add(one.model)
    one_each = all(len(own) == 1 for own in methods.values())
    if not one_each or not any(len(own) > 1 for own in models.values()):
        return list(entries)
    names: dict[str, set[str]] = {}
    for entry in entries:
        names.setdefault(_row(entry.named), set()).add(entry.named.model)

    def row(one: NamedRun) -> NamedRun:
        name = _row(one)
        if len(names[name]) > 1:
            name = f"{name} {one.model}"
        if one.repeats is None:
            return replace(one, model="", method=name)
        again = one.method.removeprefix(one.repeats)
        return replace(one, model="", method=f"{name}{again}", repeats=name)

    return [replace(entry, named=row(entry.named)) for entry in entries]


def _row(one: NamedRun) -> str:
    return one.method if one.source.method and one.repeats is None else one.model


def conditions_of(entry: TaskRun) -> dict[str, str]:
    """What would make a row's figure that of another test, but for what its name says.

    Where models are rows, all their settings count, and of chat templates only whether there is
    one: models have their own.
    """
    run, one = entry.named.run, entry.named
    if run.note:  # its result file, which would tell, isn't there
        return {}
    versions = [str(run.table("versions").get(task, "unknown")) for task in entry.tasks]
    settings = run.settings(entry.tasks[0])
    if one.model:
        kept = {key: value for key, value in settings.items() if key in _OF_THE_TEST - one.shown}
    else:
        kept = {key: value for key, value in settings.items() if key and key not in _OF_THE_MODEL}
        kept |= {"chat_template": "used"} if "chat_template" in kept else {}
    kept = {key: value for key, value in kept.items() if value not in _UNSET}
    return {"task version": "/".join(dict.fromkeys(versions)), **_endings(entry), **kept}


def _endings(entry: TaskRun) -> dict[str, str]:
    """Whether it was known which responses were cut off, where the tasks judge by it.

    Of a cut one only a box counts; one that nobody knows about is read as if it had ended.
    """
    figures = [
        value
        for task in entry.tasks
        for key, value in entry.named.run.tasks.get(task, {}).items()
        if key.partition(",")[0] == "ending_unknown"
    ]
    if not figures:
        return {}
    known = "known of some responses only" if any(figures) else "known"
    return {"what was cut off": known}


def with_roles(
    outcomes: Sequence[Outcome], entries: Sequence[TaskRun], plain: str | None
) -> list[Outcome]:
    """One method is plain in all tables.

    It is the one asked for, the one named plain, or of the first folder's methods the one that has
    scores on most tasks; then the first.

    Raises:
        ConfigError: there is none of that name.
    """
    methods = list(dict.fromkeys(o.method for o in outcomes))
    if plain is not None and plain not in methods:
        raise unknown_value("--plain", plain, methods)
    chosen = plain or (PLAIN if PLAIN in methods else _first(outcomes, entries))
    repeats = {(e.named.model, e.named.method): e.named.repeats for e in entries}

    def role(o: Outcome) -> Role:
        if o.method == chosen:
            return "plain"
        return "null" if repeats.get((o.model, o.method)) == chosen else "method"

    return [replace(o, role=role(o)) for o in outcomes]


def _first(outcomes: Sequence[Outcome], entries: Sequence[TaskRun]) -> str:
    folder = entries[0].named.source
    own = {e.named.method for e in entries if e.named.source == folder}
    tasks = Counter(o.method for o in outcomes if o.method in own and o.scores)
    found = [o.method for o in outcomes if o.method in own] or [outcomes[0].method]
    return max(dict.fromkeys(found), key=lambda method: tasks[method])
