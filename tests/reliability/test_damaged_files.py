"""Every reader of files × every kind of damage: refused in words that name the file.

Readers that go on without a damaged file (trace parts, lm-eval's samples and results) have tests of
their own beside them; here nothing but their own errors may come.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import parsers
import pytest

from l2_harness.config.errors import ConfigError

ran: list[str] = []


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return ran.append, ("unpickled",)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2.npy", bytes(300 * 2**20))
    return file.getvalue()


def _index_bomb() -> bytes:
    """Less than a megabyte with 400 million values, none of which is there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({f"column {i}": pa.nulls(10**6) for i in range(400)}), file)
    return file.getvalue()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "a pickle": lambda whole: pickle.dumps(Malicious()),
    "another's JSON": lambda whole: b'[{"results": 1}]',
    "another's bytes": lambda whole: b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "packed": gzip.compress,
    "nested": lambda whole: b"[" * 100_000,
}
OBJECTS: Any = np.array([Malicious()], dtype=object)
STATES = (_json(parsers.STATES), parsers.index(), parsers.npy())

#: reader → its files, which of them is damaged, what an error has to tell of its name
READERS: dict[str, tuple[tuple[bytes, ...], int, str]] = {
    "suites": ((parsers.SUITE.encode(),), 0, "s.yaml"),
    "samples from elsewhere": ((b"\n".join(map(_json, parsers.JSONL)),), 0, "x.jsonl"),
    "calibration": ((_json(parsers.CALIBRATION),), 0, "c.json"),
    "features": ((_json(parsers.FEATURES),), 0, "features.json"),
    "cells": ((_json(parsers.CELL),), 0, "cell.json"),
    "sections": ((_json(parsers.SECTION), parsers.TABLE), 0, "section.json"),
    "states": (STATES, 0, "states.json"),
    "states, index": (STATES, 1, "index.parquet"),
    "states, layer": (STATES, 2, "layer-001.npy"),
    "directions": ((parsers.npz(),), 0, "d.npz"),
    "local rows": ((_json({"question": "q"}), b"{}"), 0, "x.jsonl"),
}
#: Damage that one reader knows: newer versions, wrong shapes, values and types, bombs.
_FEATURES_LAYER = parsers.FEATURES["layers"][0]
OWN: dict[str, list[bytes]] = {
    "suites": [
        b"a: &a [x, x]\n" + b"".join(b"%c: &%c [%s]\n" % (n, n, b", ".join([b"*%c" % (n - 1)] * 9))
                                     for n in range(98, 110)),
        _json({"models": {"a/../../b": {}}, "tasks": ["t"], "methods": {"plain": {}}}),
    ],
    "samples from elsewhere": [
        _json({"problem": "a", "correct": float("nan")}),
        _json({"problem": "a", "correct": 1, "n_tokens": "many"}),
        _json({"problem": "a", "correct": 1, "scores": {"s": None}}),
    ],
    "calibration": [
        _json({**parsers.CALIBRATION, "version": 2}),
        _json({**parsers.CALIBRATION, "layers": {"2": {"count": 1, "mean": float("nan")}}}),
    ],
    "features": [
        _json({**parsers.FEATURES, "layers": [{**_FEATURES_LAYER, "d_sae": 2}]}),
        _json({**parsers.FEATURES, "layers": [{**_FEATURES_LAYER, "random": [[1]]}]}),
    ],
    "cells": [
        _json({**parsers.CELL, "status": "won"}),
        _json({**parsers.CELL, "shared_samples": "../../elsewhere"}),
    ],
    "sections": [
        _json({**parsers.SECTION, "schema": 99}),
        _json({**parsers.SECTION, "tables": [{"name": "../one", "title": "t"}]}),
        _json({**parsers.SECTION, "findings": "all"}),
    ],
    "states": [_json({**parsers.STATES, "schema": 99}), _json({**parsers.STATES, "dtype": "x"})],
    "states, index": [_index_bomb()],
    "states, layer": [
        *(_npy(np.zeros(*of)) for of in (((5, 4), "<f4"), ((6, 3), "<f4"), ((6, 4), "<f8"))),
        *(_npy(OBJECTS), _npz(a=np.zeros(3))),
    ],
    "directions": [
        *(_npz(**{"2": OBJECTS}), _npz(**{"2": np.full(4, np.nan)}), _npz(x=np.ones(3))),
        _bomb(),
    ],
}  # fmt: skip


def _read(name: str, contents: tuple[bytes, ...], folder: Path) -> None:
    call = parsers.TARGETS[name.split(",")[0]].call
    call(contents if len(contents) > 1 else contents[0], folder)


