"""Every parser of the project, with inputs near to what it reads and the errors it may raise.

A target's call parses one input and uses what came of it: an exception that is not among its
errors is a fault, and so is an ``AssertionError``, which says that a wrong value came out.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import hostile
import numpy as np

from l2_harness.config.errors import ConfigError

Errors = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        inputs: draws one, near to what it reads.
        call: parses one, given a folder for files.
        errors: the documented ones.
        share: of all inputs, relative to the others; cheap parsers take most.
    """

    inputs: hostile.Draw
    call: Callable[[Any, Path], object]
    errors: Errors = (ConfigError,)
    share: float = 1.0


# -- arguments ----------------------------------------------------------------------------


def _layers(value: Any, _: Path) -> None:
    from l2_harness.config.layers import LayerSelection

    parsed = LayerSelection.parse(value)
    assert LayerSelection.parse(str(parsed)) == parsed
    if parsed.indices:
        assert list(parsed.indices) == sorted(set(parsed.indices))
        assert parsed.indices[0] >= 0


@cache
def _own_arguments() -> list[str]:
    from l2_harness.config.model_args import own_arguments

    return sorted(own_arguments())


def _model_args(args: dict[str, Any], _: Path) -> None:
    from lm_eval.models.huggingface import HFLM

    from l2_harness.config.model_args import split_model_args

    config, rest = split_model_args(args, HFLM.__init__, (), lambda: ["rope_scaling"])
    assert not {*rest} & {*_own_arguments()}
    seed, given = config.decoding.seed, args.get("seed")
    if isinstance(given, int) and seed is not None:
        assert seed == given
    again = split_model_args(args, HFLM.__init__, (), lambda: ["rope_scaling"])[0]
    assert again == config


def _typed_args(text: str, _: Path) -> None:
    from l2_harness.cli.lm_eval_options import arguments_of

    assert isinstance(arguments_of("--model-args", text), dict)


def _small_words(text: str, _: Path) -> None:
    from l2_harness.cli.compare import _seeds
    from l2_harness.cli.lm_eval_options import batch_size_of
    from l2_harness.compare.shards import Shard

    def attempt(read: Callable[[str], Any]) -> Any:
        try:
            return read(text)
        except ConfigError:
            return None

    seeds, size, shard = attempt(_seeds), attempt(batch_size_of), attempt(Shard.read)
    assert seeds is None or all(isinstance(seed, int) for seed in seeds)
    assert size is None or isinstance(size, int) or size.startswith("auto")
    assert shard is None or 1 <= shard.number <= shard.of


def _source(text: str, _: Path) -> None:
    from l2_harness.analysis.sae.loading import parse_source
    from l2_harness.lm_eval_files.names import Source

    for read in (Source.parse, parse_source):
        try:
            read(text)
        except ConfigError:
            continue


# -- suites -------------------------------------------------------------------------------

SUITE = """
name: s
models:
  demo: {args: {pretrained: demo, dtype: float32}}
tasks: [l2_demo, {task: l2_gsm8k, limit: 5}]
limit: 4
seeds: [0, 1]
gen_kwargs: {max_gen_toks: 24}
methods:
  plain: {role: plain, description: greedy}
  alrr: &a {args: {recursion: norm, threshold_warmup: 4}}
  other: {extends: alrr, role: control, args: {recursion: random}}
"""


def _suite(content: bytes, folder: Path) -> None:
    from l2_harness.compare.suite import cells_of
    from l2_harness.compare.suite_reader import load_suite

    path = folder / "s.yaml"
    path.write_bytes(content)
    suite = load_suite(str(path))
    names = [cell.name for cell in cells_of(suite)] if len(suite.seeds) < 50 else []
    for name in names:
        assert ".." not in Path(name).parts
        assert not Path(name).is_absolute()


# -- files of samples ---------------------------------------------------------------------

