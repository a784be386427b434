"""YAML whose every value knows the line it stands on, so that an error can say where to look."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from l2_harness.config.errors import ConfigError, nearest
from l2_harness.config.options import Parser

_MOST_VALUES = 100_000
#: Octal, and numbers to the base of sixty: nobody means them.
_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?)")


@dataclass(frozen=True, eq=False)
class Entry:
    """A value of a file.

    Attributes:
        value: a dict or list of entries, or a plain scalar.
        raw: the scalar as it is written; ``null`` of a value that YAML takes for nothing.
        file: the file's name, as errors show it.
        line: from 1.
    """

    value: Any
    raw: str
    file: str
    line: int

    def error(self, message: str) -> ConfigError:
        """``message`` with the place in front."""
        return ConfigError(f"{self.file}, line {self.line}: {message}")

    def plain(self) -> Any:
        """The value without its marks."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value

    def mapping(self, what: str) -> dict[str, Entry]:
        """The value as a mapping; nothing at all is an empty one."""
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.error(f"{what} is a mapping of names; this is {self.raw!r}.")
        return self.value

    def sequence(self, what: str) -> list[Entry]:
        """The value as a list; a single scalar is a list of one."""
        if isinstance(self.value, dict) or self.value is None:
            raise self.error(f"{what} is a list, such as [a, b]; this is {self.raw!r}.")
        return self.value if isinstance(self.value, list) else [self]

    def over(self, base: Entry | None) -> Entry:
        """This value over another: mappings key by key, anything else in its place."""
        if base is None or not isinstance(base.value, dict):
            return self
        return replace(self, value={**base.value, **self.mapping("the value")})

    def allow(self, what: str, allowed: Iterable[str]) -> dict[str, Entry]:
        """The value as a mapping that has no other keys.

        Raises:
            ConfigError: an unknown key, with the nearest known one.
        """
        allowed = list(allowed)
        entries = self.mapping(what)
        for key, entry in entries.items():
            if key not in allowed:
                raise entry.error(f"{what}: {unknown('key', key, allowed)}")
        return entries


def read_scalar(parse: Parser) -> Parser:
    """A parser of words and numbers, for an :class:`Entry`: an error says where to look."""

    def read(name: str, entry: Entry) -> Any:
        if isinstance(entry.value, (dict, list)):
            raise entry.error(f"{name} is a single value; this is {entry.raw!r}.")
        try:
            return parse(name, entry.raw)
        except ConfigError as error:
            raise entry.error(str(error)) from error

    return read


def nullable(parse: Parser) -> Parser:
    """The same, and None for a null."""
    return lambda name, entry: None if entry.value is None else parse(name, entry)


def read_list(parse: Parser) -> Parser:
    """The same of every item of a list, as a tuple."""
    return lambda name, entry: tuple(parse(name, item) for item in entry.sequence(name))


def read_mapping(name: str, entry: Entry) -> dict[str, Any]:
    """A mapping of names to plain values of any kind."""
    return {key: value.plain() for key, value in entry.mapping(name).items()}


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """``unknown key 'metods'; did you mean 'methods'? Allowed: models, tasks, …``."""
    allowed = list(allowed)
    match = nearest(name, allowed)
    hint = f"; did you mean {match!r}?" if match else "."
    return f"unknown {kind} {name!r}{hint} Allowed: {', '.join(allowed)}."


def read_marked(path: Path) -> Entry:
    """The file's one document.

    Raises:
        ConfigError: no such file, no YAML, a key twice, or a merge key.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ConfigError(f"{path} can't be read: {reason}.") from error
    return marked(text, str(path))


def marked(text: str, file: str) -> Entry:
    """As :func:`read_marked`, of a text."""
    try:
        return _document(text, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{file}{line}: no YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())
        raise ConfigError(f"{file}: no YAML: {first}.") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: no suite: nested too deeply.") from error


def _document(text: str, file: str) -> Entry:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{file} is empty. A suite has models, tasks and methods.")
        # an alias stands for all that its anchor holds, and aliases of aliases for more than fits
        loader.values_left = _MOST_VALUES
        return _entry(loader, node, file, ())
    finally:
        loader.dispose()


def _entry(loader: Any, node: yaml.Node, file: str, above: tuple[int, ...]) -> Entry:
    line = node.start_mark.line + 1
    loader.values_left -= 1
    if loader.values_left < 0:
        raise ConfigError(
            f"{file}, line {line}: more than {_MOST_VALUES} values, aliases (*name) written out. "
            "Split the suite."
        )
    if id(node) in above:
        raise ConfigError(f"{file}, line {line}: this value contains itself. Write it out.")
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        return Entry(_mapping(loader, node, file, above), "a mapping", file, line)
    if isinstance(node, yaml.SequenceNode):
        return Entry([_entry(loader, n, file, above) for n in node.value], "a list", file, line)
    try:
        value = loader.construct_object(node)
    # a tag such as !!timestamp or !!int of what is none fails as it happens
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise ConfigError(
            f"{file}, line {line}: {node.value!r} can't be read ({error}). Put it in quotes."
        ) from error
    raw = str(node.value)
    if isinstance(value, int | float) and _OTHER_BASE.fullmatch(raw):
        raise ConfigError(
            f"{file}, line {line}: YAML reads {raw} as the number {value}. Write that, or put it "
            "in quotes."
        )
    return Entry(value, raw, file, line)


def _mapping(
    loader: Any, node: yaml.MappingNode, file: str, above: tuple[int, ...]
) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{file}, line {line}: a key is a plain word.")
        key = str(key_node.value)
        if key == "<<":
            raise ConfigError(
                f"{file}, line {line}: a suite takes no merge keys (<<): write `extends: NAME` "
                "in a method, or write it out."
            )
        if key in entries:
            raise ConfigError(
                f"{file}, line {line}: {key!r} is there already, on line {lines[key]}. Give one "
                "of the two another name, or remove it."
            )
        value = _entry(loader, value_node, file, above)
        # an error about a value that is nested points at its key
        entries[key] = Entry(value.value, value.raw, file, line)
        lines[key] = line
    return entries
