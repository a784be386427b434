"""The one list of what model classes can do, against what is registered and what classes are."""

from __future__ import annotations

import importlib

from l2_harness.models.capabilities import (
    DEFAULT_CLASS,
    Capabilities,
    capabilities,
    class_of_engine,
    engines,
)
from l2_harness.registration.names import MODELS


def test_our_classes_are_those_that_are_registered() -> None:
    assert all(capabilities(name).records for name in MODELS)
    assert DEFAULT_CLASS in MODELS


def test_classes_that_pool_weights_load_them_as_hflm_does() -> None:
    """The pool stands in for ``HFLM._create_model``."""
    import lm_eval.models  # noqa: F401  (registers them)
    from lm_eval.api.registry import get_model
    from lm_eval.models.huggingface import HFLM

    for name in ("hf", "hf-auto", "huggingface"):
        assert capabilities(name).pool == "hf"
        assert issubclass(get_model(name), HFLM)
    module, cls = MODELS["l2hf"].split(":")
    assert issubclass(getattr(importlib.import_module(module), cls), HFLM)
    assert capabilities("l2hf").pool == "hf"


def test_every_engine_has_its_class() -> None:
    assert [class_of_engine(engine) for engine in engines()] == list(MODELS)
    assert class_of_engine("none such") is None


def test_a_class_that_is_not_known_can_do_nothing_for_us() -> None:
    assert capabilities("local-completions") == Capabilities()
