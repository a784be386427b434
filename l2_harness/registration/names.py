"""The names this project adds to lm-eval's registry. Imported once lm-eval is there."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

#: Name for ``lm_eval --model`` -> where its class is. pyproject.toml repeats it as entry points.
MODELS = {
    "l2hf": "l2_harness.models.hf.l2hf:L2HF",
    "l2vllm": "l2_harness.models.vllm.l2vllm:L2VLLM",
}

#: Name for ``function`` in a task's filter_list -> where its class is.
FILTERS = {
    "l2_select": "l2_harness.lm_eval_filters:SelectFilter",
    "l2_majority": "l2_harness.lm_eval_filters:MajorityFilter",
    "l2_vote": "l2_harness.lm_eval_filters:VoteFilter",
    "l2_confidence_vote": "l2_harness.lm_eval_filters:ConfidenceVoteFilter",
    "l2_borda": "l2_harness.lm_eval_filters:BordaFilter",
}


def lm_eval_registry() -> ModuleType:
    """``lm_eval.api.registry``, new enough to hold a model that is not imported yet.

    Raises:
        ImportError: lm-eval is not installed, or is older than 0.4.13.
    """
    from lm_eval.api import registry

    if not hasattr(registry, "model_registry"):
        raise ImportError("this lm-eval is too old for l2_harness: install lm-eval>=0.4.13")
    return registry


def discovers_entry_points(registry: ModuleType) -> bool:
    """Whether this lm-eval reads entry points itself (its pull request 4013, for 0.5)."""
    return callable(getattr(registry, "load_plugins", None))


def add_names() -> tuple[str, ...]:
    """Put a placeholder for each missing name into lm-eval's registry; the names added.

    lm-eval imports a class when its name is first asked for.

    Raises:
        ImportError: lm-eval is not installed, or is older than 0.4.13.
    """
    registry = lm_eval_registry()
    return (
        *_add(registry.model_registry, MODELS),
        *_add(registry.filter_registry, FILTERS),
    )


def _add(registry: Any, targets: Mapping[str, str]) -> list[str]:
    added = [name for name in targets if name not in registry]
    for name in added:
        registry.register(name, target=targets[name])
    return added


def add_names_where_needed() -> None:
    """What the import hook calls: adds the names unless lm-eval finds them itself.

    Never raises, since lm-eval must go on working: a failure is logged as a warning.
    """
    try:
        if not discovers_entry_points(lm_eval_registry()):
            add_names()
    except Exception as error:  # whatever it is, lm-eval's own import must not fail on it
        import logging

        logging.getLogger(__name__).warning(
            "l2_harness could not add its names (%s) to lm-eval: %s",
            ", ".join((*MODELS, *FILTERS)),
            error,
        )
