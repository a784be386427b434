"""lm-eval's result files: where they are, and what they say about their run.

``<stem>_<date>.json``, which is ``results_<date>.json`` unless ``--output_path`` names a file. The
date is ``datetime.isoformat()`` with ``-`` for ``:``. Written by versions 0.4.3 to 0.4.13.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.model_args import affecting

_NAME = re.compile(r".+_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.json")
#: Which model it is; the first that model_args hold.
_MODEL_KEYS = ("pretrained", "model", "path", "engine")


@dataclass(frozen=True, eq=False)
class Run:
    """One result file.

    Attributes:
        path: of the file.
        date: in its name; later dates sort later.
        content: what it holds.
    """

    path: Path
    date: str
    content: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where its sample files are."""
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
        return str(named[0] if named else self.model_class or self.content.get("model_name"))

    @property
    def seed(self) -> int | None:
        """The seed that samples are drawn with."""
        ours = _mapping(self.config.get("l2")).get("seed")
        for value in (self.model_args.get("seed"), ours, self.config.get("torch_seed")):
            try:
                return int(value)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                continue
        return None

    @cached_property
    def distinguishing(self) -> dict[str, Any]:
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

    def table(self, name: str) -> Mapping[str, Any]:
        """A part of the file that maps names of tasks, empty where it is missing."""
        return _mapping(self.content.get(name))


def find_runs(folder: Path) -> list[Run]:
    """All result files in and below a folder, or the one file that was named.

    Raises:
        ConfigError: there are none, or a file that can't be read as one.
    """
    if not folder.exists():
        raise ConfigError(f"{folder} doesn't exist: pass a folder that lm_eval wrote results into.")
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.json"))
    runs = []
    for path in paths:
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        content = _read(path)
        if content is not None:
            runs.append(Run(path, match["date"], content))
    if not runs:
        raise ConfigError(
            f"{folder} holds no result file of lm-eval, results_<date>.json. Run lm_eval with "
            "--output_path, and with --log_samples for comparisons question by question."
        )
    return runs


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


def _read(path: Path) -> Mapping[str, Any] | None:
    """None for JSON that is something else's."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} can't be read ({error}): leave it out, or run that evaluation again."
        ) from error
    known = isinstance(content, dict) and isinstance(content.get("results"), dict)
    return content if known else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
