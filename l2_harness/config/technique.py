"""What a technique declares of itself, in one place: plain data, without torch.

The arguments are read from it, its maths is built by it, its counters reach the result file by
it, and its events reach traces and the report.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from l2_harness.config.options import option_names

#: A function or class, or where one is: ``package.module:name``, imported when it is needed.
Builder = Callable[..., Any] | str

#: What is counted at every layer, whatever acts there.
COMMON_COUNTERS: Mapping[str, str] = {
    "rows": "response rows that the layer's output was handed over for",
    "peaks": "rows with a finite norm above τ",
    "editable_rows": "rows that a technique may edit, its warm-up being over",
    "editable_peaks": "the peaks among them, which could be acted on",
    "non_finite": "states, of layers and of passes, that are not finite",
}


#: In ``LogKind.counts``, the row itself as a number.
ROW_INDEX = "row"


class TechniqueConfig:
    """Base of a technique's arguments: a frozen dataclass of options.

    Its first argument has the technique's name and turns it on; ``NAME_warmup``, if there is one,
    is a warm-up of its own.
    """

    @property
    def enabled(self) -> bool:
        """Whether the technique is on."""
        return bool(getattr(self, option_names(type(self))[0]) != "off")

    @property
    def acts_at(self) -> Literal["layers", "top"]:
        """Whether it edits the monitored layers' outputs, or the last layer's."""
        return "layers"

    @property
    def reruns(self) -> bool:
        """Whether it runs layers a second time."""
        return False

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Of the norms so far, those that it asks for."""
        return ()

    def layers_a_pass(self, n_layers: int) -> int:
        """How many of a model's ``n_layers`` layers one of its extra passes runs."""
        return 1

    def check_layers(self, layers: Sequence[int]) -> None:
        """Refuse monitored layers that it cannot work on.

        Raises:
            ConfigError: naming the argument and the way out.
        """


@dataclass(frozen=True)
class LogKind:
    """One kind of thing that a technique notes at a row, in the step log.

    Attributes:
        name: of the log entries, and of the trace's events that they become.
        columns: names of the numbers that are noted, in order.
        counts: counter → the column that is added up for it; None: the rows are counted;
            :data:`ROW_INDEX`: their indices in the response are.
        edited: the column that is above 0 where the state was edited.
        edit_counts: like ``counts``, of those rows alone.
        value: the column that is an event's ``value``; None: no events, it only counts.
        detail: the columns of an event's ``detail``.
        meaning: what happened, in a line for a legend.
        value_is: what an event's value is, in a word or two.
    """

    name: str
    columns: tuple[str, ...] = ()
    counts: Mapping[str, str | None] = field(default_factory=dict)
    edited: str | None = None
    edit_counts: Mapping[str, str | None] = field(default_factory=dict)
    value: str | None = None
    detail: tuple[str, ...] = ()
    meaning: str = ""
    value_is: str = "value"


@dataclass(frozen=True, kw_only=True)
class Technique:
    """Something that is done to hidden states.

    Attributes:
        config: its arguments.
        layer: ``layer(config, place)``, a
            :class:`~l2_harness.interventions.layer_technique.LayerTechnique`.
        top: ``top(config, layer, log)``, where it can act at the top.
        shared: ``shared(config, layers, n_slots)``, what its layers share in a pipeline
            (:class:`~l2_harness.interventions.layer_technique.Shared`), or None.
        counters: what it counts a response and a layer, and what each number is.
        log: what it notes. The order is that of events at the same row and layer.
        purposes: what it draws random numbers for → the number of that stream.
        passes: the counter of its extra passes, None where there are none.
        edits: the counter of its edits: states changed. ``NAME_change`` and ``NAME_places`` sum
            up how much each changed, ‖Δ‖/‖h‖, and at which row.
        matches: what its ``random`` control matches: its own kind, and the events of its edits.
    """

    config: type[TechniqueConfig]
    layer: Builder
    top: Builder | None = None
    shared: Builder | None = None
    counters: Mapping[str, str] = field(default_factory=dict)
    log: tuple[LogKind, ...] = ()
    purposes: Mapping[str, int] = field(default_factory=dict)
    passes: str | None = None
    edits: str | None = None
    matches: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The argument that turns it on."""
        return option_names(self.config)[0]


def numbered(*purposes: str) -> dict[str, int]:
    """Purposes with numbers of their own, made of their names."""
    digests = {name: hashlib.sha256(name.encode()).digest() for name in purposes}
    return {name: int.from_bytes(digest[:8], "little") for name, digest in digests.items()}


def built(builder: Builder) -> Callable[..., Any]:
    """What a builder is, imported where it is only named."""
    if not isinstance(builder, str):
        return builder
    module, name = builder.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
