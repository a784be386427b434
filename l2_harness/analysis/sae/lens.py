"""sae-lens, imported where it is used and kept quiet."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any


def sae_lens() -> Any:
    """The package; the first call takes seconds."""
    import sae_lens as package

    return package


def architectures() -> list[str]:
    """What this sae-lens can train, as its own registry lists it."""
    sae_lens()
    from sae_lens.registry import SAE_TRAINING_CLASS_REGISTRY

    return list(SAE_TRAINING_CLASS_REGISTRY)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without sae-lens' progress bars and its warnings about what is done on purpose here."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