JSONL = [
    {"problem": "a", "correct": True, "response": "so \\boxed{5}", "scores": {"s": 0.5}},
    {"problem": "a", "correct": 0.5, "answer": "7", "n_tokens": 9, "finish_reason": "length"},
    {"problem": "b", "correct": 1, "response": "the answer is B", "scores": {"s": 1, "t": 2}},
    {"problem": "b", "correct": False, "response": ""},
]
SAMPLE = {
    "doc_id": 0,
    "doc": {"question": "q"},
    "target": "5",
    "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": {"until": []}}},
    "resps": [["a", "b"]],
    "filtered_resps": ["a"],
    "filter": "none",
    "metrics": ["exact_match"],
    "doc_hash": "d",
    "prompt_hash": "p",
    "target_hash": "t",
    "exact_match": 1.0,
}
RESULTS = {
    "results": {"t": {"alias": "t", "exact_match,none": 0.5, "exact_match_stderr,none": 0.1}},
    "group_subtasks": {"t": []},
    "configs": {"t": {"task": "t", "metric_list": [{"metric": "exact_match"}], "repeats": 1}},
    "versions": {"t": 1},
    "n-shot": {"t": 0},
    "higher_is_better": {"t": {"exact_match": True}},
    "n-samples": {"t": {"original": 2, "effective": 2}},
    "config": {
        "model": "l2hf",
        "model_args": "pretrained=demo,recursion=norm",
        "batch_size": 2,
        "limit": 2.0,
        "gen_kwargs": None,
        "random_seed": 0,
        "l2": {"rows": 10, "responses": 2, "tasks": {"t": {"rows": 10}}},
    },
    "date": 1.7e9,
    "model_name": "demo",
    "total_evaluation_time_seconds": "3.5",
}


def _jsonl(content: bytes, folder: Path) -> None:
    from l2_harness.analysis.selectors.from_jsonl import load_jsonl

    path = folder / "x.jsonl"
    path.write_bytes(content)
    table = load_jsonl(path, "text")
    assert np.isfinite(table.correct).all()
    assert np.isfinite(table.lengths).all()
    assert ((table.correct >= 0) & (table.correct <= 1)).all()


def _sample_file(content: bytes, folder: Path) -> None:
    from l2_harness.lm_eval_files.samples import read_lines

    path = folder / "samples_t_2026-01-01T00-00-00.000000.jsonl"
    path.write_bytes(content)
    damaged: list[int] = []
    for sample in read_lines(path, damaged.append):
        assert isinstance(sample.doc_id, int)
        assert len(sample.prompt_hashes) == sample.requests
        sample.filtered_response(0, 0, sample.repeats)


def _result_folder(contents: tuple[bytes, bytes], folder: Path) -> None:
    from l2_harness.lm_eval_files.folders import read_folders

    date = "2026-01-01T00-00-00.000000"
    (folder / f"results_{date}.json").write_bytes(contents[0])
    (folder / f"samples_t_{date}.jsonl").write_bytes(contents[1])
    for outcome in read_folders([folder]).outcomes:
        assert all(math.isfinite(score) for score in outcome.scores.values())


# -- answers ------------------------------------------------------------------------------

_ANSWERS = (
    r"\boxed{", "}", "{", "$", r"\(", r"\)", r"\frac", r"\sqrt{", r"\text{", "(", ")", ",", "=",
    "<", r"\cup ", r"\in ", r"\pm ", "x", "A", "1", "12", ".5", "1,000", "10^", "e9", "½", "٣", "%",
    " percent", " and ", " or ", "The answer is ", "Answer:", "#### ", "A: ", "not ", "<think>",
    "</think>", "**", "\\", "_8", "0/0", ":", "!", "Paris", "Yes", "No", "B",
)  # fmt: skip


def _answers(drawn: tuple[str, str, str], _: Path) -> None:
    from l2_harness.answers import compare_answers, extract_answer, final_text

    text, other, kind = drawn
    choices = ("Yes", "No") if kind in ("word", "letter") else ()
    answer = extract_answer(text, kind, choices, False, True)  # type: ignore[arg-type]
    assert answer is None or isinstance(answer, str)
    assert isinstance(final_text(text, False), str | None)
    if kind != "math":  # whose comparisons ask another process: a target of their own
        compare_answers(text, other, kind)  # type: ignore[arg-type]
        one, two = (extract_answer(text, kind, choices, False, True) for _ in range(2))  # type: ignore[arg-type]
        assert one == two


