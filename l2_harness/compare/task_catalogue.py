"""lm-eval's tasks as a suite sees them: which there are, what they consist of, their settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2_harness.paths import expanded, tasks_dir

#: Of the systems that this runs on; a longer text is a prompt.
_LONGEST_PATH = 4096


class TaskCatalogue:
    """This project's tasks, those of some folders, and lm-eval's own where a name needs them.

    Args:
        names: the tasks that are to be found. lm-eval's own fourteen thousand take seconds to
            index and are left alone where no name needs them; none of those is named ``l2_…``.
        include_path: further folders of task files; they win over ours and lm-eval's.
    """

    def __init__(self, names: Iterable[str], include_path: Sequence[str] = ()) -> None:
        self._folders = [str(tasks_dir()), *(str(expanded(p)) for p in include_path)]
        self._defaults = False
        self._index = self._manager().task_index
        missing = [name for name in names if not self.knows(name)]
        if any(not name.startswith("l2_") for name in missing):
            self._defaults = True
            self._index = self._manager().task_index

    @property
    def names(self) -> list[str]:
        """All tasks, groups and tags."""
        return list(self._index)

    def knows(self, name: str) -> bool:
        """Whether lm-eval would find it: by name, or as a task's file."""
        return name in self._index or _is_file(name)

    def leaves(self, name: str) -> list[str]:
        """The tasks that a name stands for: itself, or a group's or tag's members in order."""
        cfg = self._config(name)
        if "group" in cfg:
            members = cfg["task"] if isinstance(cfg["task"], list) else [cfg["task"]]
            return [leaf for member in members for leaf in self._member(member)]
        entry = self._index.get(name)
        if entry is not None and entry.cfg is None:  # a tag
            return sorted(entry.tags)
        return [str(cfg.get("task", name))]

    def describe(self, name: str) -> dict[str, Any]:
        """Each of its tasks' YAML, includes resolved and machine paths taken out.

        What changes a task's prompts or scores is in here: its settings, and digests of its
        functions' modules and of data files on this disk; not what a dataset's hub holds, and not
        the modules of installed packages.
        """
        found: dict[str, Any] = {}
        for task in dict.fromkeys([name, *self.leaves(name)]):
            entry = self._index.get(task)
            folder = str(entry.yaml_path.parent) if entry and entry.yaml_path else ""
            text = json.dumps(_with_digests(self._config(task)), sort_keys=True, default=str)
            found[task] = json.loads(text.replace(f"{folder}/", "") if folder else text)
        return found

    def generation_kwargs(self, name: str) -> list[dict[str, Any]]:
        """Of each of its tasks that generates."""
        configs = [self._config(task) for task in self.leaves(name)]
        return [
            dict(cfg.get("generation_kwargs") or {})
            for cfg in configs
            if cfg.get("output_type") == "generate_until"
        ]

    def metrics(self, name: str) -> list[str]:
        """The metrics that the YAML of its first task names; none where it names none."""
        metrics = self._config(self.leaves(name)[0]).get("metric_list") or []
        return [str(metric["metric"]) for metric in metrics if isinstance(metric, dict)]

    def manager_with(self, metadata: Mapping[str, Any]) -> Any:
        """A TaskManager whose tasks get this metadata, as lm-eval's command makes it."""
        return self._manager(dict(metadata))

    def _manager(self, metadata: dict[str, Any] | None = None) -> Any:
        from lm_eval.tasks import TaskManager

        return TaskManager(
            include_path=list(self._folders), include_defaults=self._defaults, metadata=metadata
        )

    def _member(self, member: Any) -> list[str]:
        """A group lists names, or mappings that change what they name."""
        if isinstance(member, Mapping):
            member = member.get("task") or member.get("group")
        if isinstance(member, list):
            return [leaf for one in member for leaf in self._member(one)]
        return self.leaves(str(member)) if self.knows(str(member)) else [str(member)]

    def _config(self, name: str) -> dict[str, Any]:
        entry = self._index.get(name)
        if entry is not None:
            return dict(entry.cfg or {})
        if _is_file(name):
            from lm_eval.tasks._yaml_loader import load_yaml

            return dict(load_yaml(Path(name), resolve_func=False, recursive=True))
        return {}


def _with_digests(value: Any) -> Any:
    """The same, with what is in them after the names of files and of functions in files."""
    if isinstance(value, Mapping):
        return {key: _with_digests(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_digests(part) for part in value]
    files = _files_of(value) if isinstance(value, str) else []
    if not files:
        return value
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{value} {digest.hexdigest()[:16]}"


def _files_of(name: str) -> list[Path]:
    """A data file itself; of a function's module all modules beside it, which it may import."""
    if len(name) > _LONGEST_PATH or "\n" in name or "\0" in name:
        return []
    if Path(name).is_file():
        return [Path(name)]
    module = Path(f"{name.rpartition('.')[0]}.py")
    return sorted(module.parent.glob("*.py")) if module.is_file() else []


def _is_file(name: str) -> bool:
    return name.endswith(".yaml") and Path(name).is_file()
