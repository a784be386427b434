"""Options of lm-eval's that the commands which run it share, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

AS_FOR_LM_EVAL = "As for lm_eval."

TaskNames = Annotated[str, typer.Option(help="lm-eval tasks, joined by commas.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Documents a task.")]
BatchSize = Annotated[str, typer.Option("--batch_size", "--batch-size", help=AS_FOR_LM_EVAL)]


def usable_device(name: str | None) -> str | None:
    """A device that torch has here."""
    if name is None or name == "cpu":
        return name
    import torch

    from l2_harness.config.errors import ConfigError

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name} can't be used here: {reason}") from error
    return name


Device = Annotated[str | None, typer.Option(help=AS_FOR_LM_EVAL, callback=usable_device)]
TaskFiles = Annotated[
    Path | None,
    typer.Option(
        "--include_path", "--include-path", exists=True, file_okay=False, help="More task files."
    ),
]
GenKwargs = Annotated[str, typer.Option("--gen_kwargs", "--gen-kwargs", help=AS_FOR_LM_EVAL)]
ChatTemplate = Annotated[
    bool,
    typer.Option(
        "--apply_chat_template/--no_chat_template",
        "--apply-chat-template/--no-chat-template",
        help=AS_FOR_LM_EVAL,
    ),
]


def words_of(text: str | None) -> tuple[str, ...]:
    """``a, b`` as a and b."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def arguments_of(option: str, text: str) -> dict[str, Any]:
    """``a=1,b=2`` or JSON, as lm-eval reads its own; each name once, and with its value.

    Args:
        option: whose text it is, for the error.
        text: may be empty.

    Raises:
        ConfigError: it is neither, or a name is there twice.
    """
    from l2_harness.config.errors import ConfigError
    from l2_harness.json_text import parse_json

    if not text:
        return {}
    if text.lstrip().startswith("{"):
        try:
            return dict(parse_json(text))
        except ValueError as error:
            raise ConfigError(f"{option}={text!r} is no JSON ({error}).") from error
    from lm_eval.utils import simple_parse_args_string

    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    names = [name.strip() for name, _, _ in parts]
    if not all(names) or not all(equals for _, equals, _ in parts):
        raise ConfigError(f"{option}={text!r} isn't of the form a=1,b=2.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{option}={text!r} gives {twice[0]!r} twice.")
    return {name.strip(): value for name, value in simple_parse_args_string(text).items()}


def batch_size_of(text: str) -> int | str:
    """A number, or lm-eval's ``auto`` with what follows it.

    Raises:
        ConfigError: it is neither.
    """
    from l2_harness.config.batch_size import batch_size

    return batch_size("--batch-size", text)
