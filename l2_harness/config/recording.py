"""What is recorded of a run, and where: the arguments of the foundation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.layers import LayerSelection
from l2_harness.config.options import boolean, choice, option, text


def _layers(name: str, value: Any) -> LayerSelection:
    return LayerSelection.parse(value)


@dataclass(frozen=True)
class RecordingConfig:
    """``record``, ``layers``, ``trace_dir`` and their companions.

    Raises:
        ConfigError: ``record=tokens`` without ``trace_dir``; ``trace_dir`` with ``record=off``.
    """

    layers: LayerSelection = option(
        LayerSelection(),
        _layers,
        "monitored layers: `late`, `all`, or a list such as `20-26+30`, from 0",
    )
    record: str = option(
        "summary",
        choice("off", "summary", "tokens"),
        "`summary`: mean norms a layer; `tokens`: every row as well, into `trace_dir`",
        affects="records",
    )
    trace_dir: str | None = option(
        None,
        text("a folder for trace files"),
        "folder for the trace files (Parquet)",
        affects="execution",
    )
    layers_path: str | None = option(
        None,
        text("the dotted path of the decoder layers, such as model.decoder.layers"),
        "where the decoder layers are, for a model in which they are not found",
    )
    resume: bool = option(
        True,
        boolean,
        "take responses that `trace_dir` holds from an earlier run of the same arguments",
        affects="execution",
    )
    samples_from: str | None = option(
        None,
        text("the trace folder of a run with record=tokens"),
        "take the samples that another run drew, given its trace folder, and only choose",
        affects="execution",
    )

    def __post_init__(self) -> None:
        if self.record == "tokens" and self.trace_dir is None:
            raise ConfigError(
                "record=tokens needs a folder for the trace files: pass trace_dir=DIR, "
                "or record=summary.",
                "record",
            )
        if self.record == "off" and self.trace_dir is not None:
            raise ConfigError(
                f"trace_dir={self.trace_dir!r} is given, but record=off records nothing: "
                "pass record=summary or record=tokens, or leave trace_dir out.",
                "trace_dir",
            )
        if self.record == "off" and self.samples_from is not None:
            raise ConfigError(
                "samples_from takes norms along with the samples, and record=off drops them: pass "
                "record=summary or record=tokens, or leave samples_from out.",
                "samples_from",
            )

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded."""
        return self.record != "off"
