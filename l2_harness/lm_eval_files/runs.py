"""lm-eval's result files: where they are, and what they say about their run.

``results_<date>.json``, ``<stem>_<date>.json`` where ``--output_path`` names a file, and
``results.json`` before 0.4.3; a renamed one is known by what is in it. Read are those of versions
0.4.0 to 0.4.13.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.model_args import affecting
from l2_harness.lm_eval_files.left_out import LeftOut
from l2_harness.lm_eval_files.reading import UnreadableError, files_below, head, read_json
from l2_harness.lm_eval_files.samples import DATE, SampleFile, sample_files

_NAME = re.compile(rf"(results|.*(_|^)(?P<date>{DATE}))\.json")
#: What the files of lm-eval and its neighbours begin with.
_BEGINS = re.compile(r'\s*\{.*"(results|config_general|group_subtasks|groups)"', re.DOTALL)
#: Which model it is; the first that model_args hold.
_MODEL_KEYS = ("pretrained", "model", "path", "engine")
SHOTS = "num_fewshot"


@dataclass(frozen=True, eq=False)
class Run:
    """One result file.

    Attributes:
        path: of the file.
        date: of the run, as file names hold it: later dates sort later; empty if unknown.
        content: what it holds.
        samples: files that may hold its samples.
        note: what a reader of its figures has to know.
    """

    path: Path
    date: str
    content: Mapping[str, Any]
    samples: Sequence[SampleFile] = ()
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where it was written."""
        return self.path.parent

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """How it was run."""
        return _mapping(self.content.get("config"))

    @cached_property
    def model_class(self) -> str:
        """lm-eval's name of it."""
        return str(self.config.get("model") or self.content.get("model_source") or "")

    @cached_property
    def model_args(self) -> dict[str, Any]:
        """As a mapping, however they were written."""
        return parsed_arguments(self.config.get("model_args"))

    @cached_property
    def gen_kwargs(self) -> dict[str, Any]:
        """Generation settings of the command, over the tasks' own."""
        return parsed_arguments(self.config.get("gen_kwargs"))

    @property
    def model(self) -> str:
        """The model as it was named: a hub's name, or a path."""
        named = [self.model_args[key] for key in _MODEL_KEYS if self.model_args.get(key)]
        # Without any of them lm-eval makes up a name.
        made_up = self.model_class or self.content.get("model_name") or self.folder.name
        return str(named[0] if named else made_up)

    @property
    def seed(self) -> int | None:
        """The seed that samples are drawn with."""
        ours = _mapping(self.config.get("l2")).get("seed")
        for value in (self.model_args.get("seed"), ours, self.config.get("torch_seed")):
            try:
                return int(value)  # type: ignore[arg-type]
            except (TypeError, ValueError, OverflowError):
                continue
        return None

    @cached_property
    def distinguishing(self) -> dict[str, str]:
        """What a method may differ in: its class and the arguments that change what comes out."""
        args = affecting(self.model_args, "responses", "choice")
        settings = {
            name: value
            for name, value in {**args, **self.gen_kwargs}.items()
            if name not in _MODEL_KEYS and name != "seed"
        }
        template, system = (
            self.content.get("chat_template_sha"),
            self.content.get("system_instruction"),
        )
        return {
            "": self.model_class,
            **{name: str(value) for name, value in settings.items()},
            **({"chat_template": str(template)[:6]} if template else {}),
            **({"system_instruction": str(system)} if system else {}),
        }

    def settings(self, task: str) -> dict[str, str]:
        """:attr:`distinguishing`, and how many examples were shown on a task."""
        shots = self.table("n-shot").get(task)
        return self.distinguishing | ({} if shots is None else {SHOTS: str(shots)})

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Task or group → its figures."""
        return self.table("results")

    def table(self, name: str) -> Mapping[str, Any]:
        """A part of the file that maps names of tasks, empty where it is missing."""
        return _mapping(self.content.get(name))

    def samples_of(self, task: str) -> SampleFile | None:
        """Its sample file of a task; of several, the one of its date, else the latest."""
        own = [one for one in self.samples if one.may_hold(task) and self._owner(one) == task]
        return max(own, key=lambda one: (one.date == self.date, one.date), default=None)

    def _owner(self, file: SampleFile) -> str:
        """The task of a file whose name ends in several tasks' names: the longest."""
        if file.task is not None:
            return file.task
        return max((task for task in self.tasks if file.may_hold(task)), key=len, default="")


