"""Captured states, read: blocks of responses, rows at random, columns of the index.

A row is numbered over all parts, in the order of :attr:`StateStore.index`. Layer files are
memory-mapped, so that only what is asked for is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from l2_harness.analysis.states import layout
from l2_harness.config.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Block:
    """Some responses' states at one layer.

    Attributes:
        responses: (n,) which ones, positions in the store's index.
        lengths: (n,) their rows, which lie one after another.
        states: (rows, d) float32.
    """

    responses: np.ndarray
    lengths: np.ndarray
    states: Tensor


class StateStore:
    """A folder that ``l2-harness capture`` wrote.

    Args:
        folder: the folder.

    Attributes:
        settings: what ``states.json`` says.
        index: a row a response: the key, ``question``, ``rows``, ``thinking_end``, ``first_row``.
        layers: the captured ones.

    Raises:
        ConfigError: it holds no states.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = layout.read_settings(folder)
        self.layers: tuple[int, ...] = tuple(self.settings["layers"])
        self._parts = layout.part_folders(folder)
        if not self._parts:
            raise ConfigError(f"{folder} holds no complete part: run the same capture again.")
        columns = [*layout.KEY, "question", "rows", "thinking_end"]
        self.index: pd.DataFrame = self._read(columns)
        self.index["first_row"] = self.index["rows"].cumsum() - self.index["rows"]
        self._maps: dict[tuple[int, int], np.ndarray] = {}

    @property
    def has_entropies(self) -> bool:
        """Whether ``lens_entropy`` and ``attention_entropy`` were captured."""
        return bool(self.settings.get("entropies", False))

    @property
    def d_model(self) -> int:
        """Components of a state."""
        return int(self.settings["d_model"])

    @property
    def n_rows(self) -> int:
        """Rows of all responses."""
        return int(self._part_ends[-1])

    def responses(self, *, task: str | None = None, questions: Any = None) -> np.ndarray:
        """Positions of the responses of a task, to some questions; of all without either."""
        keep = np.ones(len(self.index), dtype=bool)
        if task is not None:
            keep &= (self.index["task"] == task).to_numpy()
        if questions is not None:
            keep &= self.index["question"].isin(set(questions)).to_numpy()
        return np.flatnonzero(keep)

    def rows_of(self, responses: np.ndarray) -> np.ndarray:
        """The numbers of the rows of some responses, one response after another."""
        first = self.index["first_row"].to_numpy()[responses]
        lengths = self.index["rows"].to_numpy()[responses]
        starts = np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
        return np.asarray(starts + np.arange(int(lengths.sum())))

    def take(self, layer: int, rows: np.ndarray) -> Tensor:
        """(n, d) float32, the states of any rows at a layer, in the order asked for.

        Raises:
            ConfigError: a layer that was not captured.
        """
        self._check_layer(layer)
        out = torch.empty(len(rows), self.d_model)
        part = np.searchsorted(self._part_ends, rows, side="right")
        for number in np.unique(part):
            where = np.flatnonzero(part == number)
            own = rows[where] - (self._part_ends[number - 1] if number else 0)
            order = np.argsort(own, kind="stable")  # a file is read forwards
            found = self._as_float(self._map(int(number), layer)[own[order]])
            out[torch.from_numpy(where[order])] = found
        return out

    def blocks(
        self, layer: int, responses: np.ndarray | None = None, max_rows: int = 8192
    ) -> Iterator[Block]:
        """Responses in the order given, so many at a time that ``max_rows`` isn't exceeded.

        A response with more rows than that comes alone.
        """
        chosen = self.responses() if responses is None else responses
        lengths = self.index["rows"].to_numpy()[chosen]
        for start, end in chunks(lengths, max_rows):
            states = self.take(layer, self.rows_of(chosen[start:end]))
            yield Block(chosen[start:end], lengths[start:end], states)

    def values(self, name: str, responses: np.ndarray | None = None) -> np.ndarray:
        """(rows,) ``entropy``, ``margin``, ``logprob`` or ``tokens`` of the responses' rows."""
        return np.concatenate(self.lists(name, responses))

    def by_layer(self, name: str, responses: np.ndarray | None = None) -> np.ndarray:
        """(rows, layers) ``norms``, ``change`` or an entropy of the responses' rows."""
        return self.values(name, responses).reshape(-1, len(self.layers))

    def lists(self, name: str, responses: np.ndarray | None = None) -> list[np.ndarray]:
        """A column of the index that has a list for each response."""
        found = self._read([name])[name]
        chosen = self.responses() if responses is None else responses
        return [np.asarray(found.iloc[i]) for i in chosen]

    def input_tokens(self, responses: np.ndarray) -> np.ndarray:
        """(rows,) the token that stands at each row: row 0 is the prompt's last."""
        prompts = self.lists("prompt_ids", responses)
        tokens = self.lists("tokens", responses)
        pairs = zip(prompts, tokens, strict=True)
        return np.concatenate([np.concatenate([p[-1:], t[:-1]]) for p, t in pairs])

    def square_sums(self) -> np.ndarray:
        """(layers, d) float64, the sums of squares of the components over all rows."""
        wanted = np.dtype("f8"), (len(self.layers), self.d_model)
        files = [part / layout.SQUARE_SUMS for part in self._parts]
        return np.sum([_mapped(file, *wanted) for file in files], axis=0)

    @cached_property
    def _part_ends(self) -> np.ndarray:
        return np.cumsum(
            [int(layout.read_index(part, ["rows"])["rows"].sum()) for part in self._parts]
        )

    def _read(self, columns: Sequence[str]) -> pd.DataFrame:
        import pandas as pd

        return pd.concat(
            [layout.read_index(part, columns) for part in self._parts], ignore_index=True
        )

    def _map(self, part: int, layer: int) -> np.ndarray:
        if (part, layer) not in self._maps:
            path = self._parts[part] / layout.layer_file(layer)
            rows = int(np.diff(self._part_ends, prepend=0)[part])
            wanted = (np.dtype(layout.STORED[self.settings["dtype"]]), (rows, self.d_model))
            self._maps[part, layer] = _mapped(path, *wanted)
        return self._maps[part, layer]

    def _as_float(self, values: np.ndarray) -> Tensor:
        if self.settings["dtype"] == "bfloat16":
            return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16).float()
        return torch.from_numpy(values.astype(np.float32))

    def _check_layer(self, layer: int) -> None:
        if layer not in self.layers:
            listed = "+".join(str(known) for known in self.layers)
            raise ConfigError(
                f"{self.folder} holds the layers {listed}, and layer {layer} is asked for: capture "
                "it too, into another folder."
            )


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, int]) -> np.ndarray:
    """A file of numbers, of which only what is asked for is read.

    Raises:
        ConfigError: it is damaged, or not of this type and shape.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray) or (found.dtype, found.shape) != (dtype, shape):
            raise ValueError(f"no array of {dtype} and shape {shape}")
        return found
    # a header is read as Python, and fails as Python does
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, TypeError) as error:
        raise layout.damaged(path, error) from error


def chunks(lengths: np.ndarray, limit: int) -> Iterator[tuple[int, int]]:
    """Ranges of neighbours whose lengths add up to at most ``limit``, or of one that exceeds it."""
    start, total = 0, 0
    for position, length in enumerate(lengths):
        if position > start and total + length > limit:
            yield start, position
            start, total = position, 0
        total += int(length)
    if len(lengths) > start:
        yield start, len(lengths)
