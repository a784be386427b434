"""Options for what a command writes: refused before it has worked, where nothing can be put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def folder_option(help: str, **more: Any) -> Any:
    """``--out`` and the like for a folder, which is made."""
    return typer.Option(help=help, callback=_folder, **more)


def file_option(help: str, **more: Any) -> Any:
    """The same for a file."""
    return typer.Option(help=help, callback=_file, **more)


def _folder(param: typer.CallbackParam, path: Path | None) -> Path | None:
    return None if path is None else _below_folders(param, path, path)


def _file(param: typer.CallbackParam, path: Path | None) -> Path | None:
    from l2_harness.config.errors import ConfigError

    if path is None:
        return None
    if path.is_dir():
        raise ConfigError(
            f"{param.opts[0]} {path} is a folder, and a file is to be written: name one in it."
        )
    return _below_folders(param, path, path.parent)


def _below_folders(param: typer.CallbackParam, path: Path, folder: Path) -> Path:
    """``path``, if ``folder`` is one or can be made."""
    from l2_harness.config.errors import ConfigError

    for part in (folder, *folder.parents):
        if part.is_dir():
            break
        if part.exists() or part.is_symlink():
            what = "a file" if part.exists() else "a link to nothing"
            raise ConfigError(
                f"{param.opts[0]} {path} needs a folder where {part} is {what}: pass another path."
            )
    return path