def _mathematics(drawn: tuple[str, str], _: Path) -> None:
    from l2_harness.answers import Verdict, compare_answers

    gold, answer = drawn
    assert isinstance(compare_answers(gold, answer, "math"), Verdict)


# -- our own files ------------------------------------------------------------------------


@cache
def part() -> bytes:
    import tempfile

    from l2_harness.norms import TraceRecord, TraceWriter

    def record(doc_id: int) -> TraceRecord:
        rng = np.random.default_rng(doc_id)
        return TraceRecord(
            run_id="r", task="t", doc_id=doc_id, request_type="generate_until",
            prompt_hash="00", request_hash="00", prompt_tokens=1, finish_reason="eos",
            tokens=range(6), text="so", layers=range(2), norms=rng.normal(size=(6, 2)),
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        path = TraceWriter(folder, "r").write([record(0), record(1)])
        assert path is not None
        return path.read_bytes()


PART_NAME = "part-r-r0-000000-0123456789ab.parquet"
CHOICE = {
    "key": ["t", "generate_until", 0, 0, 0, 0, 0, "00"],
    "scores": {"l2": 1.5},
    "chosen": True,
}
RUN = {"run_id": "r", "schema_version": 1, "settings": {"pretrained": "demo", "layers": [1]}}


def _traces(contents: tuple[bytes, bytes, bytes], folder: Path) -> None:
    from l2_harness.norms import completed_requests, read_run_settings, read_traces

    for name, content in zip(
        (PART_NAME, "choice-r-r0-0123456789ab.jsonl", "run-r.json"), contents, strict=True
    ):
        (folder / name).write_bytes(content)
    try:
        frame = read_traces(folder)
        assert len(frame) <= 2
    except ValueError as error:
        assert "none of the trace parts could be read" in str(error)  # noqa: PT017
    completed_requests(folder, "r")
    try:
        assert isinstance(read_run_settings(folder, "r"), dict)
    except ValueError as error:
        assert "isn't a description of a run" in str(error)  # noqa: PT017


_PERCENTILES = {f"p{n}": float(n) for n in range(1, 100)}
CALIBRATION: dict[str, Any] = {
    "version": 1,
    "source": {},
    "layers": {"2": {"count": 9, "mean": 5.0}},
}
CALIBRATION["layers"]["2"].update(_PERCENTILES)


def _calibration(content: bytes, folder: Path) -> None:
    from l2_harness.norms.calibration import calibrated_values

    (folder / "c.json").write_bytes(content)
    for value in calibrated_values(folder / "c.json", 0.9, [2]).values():
        assert math.isfinite(value)


FEATURES: dict[str, Any] = {
    "thinking": "t", "direct": "d", "seed": 0, "by": "mean", "chosen_on": ["a"], "held": ["b"],
    "layers": [
        {"layer": 1, "sae": "s", "d_sae": 8, "selected": [1, 2], "frequency": [0.5, 0.25],
         "random": [[3, 4]], "random_frequency": [[0.5, 0.25]], "word_detectors": [1]},
    ],
}  # fmt: skip


def _features(content: bytes, folder: Path) -> None:
    from l2_harness.analysis.sae.feature_sets import read_features

    (folder / "features.json").write_bytes(content)
    for layer in read_features(folder).layers:
        assert all(0 <= feature < layer.d_sae for feature in layer.all)
        if layer.word_detectors is not None:
            layer.without_words()


CELL = {
    "name": "c", "status": "done", "definition": {"model": {"class": "l2hf"}}, "batch_size": 2,
    "device": "cpu", "started": "s", "finished": "f", "attempts": 1, "documents": 3,
    "cost": {"tokens": 5, "seconds": 1.5}, "own_seconds": 1.0, "shared_samples": None,
    "error": None, "digest": "d",
}  # fmt: skip


def _cell(content: bytes, folder: Path) -> None:
    from l2_harness.compare.cell_files import read_record

    (folder / "cell.json").write_bytes(content)
    record = read_record(folder)
    assert record is not None
    assert record.status in ("running", "done", "failed")
    assert len(record.digest) > 8
    record.ended("done", attempts=record.attempts + 1)
    assert record.shared_samples is None or ".." not in Path(record.shared_samples).parts


SECTION: dict[str, Any] = {
    "schema": 1, "version": "0", "name": "norms", "title": "Norms", "order": 10,
    "findings": ["a"], "caveats": ["b"], "settings": {"seed": 0}, "command": "l2-harness x",
    "tables": [
        {"name": "one", "title": "One", "caption": "c", "meanings": {"x": "a value"}},
    ],
    "figures": [],
}  # fmt: skip
TABLE = b"x,x_low,x_high,name\n1,0,2,a\n3,2,4,=1+1\n,,,\n"


def _section(contents: tuple[bytes, bytes], folder: Path) -> None:
    import io

    from rich.console import Console

    from l2_harness.findings.section import read_section
    from l2_harness.findings.terminal import show

    (folder / "section.json").write_bytes(contents[0])
    (folder / "one.csv").write_bytes(contents[1])
    section = read_section(folder)
    out = io.StringIO()
    show([section], folder, (), Console(file=out, width=100))
    assert "\x1b" not in out.getvalue()


def _unreadable() -> Errors:
    from l2_harness.lm_eval_files.reading import UnreadableError

    return (UnreadableError,)


def _section_errors() -> Errors:
    from l2_harness.findings.section import SectionError

    return (SectionError,)


STATES = {
    "schema": 1, "run_id": "r", "pretrained": "demo", "layers": [1, 2], "d_model": 4,
    "dtype": "float32", "responses": 2, "rows": 6, "entropies": False, "outlier_dims": {},
}  # fmt: skip


@cache
def npy() -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, np.arange(24, dtype="<f4").reshape(6, 4))
    return file.getvalue()


