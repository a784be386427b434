"""What runs are called: their model, and a method named after what sets it apart.

Runs of one model that differ in nothing but their seed are one method. What they differ in is
found by comparison, so a name holds no argument that all runs share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files.runs import Run

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
        path = Path(text).expanduser()
        if isinstance(text, Path) or path.exists() or "=" not in str(text):
            return cls(path)
        folder, name = str(text).rsplit("=", 1)
        model, _, method = name.rpartition("/")
        if not method.strip():
            raise ConfigError(f"{text!r} names no method: write DIR=method or DIR=model/method.")
        return cls(Path(folder).expanduser(), method.strip(), model.strip() or None)


@dataclass(frozen=True, eq=False)
class NamedRun:
    """A run, and what it is called.

    Attributes:
        source: where it comes from.
        model: as tables show it.
        method: as tables show it.
        repeats: the method whose run it is once more: the same settings, the same seed.
    """

    run: Run
    source: Source
    model: str
    method: str
    repeats: str | None = None

    @property
    def kind(self) -> object:
        """Equal for runs with the same settings but for the seed."""
        shots = tuple((task, str(n)) for task, n in sorted(self.run.table("n-shot").items()))
        return _embedded(self.run.model), frozenset(self.run.distinguishing.items()), shots


def name_runs(runs: Sequence[tuple[Source, Run]]) -> list[NamedRun]:
    """Name the models and methods of runs, in their order."""
    models = _model_names(runs)
    named: list[NamedRun] = []
    for (source, run), model in zip(runs, models, strict=True):
        siblings = [
            (s, other) for (s, other), theirs in zip(runs, models, strict=True) if theirs == model
        ]
        own = [other for s, other in siblings if s == source] if source.method else None
        method = _method(run, own or [other for _, other in siblings])
        if source.method:
            method = (
                source.method if method in (PLAIN, run.model_class) else f"{source.method} {method}"
            )
        named.append(NamedRun(run, source, printable(model), printable(method)))
    return _told_apart(named)


def _method(run: Run, siblings: Sequence[Run]) -> str:
    """What sets a run apart from its siblings, in its own words."""
    keys = dict.fromkeys(key for other in siblings for key in other.distinguishing)
    differing = [
        key for key in keys if len({other.distinguishing.get(key) for other in siblings}) > 1
    ]
    own, usual = run.distinguishing, _usual_class(siblings)
    words = [f"{key}={_cut(own[key])}" for key in differing if key and key in own]
    if run.model_class != usual:
        words.insert(0, run.model_class)
    words += _shots(run, siblings)
    if words:
        return " ".join(words)
    return PLAIN if differing else run.model_class


def printable(text: str) -> str:
    """Without what moves a cursor or breaks a line: names come from files of others."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _cut(value: str) -> str:
    """A long value by its beginning and a digest, which tells two of them apart."""
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[: _LONGEST_VALUE - 8]}…{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def _usual_class(siblings: Sequence[Run]) -> str:
    """The model class that most runs are of; the first among equals. A name leaves it out."""
    classes = [other.model_class for other in siblings]
    return max(dict.fromkeys(classes), key=classes.count)


def _shots(run: Run, siblings: Sequence[Run]) -> list[str]:
    """How many examples were shown, where runs differ in it on a task that they share."""
    shots = run.table("n-shot")
    differing = [
        number
        for task, number in shots.items()
        if len({str(other.table("n-shot").get(task, number)) for other in siblings}) > 1
    ]
    return (
        [f"{'/'.join(dict.fromkeys(str(number) for number in differing))}-shot"]
        if differing
        else []
    )


def _model_names(runs: Sequence[tuple[Source, Run]]) -> list[str]:
    """Hub names as they are, paths by their last part where that is enough to tell them."""
    full = [source.model or _embedded(run.model) for source, run in runs]
    short = [_short(name) for name in full]
    return [
        long if len({f for f, s in zip(full, short, strict=True) if s == name}) > 1 else name
        for long, name in zip(full, short, strict=True)
    ]


def _embedded(name: str) -> str:
    """The embedded model has one name, whichever class was given its folder."""
    return "demo" if Path(name).parts[-3:] == ("l2_harness", "demo", "model") else name


def _short(name: str) -> str:
    parts = Path(name).parts
    is_path = len(parts) > 2 or (len(parts) > 1 and parts[0] in ("/", ".", "..", "~"))
    return parts[-1] if is_path else name


def _told_apart(named: Sequence[NamedRun]) -> list[NamedRun]:
    """Runs of one name, seed and task from different folders get their folder's name as well.

    Those of one folder stay: they are one run made several times, of which the latest counts.
    Names that were given stay too.
    """
    owners: dict[tuple[object, ...], NamedRun] = {}
    for one in named:
        if one.source.method is not None:
            _claim(owners, one, one.kind)
            _claim(owners, one, one.method)
    return [one if one.source.method is not None else _own_name(owners, one) for one in named]


def _own_name(owners: dict[tuple[object, ...], NamedRun], one: NamedRun) -> NamedRun:
    """A run under a name that no other folder has."""
    first = _claim(owners, one, one.kind)
    if first is not None:
        one = replace(one, method=first.method, repeats=first.method)
    if first is None and _claim(owners, one, one.method) is None:
        return one
    base, n = f"{one.method} [{_label(one)}]", 2
    one = replace(one, method=base)
    while _claim(owners, one, one.method) is not None:
        one = replace(one, method=f"{base} {n}")
        n += 1
    return one


def _claim(
    owners: dict[tuple[object, ...], NamedRun], one: NamedRun, what: object
) -> NamedRun | None:
    """Who from another folder had this first for a task of the run's; else it is the run's now."""
    keys = [(one.model, what, one.run.seed, task) for task in one.run.table("results")]
    taken = [owners[key] for key in keys if key in owners]
    others = [owner for owner in taken if owner.run.folder != one.run.folder]
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
