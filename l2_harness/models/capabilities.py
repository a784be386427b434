"""What the model classes of lm-eval can do for a suite, by the name that ``lm_eval --model`` has.

One entry a class: whoever asks what a class can do asks here, and imports no engine for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What one model class can do.

    Attributes:
        engine: what a suite's ``engine`` calls it; None for a class that is not ours.
        records: takes our arguments, records norms, and resumes from its traces.
        takes_samples_from: chooses among samples that another run drew.
        pool: of :func:`~l2_harness.models.pools.pooled_models`, the one that it takes its weights
            from; only they cost anything when a model of the class is made. None where it loads
            its own.
    """

    engine: str | None = None
    records: bool = False
    takes_samples_from: bool = False
    pool: str | None = None


_HF = Capabilities(pool="hf")
_CLASSES = {
    "hf": _HF,
    "hf-auto": _HF,
    "huggingface": _HF,
    "l2hf": Capabilities(engine="hf", records=True, takes_samples_from=True, pool="hf"),
    "l2vllm": Capabilities(engine="vllm", records=True, takes_samples_from=True, pool="vllm"),
}

#: The class that a suite means where it names none.
DEFAULT_CLASS = "l2hf"


def capabilities(model_class: str) -> Capabilities:
    """Those of a class; of one that is not known here, none."""
    return _CLASSES.get(model_class, Capabilities())


def engines() -> list[str]:
    """The engines that one of our classes runs on."""
    return [found.engine for found in _CLASSES.values() if found.engine is not None]


def class_of_engine(engine: str) -> str | None:
    """Our class on an engine, None where there is none."""
    return next((name for name, found in _CLASSES.items() if found.engine == engine), None)
