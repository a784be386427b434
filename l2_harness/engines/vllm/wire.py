"""Messages between a worker and the process that drives it: plain text and plain arrays.

vLLM's remote calls carry bytes without a change, in one process and in several; nothing is
pickled.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

#: Name → array of plain numbers.
Arrays = dict[str, np.ndarray]

_HEADER = "header"


def packed(header: Any, arrays: Arrays | None = None) -> bytes:
    """A message: anything that JSON can say, and arrays."""
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, **{_HEADER: text}, **(arrays or {}))  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(message: bytes) -> tuple[Any, Arrays]:
    """What :func:`packed` was given."""
    with np.load(io.BytesIO(message), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return json.loads(arrays.pop(_HEADER).tobytes()), arrays
