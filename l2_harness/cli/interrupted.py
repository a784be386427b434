"""A command that Ctrl-C stopped."""

from __future__ import annotations


class Interrupted(Exception):  # noqa: N818 - what happened is no error
    """The user stopped a command; the message says how to go on."""

    def __str__(self) -> str:
        return "interrupted; the same command goes on from what it had finished"