@cache
def index() -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    keys: dict[str, Any] = {"run_id": ["r"] * 2, "task": ["t"] * 2, "doc_id": [0, 1]}
    keys |= {"idx": [0, 0], "repeat": [0, 0], "sample": [0, 0], "question": ["a", "b"]}
    keys |= {"rows": [2, 4], "thinking_end": pa.array([None, 1], pa.int32())}
    file = io.BytesIO()
    pq.write_table(pa.table(keys), file)
    return file.getvalue()


def _states(contents: tuple[bytes, bytes, bytes], folder: Path) -> None:
    from l2_harness.analysis.states.store import StateStore

    part = folder / "part-000000-01234567"
    part.mkdir(exist_ok=True)
    for path, content in zip(
        (folder / "states.json", part / "index.parquet", part / "layer-001.npy"),
        contents,
        strict=True,
    ):
        path.write_bytes(content)
    store = StateStore(folder)
    for block in store.blocks(store.layers[0]):
        assert block.states.shape == (int(block.lengths.sum()), store.d_model)


@cache
def npz() -> bytes:
    import io

    file = io.BytesIO()
    vectors: Any = {"2": np.arange(4.0), "3": np.ones(4)}
    np.savez(file, **vectors)
    return file.getvalue()


def _directions(content: bytes, folder: Path) -> None:
    from l2_harness.norms.directions import read_directions

    (folder / "d.npz").write_bytes(content)
    for vector in read_directions(str(folder / "d.npz"), [2]).values():
        assert abs(float(np.linalg.norm(vector)) - 1) < 1e-6


def _local_rows(contents: tuple[bytes, bytes], folder: Path) -> None:
    from l2_harness.benchmarks.local_data import read_rows

    (folder / "x.jsonl").write_bytes(contents[0])
    (folder / "columns.json").write_bytes(contents[1])
    for row in read_rows(folder, "x.jsonl", {"question": "question"}):
        assert set(row) == {"question"}