@dataclass
class FoundRuns:
    """What a folder holds.

    Attributes:
        runs: that can be read.
        left_out: files that can't.
        orphans: sample files without a result file.
    """

    runs: list[Run] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    orphans: list[SampleFile] = field(default_factory=list)


def find_runs(folder: Path) -> FoundRuns:
    """All result files in and below a folder, or the one file that was named.

    Raises:
        ConfigError: the folder doesn't exist.
    """
    if not folder.exists():
        raise ConfigError(f"{folder} doesn't exist: pass a folder that lm_eval wrote results into.")
    found = FoundRuns()
    inside = folder.parent.iterdir() if folder.is_file() else files_below(folder)
    paths = sorted(inside)
    for path in [folder] if folder.is_file() else paths:
        if path.suffix == ".json" and not path.name.startswith("samples_"):
            _add(found, path)
    homes: dict[Path, list[Run]] = {}
    for run in found.runs:
        homes.setdefault(run.folder, []).append(run)
    owned: dict[Path, list[SampleFile]] = {home: [] for home in homes}
    for file in sample_files(paths):
        home = next((place for place in file.path.parents if place in homes), None)
        if home is not None:
            owned[home].append(file)
        elif file.task is not None and folder.is_dir():
            found.orphans.append(file)
    found.runs = [_with_samples(r, homes[r.folder], owned[r.folder]) for r in found.runs]
    return found


def parsed_arguments(value: Any) -> dict[str, Any]:
    """``a=1,b=2``, JSON, or a mapping; as a mapping."""
    if isinstance(value, Mapping):
        return dict(value)
    text = str(value or "").strip()
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError):
            return {}
    pairs = (item.split("=", 1) for item in text.split(",") if "=" in item)
    return {name.strip(): part.strip() for name, part in pairs}


def _add(found: FoundRuns, path: Path) -> None:
    """The run that a file holds, or why it holds none, where that was to be expected of it."""
    named = _NAME.fullmatch(path.name) is not None
    try:
        if not named and not _BEGINS.match(head(path)):
            return
        content = read_json(path)
        why = _foreign(content)
    except UnreadableError as error:
        why = str(error) if named else ""
    if why is None:
        found.runs.append(Run(path, _date(path, content), content))
    elif why or path.name.startswith("results"):
        found.left_out.append(LeftOut(str(path), why or "no result file of lm-eval"))


def _foreign(content: Any) -> str | None:
    """Whose result file it is, if not lm-eval's since 0.4; empty if nobody's that is known."""
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        return ""
    results = content["results"]
    if any(str(task).startswith("harness|") for task in results):
        return (
            "of the Open LLM Leaderboard before June 2024, whose files are not read: take the "
            "later leaderboard's details"
        )
    if "config_general" in content:
        return "written by lighteval, whose files are not read: evaluate with lm_eval"
    figures = [name for own in results.values() if isinstance(own, dict) for name in own]
    if not figures or not all(isinstance(own, dict) for own in results.values()):
        return "without a figure of any task" if "config" in content or not results else ""
    if "configs" not in content and not any("," in name for name in figures):
        return "written by lm-eval 0.3 or before, whose files are not read: evaluate with 0.4"
    return None


def _date(path: Path, content: Mapping[str, Any]) -> str:
    if dated := _dated(path):
        return dated.replace(":", "-")
    try:
        return datetime.fromtimestamp(float(content["date"])).isoformat().replace(":", "-")
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return ""


def _dated(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["date"] or "" if match is not None else ""


def _with_samples(run: Run, beside: Sequence[Run], files: Sequence[SampleFile]) -> Run:
    """A run with its sample files: of its date, from its folder or folders below without runs.

    Those of a date that no run has belong to the folder's only run, or only one without a date.
    """
    undated = [other for other in beside if not _dated(other.path)]
    heirs = beside if len(beside) == 1 else undated if len(undated) == 1 else ()
    dates = {other.date for other in beside if other.date}
    own = [
        file for file in files if (file.date == run.date if file.date in dates else run in heirs)
    ]
    return replace(run, samples=own)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
