"""Where the time of a run goes: seconds inside some functions, each second counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

#: Where a function is looked up when it is called: the module or class, and its name there.
Place = tuple[Any, str]


class PartTimes:
    """Exclusive seconds by part, filled while :meth:`watching`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def watching(self, parts: Mapping[str, Sequence[Place]]) -> Iterator[None]:
        """Time the functions of each part; what one calls of another counts there only.

        The rest of the time stands under ``everything else``.
        """
        with ExitStack() as stack:
            for name, places in parts.items():
                for owner, attribute in places:
                    timed = self._timed(name, getattr(owner, attribute))
                    stack.enter_context(patch.object(owner, attribute, timed))
            with self._part("everything else"):
                yield

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._part(name):
                return function(*args, **kwargs)

        return timed

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        self._inner.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            whole = time.perf_counter() - start
            own = whole - self._inner.pop()
            if self._inner:
                self._inner[-1] += whole
            self.seconds[name] = self.seconds.get(name, 0.0) + own