@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    _read(name, READERS[name][0], tmp_path)


@pytest.mark.parametrize("damage", [*DAMAGES, "its own"])
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_by_name(name: str, damage: str, tmp_path: Path) -> None:
    contents, place, file = READERS[name]
    damaged = OWN.get(name, []) if damage == "its own" else [DAMAGES[damage](contents[place])]
    for number, content in enumerate(damaged):
        folder = tmp_path / str(number)
        folder.mkdir()
        own = (*contents[:place], content, *contents[place + 1 :])
        with pytest.raises(parsers.TARGETS[name.split(",")[0]].errors) as refused:
            _read(name, own, folder)
        assert file in str(refused.value), refused.value
        assert len(str(refused.value).splitlines()) == 1
    assert not ran


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["traces", "sample files", "result folders"])
def test_the_others_go_on_without_them(name: str, damage: str, tmp_path: Path) -> None:
    two = b"\n".join(map(_json, parsers.TWO_SAMPLES))
    wholes: dict[str, tuple[bytes, ...]] = {
        "traces": (parsers.part(), _json(parsers.CHOICE), _json(parsers.RUN)),
        "sample files": (two,),
        "result folders": (_json(parsers.RESULTS), two),
    }
    target, whole = parsers.TARGETS[name], wholes[name]
    for place, content in enumerate(whole):
        contents = (*whole[:place], DAMAGES[damage](content), *whole[place + 1 :])
        value = contents if len(contents) > 1 else contents[0]
        try:
            parsers.quietly(target.call)(value, parsers.emptied(tmp_path / "x"))
        except target.errors:
            continue
    assert not ran


def test_a_line_that_unpacks_to_more_than_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from l2_harness.lm_eval_files import reading

    monkeypatch.setattr(reading, "_LONGEST", 1000)
    lines, whole = tmp_path / "a.jsonl.gz", tmp_path / "b.json.gz"
    lines.write_bytes(gzip.compress(b'{"a": 1}\n' + b"0" * 5000))
    whole.write_bytes(gzip.compress(b"[" + b"0, " * 5000 + b"0]"))
    assert list(reading.read_values(lines)) == [(1, {"a": 1}), (2, None)]
    with pytest.raises(reading.UnreadableError, match="longer than"):
        list(reading.read_values(whole))
    with pytest.raises(reading.UnreadableError, match="longer than"):
        reading.read_json(whole)


def test_a_trace_part_that_claims_more_than_memory(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from l2_harness.norms import TraceWarning, read_traces

    table = pq.read_table(io.BytesIO(parsers.part()))
    texts = pa.array(["a" * 2**20] * len(table))
    rows = table.set_column(table.column_names.index("text"), "text", texts)
    bomb = pa.concat_tables([rows] * 300).replace_schema_metadata(table.schema.metadata)
    pq.write_table(bomb, tmp_path / parsers.PART_NAME, compression="zstd", use_dictionary=False)
    assert (tmp_path / parsers.PART_NAME).stat().st_size < 2**19
    with (
        pytest.warns(TraceWarning, match="claim to unpack to"),
        pytest.raises(ValueError, match="none"),
    ):
        read_traces(tmp_path)


def test_an_index_that_claims_more_than_memory(tmp_path: Path) -> None:
    bomb = _index_bomb()
    assert len(bomb) < 2**20
    with pytest.raises(ConfigError, match=r"index\.parquet is damaged.*claim to unpack to"):
        _read("states", (STATES[0], bomb, STATES[2]), tmp_path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_sums_and_deviations_of_states(damage: str, tmp_path: Path) -> None:
    from l2_harness.analysis.states import layout
    from l2_harness.analysis.states.store import StateStore

    _read("states", STATES, tmp_path)
    (part,) = layout.part_folders(tmp_path)
    whole = _npy(np.ones((2, 4)))
    (part / layout.SQUARE_SUMS).write_bytes(whole)
    (part / layout.DEVIATION).write_bytes(b'{"norm": 0.5, "entropy": 0}')
    store = StateStore(tmp_path)
    assert (store.square_sums() == 1).all()
    assert layout.deviations(tmp_path)["max_norm_deviation"] == 0.5
    (part / layout.SQUARE_SUMS).write_bytes(DAMAGES[damage](whole))
    (part / layout.DEVIATION).write_bytes(DAMAGES[damage](b'{"norm": 0.5, "entropy": 0}'))
    for read in (store.square_sums, lambda: layout.deviations(tmp_path)):
        with pytest.raises(ConfigError, match=re.escape(str(part))):
            read()
    assert not ran
