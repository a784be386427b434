"""Things that are declared once and found by name, from this package or from outside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """Anything with a name of its own."""

    @property
    def name(self) -> str:
        """By which it is found."""


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Declarations in the order in which they were added.

    Args:
        kind: what they are, for errors.
        declared: the first of them.
    """

    def __init__(self, kind: str, declared: Iterable[T] = ()) -> None:
        self._kind = kind
        self._by_name: dict[str, T] = {}
        for one in declared:
            self.add(one)

    def add(self, declared: T) -> None:
        """Take one more, for as long as the process runs.

        Raises:
            ValueError: there is one of that name.
        """
        if declared.name in self._by_name:
            raise ValueError(
                f"a {self._kind} named {declared.name!r} is declared already. Give one of the two "
                "another name."
            )
        self._by_name[declared.name] = declared

    @contextmanager
    def temporarily(self, declared: T) -> Iterator[None]:
        """Have one more inside a ``with`` block."""
        self.add(declared)
        try:
            yield
        finally:
            del self._by_name[declared.name]

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._by_name.values()))

    def __getitem__(self, name: str) -> T:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of adding."""
        return tuple(self._by_name)
