"""What runs are called: their model, and a method named after what sets it apart.

Runs of one model that differ in nothing but their seed are one method. What they differ in is
found by comparison on the tasks that they share, once for all models, so a name holds no argument
that all runs share, nor one that differs between tasks only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.runs import SHOTS, Run
from l2_harness.paths import expanded
from l2_harness.printable_text import printable

PLAIN = "plain"
_LONGEST_VALUE = 40


@dataclass(frozen=True)
class Source:
    """A folder as it was passed: ``DIR``, ``DIR=method`` or ``DIR=model/method``."""

    folder: Path
    method: str | None = None
    model: str | None = None

    @classmethod
    def parse(cls, text: str | Path) -> Source:
        """From what was typed; a folder whose own name has ``=`` in it is taken as it is.

        Raises:
            ConfigError: a name without letters.
        """
        path = expanded(text)
        if isinstance(text, Path) or path.exists() or "=" not in str(text):
            return cls(path)
        folder, name = str(text).rsplit("=", 1)
        model, _, method = name.rpartition("/")
        if not method.strip():
            raise ConfigError(f"{text!r} names no method: write DIR=method or DIR=model/method.")
        return cls(expanded(folder), method.strip(), model.strip() or None)


@dataclass(frozen=True, eq=False)
class NamedRun:
    """A run, and what it is called.

    Attributes:
        source: where it comes from.
        model: as tables show it.
        method: as tables show it.
        shown: settings that set its method apart from the others.
        repeats: the method whose run it is once more: the same settings, the same seed.
    """

    run: Run
    source: Source
    model: str
    method: str
    shown: frozenset[str] = frozenset()
    repeats: str | None = None


def name_runs(runs: Sequence[tuple[Source, Run]]) -> list[NamedRun]:
    """Name the models and methods of runs, in their order."""
    models = _model_names(runs)
    given: dict[str | None, list[tuple[str, Run]]] = {None: []}
    for (source, run), model in zip(runs, models, strict=True):
        given[None].append((model, run))
        if source.method:
            given.setdefault(source.method, []).append((model, run))
    differing = {method: _differing(own) for method, own in given.items()}
    usual = _usual_class([run for _, run in runs])
    named = []
    for (source, run), model in zip(runs, models, strict=True):
        shown = differing[source.method]
        words = _words(run, shown, usual)
        if source.method:
            method = " ".join([source.method, *words])
        else:
            method = " ".join(words) or (PLAIN if shown else run.model_class)
        named.append(NamedRun(run, source, printable(model), printable(method), frozenset(shown)))
    return _told_apart(named)


def _differing(runs: Iterable[tuple[str, Run]]) -> dict[str, set[str]]:
    """Settings in which some model's runs of one task differ, each with these tasks."""
    seen: dict[tuple[str, str], dict[str, set[str | None]]] = {}
    found: dict[str, set[str]] = {}
    for model, run in runs:
        for task in run.tasks:
            settings = run.settings(task)
            first = (model, task) not in seen
            own = seen.setdefault((model, task), {})
            for key in [*own, *(key for key in settings if key not in own)]:
                # A setting that the runs before did not have.
                values = own.setdefault(key, set() if first else {None})
                values.add(settings.get(key))
                if len(values) > 1:
                    found.setdefault(key, set()).add(task)
    return found


def _words(run: Run, differing: Mapping[str, set[str]], usual: str) -> list[str]:
    """What sets a run apart, in its own words."""
    own = run.distinguishing
    words = [f"{key}={_cut(own[key])}" for key in differing if key and key in own]
    if "" in differing and run.model_class != usual:
        words.insert(0, run.model_class)
    shots = [
        str(number)
        for task, number in run.table("n-shot").items()
        if task in differing.get(SHOTS, ())
    ]
    return words + ([f"{'/'.join(dict.fromkeys(shots))}-shot"] if shots else [])


def _cut(value: str) -> str:
    """A long value by its beginning and a digest, which tells two of them apart."""
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[: _LONGEST_VALUE - 8]}…{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def _usual_class(runs: Sequence[Run]) -> str:
    """The model class that most runs are of; the first among equals. A name leaves it out."""
    classes = [run.model_class for run in runs]
    return max(dict.fromkeys(classes), key=classes.count)


def _model_names(runs: Sequence[tuple[Source, Run]]) -> list[str]:
    """Hub names as they are, paths by as many of their last parts as tell them apart."""
    full = [source.model or _embedded(run.model) for source, run in runs]
    short = _shortened(set(full))
    return [short[name] for name in full]


def _embedded(name: str) -> str:
    """The embedded model has one name, whichever class was given its folder."""
    return "demo" if Path(name).parts[-3:] == ("l2_harness", "demo", "model") else name


def _shortened(names: set[str]) -> Mapping[str, str]:
    """Name → as short as it can be without being another's."""
    short = {name: name for name in names}
    paths = {name: Path(name).parts for name in names if _is_path(name)}
    for length in range(max(map(len, paths.values()), default=0), 0, -1):
        cut = {name: str(Path(*parts[-length:])) for name, parts in paths.items()}
        taken = Counter([*cut.values(), *(names - paths.keys())])
        short |= {name: text for name, text in cut.items() if taken[text] == 1}
    return short


def _is_path(name: str) -> bool:
    parts = Path(name).parts
    return len(parts) > 2 or (len(parts) > 1 and parts[0] in ("/", ".", "..", "~"))


def _told_apart(named: Sequence[NamedRun]) -> list[NamedRun]:
    """Runs of one name, seed and task from different folders get their folder's name as well.

    Those of one folder stay: they are one run made several times, of which the latest counts.
    Names that were given stay too.
    """
    owners: dict[tuple[object, ...], NamedRun] = {}
    for one in named:
        if one.source.method is not None:
            _claim(owners, one, by_settings=True)
            _claim(owners, one)
    return [one if one.source.method is not None else _own_name(owners, one) for one in named]


def _own_name(owners: dict[tuple[object, ...], NamedRun], one: NamedRun) -> NamedRun:
    """A run under a name that no other folder has."""
    first = _claim(owners, one, by_settings=True)
    if first is not None:
        one = replace(one, method=first.method, repeats=first.method)
    if first is None and _claim(owners, one) is None:
        return one
    base, n = f"{one.method} [{_label(one)}]", 2
    one = replace(one, method=base)
    while _claim(owners, one) is not None:
        one = replace(one, method=f"{base} {n}")
        n += 1
    return one


def _claim(
    owners: dict[tuple[object, ...], NamedRun], one: NamedRun, *, by_settings: bool = False
) -> NamedRun | None:
    """Who from another folder had this first for a task of the run's; else it is the run's now.

    What is claimed is the method's name, or all settings but the seed, whatever they are called.
    """
    run = one.run
    keys = [
        (
            one.model,
            (_embedded(run.model), *sorted(run.settings(task).items()))
            if by_settings
            else one.method,
            run.seed,
            task,
        )
        for task in run.tasks
    ]
    taken = [owners[key] for key in keys if key in owners]
    others = [owner for owner in taken if owner.run.folder != run.folder]
    if others:
        return others[0]
    owners.update({key: one for key in keys if key not in owners})
    return None


def _label(named: NamedRun) -> str:
    """The folder that a run was written into, without the one that lm-eval names by the model."""
    folder, run = named.run.folder, named.run
    of_model = (run.content.get("model_name_sanitized"), run.model.replace("/", "__"))
    if folder.name in of_model and folder != named.source.folder:
        folder = folder.parent
    return folder.name or named.run.date
