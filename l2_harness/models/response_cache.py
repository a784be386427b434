"""lm-eval's store of responses (``--use_cache``), kept from answering what it should not.

lm-eval looks a request up by its own arguments. What model_args make of it, such as a technique, a
choice among samples or a temperature, it doesn't see: another run would get this run's responses,
and a request that is repeated to be sampled would get one response again and again.
"""

from __future__ import annotations

import math
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook, hash_args
from sqlitedict import SqliteDict


class OwnResponses(SqliteDict):
    """The store as one run sees it: lm-eval's keys with the run's mark before them.

    A score that is not finite is not stored: it is told of, and so it has to be met again.

    Attributes:
        mark: empty for a run whose responses are those of any plain run.
        refused: keys of responses that are neither stored nor found.
    """

    mark: str
    refused: set[str]

    def __contains__(self, key: object) -> bool:
        return key not in self.refused and super().__contains__(f"{self.mark}{key}")

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(self.mark + key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self.refused and _is_finite(value):
            super().__setitem__(self.mark + key, value)


def keep_apart(hook: CacheHook, mark: str) -> None:
    """Make the store behind a hook, which lm-eval holds already, this run's own.

    Args:
        hook: of ``LM.set_cache_hook``.
        mark: of the run.
    """
    store: Any = hook.dbdict
    if store is not None:
        store.__class__ = OwnResponses  # lm-eval has this very object, and asks it before us
        store.mark, store.refused = mark, set()


def refuse(hook: CacheHook, request: Instance) -> None:
    """A request's response is not to be stored: it was drawn, or has no numbers."""
    store: Any = hook.dbdict
    if isinstance(store, OwnResponses):
        store.refused.add(hash_args(request.request_type, request.args))


def _is_finite(answer: Any) -> bool:
    """Of a log-likelihood, which may stand beside whether it is the greedy one's; or any text."""
    score = answer[0] if isinstance(answer, tuple | list) else answer
    return not isinstance(score, float) or math.isfinite(score)