def emptied(folder: Path) -> Path:
    """A folder without what the last input left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def quietly(call: Callable[[Any, Path], object]) -> Callable[[Any, Path], object]:
    """Without the warnings that name what was left out."""

    def run(value: Any, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(value, folder)

    return run


def _arguments(rng: Random) -> dict[str, Any]:
    names = [*_own_arguments(), "dtype", "parallelize", "max_length", "rope_scaling"]
    words = "norm random off always iqr fixed calibrated l2 2 0.5 16 true tokens 1-2 20:1.5".split()
    return {
        rng.choice(names) if rng.random() < 0.95 else hostile.text(rng): rng.choice(words)
        if rng.random() < 0.5
        else hostile.value(rng)
        for _ in range(rng.randint(0, 4))
    }


def _near(words: str) -> hostile.Draw:
    return lambda rng: hostile.text(rng, words.split(), 10)


def _answer(rng: Random) -> str:
    return hostile.text(rng, _ANSWERS, 10)


def _layer_list(rng: Random) -> Any:
    return hostile.value(rng) if rng.random() < 0.2 else _near("late all + - 1 20 26 0 9999")(rng)


_KINDS = ("math", "letter", "word", "text", "name")
TWO_SAMPLES = [SAMPLE, {**SAMPLE, "doc_id": 1}]


def _targets() -> dict[str, Target]:
    file, lines, some = hostile.json_file, hostile.json_lines, hostile.mostly
    return {
        "layers": Target(_layer_list, _layers, share=16),
        "model_args": Target(_arguments, _model_args, share=6),
        "typed arguments": Target(_near("a = , { } \" : 1 b [ ] 'x'"), _typed_args, share=16),
        "seeds, batch sizes, shards": Target(_near("1 / 2 , auto : -"), _small_words, share=16),
        "sources": Target(  # what the system says of a name is a line too
            _near("a b : @ 3 / = m"), _source, (ConfigError, OSError, UnicodeError), share=6
        ),
        "suites": Target(lambda rng: hostile.damaged(rng, SUITE.encode()), _suite, share=0.3),
        "samples from elsewhere": Target(lambda rng: lines(rng, JSONL), _jsonl, share=4),
        "sample files": Target(
            lambda rng: lines(rng, TWO_SAMPLES), _sample_file, _unreadable(), share=3
        ),
        "result folders": Target(
            lambda rng: (file(rng, RESULTS), lines(rng, TWO_SAMPLES)), _result_folder, share=0.6
        ),
        "answers": Target(
            lambda rng: (_answer(rng), _answer(rng), rng.choice(_KINDS)), _answers, (), 16
        ),
        "mathematics": Target(lambda rng: (_answer(rng), _answer(rng)), _mathematics, (), 0.05),
        "traces": Target(
            lambda rng: (some(rng, part()), lines(rng, [CHOICE]), file(rng, RUN)),
            _traces,
            (),
            share=0.4,
        ),
        "calibration": Target(lambda rng: file(rng, CALIBRATION), _calibration, share=4),
        "features": Target(lambda rng: file(rng, FEATURES), _features, share=5),
        "cells": Target(lambda rng: file(rng, CELL), _cell, share=5),
        "sections": Target(
            lambda rng: (file(rng, SECTION), some(rng, TABLE)), _section, _section_errors(), 0.5
        ),
        "states": Target(
            lambda rng: (
                file(rng, STATES) if rng.random() < 0.6 else json.dumps(STATES).encode(),
                some(rng, index()),
                some(rng, npy()),
            ),
            _states,
            share=0.6,
        ),
        "directions": Target(lambda rng: some(rng, npz()), _directions, share=4),
        "local rows": Target(
            lambda rng: (
                lines(rng, [{"question": "q"}, {"frage": "f"}]),
                file(rng, {"x.jsonl": {"question": "frage"}}),
            ),
            _local_rows,
            share=5,
        ),
    }


TARGETS = _targets()
