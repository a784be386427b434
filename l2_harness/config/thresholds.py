"""Where the threshold τ of a layer comes from: the ``threshold_*`` arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2_harness.config.errors import ConfigError
from l2_harness.config.numbers import as_number, number, whole
from l2_harness.config.options import boolean, choice, option, text

#: The percentiles that a calibration file holds (see ``l2_harness.norms.calibration``).
CALIBRATED_PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)

_FORM = "LAYER:VALUE joined by +, such as threshold_values=20:31.5+21:33"
_LAYER = re.compile(r"\d{1,5}")
_ITEM = re.compile(r"\s*(\d{1,5})\s*:\s*([^\s:]+)\s*")


@dataclass(frozen=True)
class LayerValues:
    """A threshold for each of some layers, written ``20:31.5+21:33`` or as a JSON object.

    ``+`` separates the items, since lm-eval splits ``--model_args`` at commas.
    """

    items: tuple[tuple[int, float], ...]

    @classmethod
    def parse(cls, name: str, value: Any) -> LayerValues:
        """From text such as ``20:31.5+21:33``, or a mapping of layers to numbers.

        Raises:
            ConfigError: any other form, a value that is not above 0, or a layer given twice.
        """
        if isinstance(value, LayerValues):
            return value
        pairs = [_pair(name, value, *item) for item in _items(name, value)]
        layers = [layer for layer, _ in pairs]
        if not pairs or len(set(layers)) < len(layers):
            raise ConfigError(
                f"{name}={value!r} is empty or names a layer twice. Pass {_FORM}.", name
            )
        return cls(tuple(sorted(pairs)))

    def of_layers(self, layers: Sequence[int]) -> dict[int, float]:
        """The values of the monitored layers.

        Raises:
            ConfigError: a monitored layer without a value.
        """
        known = dict(self.items)
        missing = [layer for layer in layers if layer not in known]
        if missing:
            raise ConfigError(
                f"threshold_values={self} has no value for layer {missing[0]}, which is monitored. "
                f"Give one for each of the layers {'+'.join(map(str, layers))}, or pass layers= "
                "with those that have one.",
                "threshold_values",
            )
        return {layer: known[layer] for layer in layers}

    def __str__(self) -> str:
        return "+".join(f"{layer}:{value:g}" for layer, value in self.items)


def _items(name: str, value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    matches = [_ITEM.fullmatch(item) for item in str(value).split("+")]
    if not isinstance(value, str) or None in matches:
        raise ConfigError(f"{name}={value!r} is malformed. Pass {_FORM}.")
    return [(match[1], match[2]) for match in matches if match]


def _pair(name: str, whole_value: Any, layer: Any, value: Any) -> tuple[int, float]:
    found = as_number(value)
    if not _LAYER.fullmatch(str(layer)) or found is None or found <= 0:
        raise ConfigError(
            f"{name}={whole_value!r} has {layer}:{value}: a layer counts from 0 and its threshold "
            f"is a number above 0. Pass {_FORM}."
        )
    return int(layer), found


def _calibrated_quantile(name: str, value: Any) -> float:
    found = as_number(value)
    allowed = [percent / 100 for percent in CALIBRATED_PERCENTS]
    if found not in allowed:
        raise ConfigError(
            f"{name}={value!r} is not among the quantiles of a calibration file. "
            f"Allowed: {', '.join(f'{q:g}' for q in allowed)}."
        )
    return float(found)


@dataclass(frozen=True)
class ThresholdConfig:
    """``threshold``, ``threshold_*``, ``calibration`` and ``intervene_on``.

    Raises:
        ConfigError: ``threshold_values`` without ``threshold=fixed`` or the other way round;
            ``calibration`` without ``threshold=calibrated`` or the other way round; a
            calibration file that is not there.
    """

    threshold: str = option(
        "iqr",
        choice("iqr", "fixed", "calibrated"),
        "`iqr`: Q3 + k·(Q3 − Q1) of the norms so far; `fixed`: `threshold_values`; "
        "`calibrated`: a quantile from the file `calibration`",
    )
    threshold_k: float = option(1.5, number(0), "k of `threshold=iqr`")
    threshold_scope: str = option(
        "request",
        choice("request", "pooled"),
        "whose norms count: `request`, one response's; `pooled`, all of the run's so far, so that "
        "another order, another batch size or a resumed run gives other responses",
    )
    threshold_warmup: int = option(
        32,
        whole(0),
        "rows at the start that are never edited: of the response, or of the run where "
        "`threshold_scope=pooled`",
    )
    threshold_values: LayerValues | None = option(
        None, LayerValues.parse, "thresholds of `threshold=fixed`: `20:31.5+21:33`"
    )
    threshold_quantile: float = option(
        0.9, _calibrated_quantile, "the quantile that `threshold=calibrated` takes from its file"
    )
    calibration: str | None = option(
        None, text("the file that `l2-harness calibrate` wrote"), "file of `threshold=calibrated`"
    )
    threshold_prompt: bool = option(
        False,
        boolean,
        "the prompt's rows count towards the threshold and the warm-up; not its first position nor "
        "rows above ten times its median norm (attention sinks) towards the threshold",
    )
    intervene_on: str = option(
        "decode",
        choice("decode", "all"),
        "`decode`: responses; `all`: the scored continuations of loglikelihood requests too, "
        "with the threshold of their context's rows, sinks left out as for `threshold_prompt` (in "
        "loglikelihood_rolling, of the rows so far, as in a response)",
    )

    def __post_init__(self) -> None:
        self._check_partner("fixed", "threshold_values", "20:31.5+21:33")
        self._check_partner("calibrated", "calibration", "FILE (l2-harness calibrate writes it)")
        if self.calibration is not None and not Path(self.calibration).is_file():
            raise ConfigError(
                f"calibration={self.calibration!r} is not a file. "
                "Write one with l2-harness calibrate, or pass the path of one.",
                "calibration",
            )

    def _check_partner(self, kind: str, name: str, example: str) -> None:
        value = getattr(self, name)
        if self.threshold == kind and value is None:
            raise ConfigError(
                f"threshold={kind} needs {name}: pass {name}={example}, or threshold=iqr.",
                "threshold",
            )
        if self.threshold != kind and value is not None:
            raise ConfigError(
                f"{name}={str(value)!r} is given, but threshold={self.threshold} does not read "
                f"it: pass threshold={kind}, or leave {name} out.",
                name,
            )
