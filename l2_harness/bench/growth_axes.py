"""What ``l2-harness bench growth`` makes larger: decoding and what reads recorded responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from l2_harness.bench.made_up_traces import RUN_ID, TASK, made_up_response, write_made_up

_SAMPLES = 4
_LAYERS = 4
_ROWS = 50
#: Ids of the embedded model's tokenizer, whose tokens the responses are made of.
_TOKENS = 170


class Done(NamedTuple):
    """Bytes of trace files and tokens decoded, 0 where there are none."""

    file_bytes: int = 0
    tokens: int = 0


Run = Callable[[], Done]


@dataclass(frozen=True)
class Axis:
    """Something that can be made larger.

    Attributes:
        unit: what its size counts.
        few: sizes of a quick run.
        many: those of a whole one.
        prepare: ``prepare(folder, size)`` makes what is then run and measured.
        work: what is said of time that must grow faster than the size.
    """

    unit: str
    few: Sequence[int]
    many: Sequence[int]
    prepare: Callable[[Path, int], Run]
    work: str = ""

    def sizes(self, quick: bool) -> Sequence[int]:
        """Ascending."""
        return self.few if quick else self.many


# -- decoding ---------------------------------------------------------------------------------


def _decoding(name: str) -> Callable[[Path, int], Run]:
    return lambda folder, size: _decode(folder, **{name: size})


def _decode(
    folder: Path,
    *,
    requests: int = 16,
    samples: int = 1,
    tokens: int = 64,
    layers: int = 2,
    rows: int = 16,
) -> Run:
    """Recorded responses of one length, of a random model."""
    from lm_eval.api.instance import Instance

    from l2_harness.bench.workloads import random_model
    from l2_harness.models.hf.l2hf import L2HF

    model = random_model("qwen3-tiny", folder / "model", ends=False, num_hidden_layers=layers)
    traces = folder / "traces"
    lm = L2HF(
        **{"pretrained": str(model), "device": "cpu", "batch_size": rows, "layers": "all"},
        **{"record": "tokens", "trace_dir": str(traces), "num_samples": samples},
    )
    settings = {"until": [], "do_sample": True, "temperature": 1.0, "max_gen_toks": tokens}
    asked = [
        Instance("generate_until", {}, (f"w{i} w7 w9 w2", settings), 0, metadata=("bench", i, 1))
        for i in range(requests)
    ]

    def run() -> Done:
        lm.generate_until(asked, disable_tqdm=True)
        return Done(_size(traces), requests * samples * tokens)

    return run


# -- reading ----------------------------------------------------------------------------------


def _written(folder: Path, responses: int, rows: int = _ROWS, layers: int = _LAYERS) -> Done:
    def respond(question: int, sample: int, rng: np.random.Generator) -> Any:
        # lengths differ, and so does what is right, or nothing could be told
        length = int(rng.integers(max(rows // 2, 1), rows * 3 // 2 + 1))
        return made_up_response(
            *(question, sample, rng),
            tokens=rng.integers(3, _TOKENS, length),
            layers=layers,
            truncated=0.1,
            prompt_tokens=20,
            answer=str(rng.integers(question % 5 + 2)),
        )

    return Done(write_made_up(folder / "traces", responses // _SAMPLES, _SAMPLES, respond))


def _analyze(folder: Path, responses: int, rows: int = _ROWS, layers: int = _LAYERS) -> Run:
    from l2_harness.bench.analyze import AnalysisWork, analyse

    done = _written(folder, responses, rows, layers)

    def run() -> Done:
        analyse(str(folder), AnalysisWork(resamples=200))
        return done

    return run


def _long_rows(folder: Path, rows: int) -> Run:
    """As many responses whatever their length: memory is to stay where it is."""
    return _analyze(folder, 200, rows)


def _trace_folder(folder: Path, megabytes: int) -> Run:
    """Responses of 2000 rows at 64 layers, half a megabyte each and 100 to a file."""
    rows, layers = 2000, 64
    # beside the norms four signals and a token's id, all of four bytes
    response = rows * (layers + 5) * 4
    return _analyze(folder, round(megabytes * 1e6 / response / _SAMPLES) * _SAMPLES, rows, layers)


def _select(folder: Path, responses: int) -> Run:
    from l2_harness.bench.selection import score_and_choose

    done = _written(folder, responses)

    def run() -> Done:
        score_and_choose(str(folder / "traces"))
        return done

    return run


def _report(folder: Path, responses: int) -> Run:
    from l2_harness.report import ResponseSource, load_responses
    from l2_harness.report.page import responses_page

    done = _written(folder, responses)

    def run() -> Done:
        responses_page(load_responses(ResponseSource(folder / "traces")))
        return done

    return run


def _compare(folder: Path, questions: int) -> Run:
    """Two folders of lm-eval's results, question by question."""
    from l2_harness.compare.leaderboard import Options, leaderboard, write_leaderboard
    from l2_harness.lm_eval_files.folders import read_folders

    for i, name in enumerate(("plain", "method")):
        _write_results(folder / name, questions, i)

    def run() -> Done:
        found = read_folders([f"{folder / name}={name}" for name in ("plain", "method")])
        write_leaderboard(leaderboard(found.outcomes, Options()), folder / "out", command="")
        return Done()

    return run


def _write_results(folder: Path, questions: int, seed: int) -> None:
    """As lm-eval 0.4.13 writes them."""
    from l2_harness.lm_eval_files.questions import document_hash

    folder.mkdir(parents=True)
    date = f"2025-03-04T05-06-{seed:02d}.000000"
    right = np.random.default_rng(seed).random(questions) < 0.5
    result = {
        "results": {TASK: {"acc,none": float(right.mean())}},
        "configs": {TASK: {"metric_list": [{"metric": "acc"}]}},
        "n-samples": {TASK: {"effective": questions}},
        "versions": {TASK: 1.0},
        "n-shot": {TASK: 0},
        "config": {"model": "hf", "model_args": f"pretrained={RUN_ID}", "torch_seed": 1234},
    }
    (folder / f"results_{date}.json").write_text(json.dumps(result), "utf-8")
    with (folder / f"samples_{TASK}_{date}.jsonl").open("w", encoding="utf-8") as file:
        for i, score in enumerate(right.tolist()):
            document = {"question": f"question {i}"}
            line = {"doc_id": i, "doc": document, "doc_hash": document_hash(document)}
            line |= {"filter": "none", "metrics": ["acc"], "acc": float(score)}
            file.write(json.dumps(line) + "\n")


# -- writing ----------------------------------------------------------------------------------


def _record(folder: Path, responses: int) -> Run:
    """A run's recorder fed with responses of 300 rows at 9 layers, 64 to a file."""
    from l2_harness.config import RecordingConfig
    from l2_harness.models.recorder import RunRecorder
    from l2_harness.models.requests import RequestKey
    from l2_harness.norms import ResumeKey, hash_prompt
    from l2_harness.norms.rows import ResponseRows
    from l2_harness.norms.signals import SIGNALS

    traces = folder / "traces"
    layers = range(20, 29)
    config = RecordingConfig(record="tokens", trace_dir=str(traces))
    recorder = RunRecorder(config, layers, {"made": "up"})
    rng = np.random.default_rng(0)

    def run() -> Done:
        for i in range(responses):
            question, sample = divmod(i, 8)
            digest = hash_prompt(str(question))
            resume = ResumeKey(TASK, "generate_until", question, 0, 0, 0, sample, digest)
            norms = 100 * rng.standard_gamma(20, (300, len(layers)), dtype=np.float32)
            signals = dict.fromkeys(SIGNALS.names, norms[:, 0])
            text = f"{question} {sample} " * 150
            recorder.add(
                RequestKey(resume, digest),
                ResponseRows(norms, signals),
                prompt_tokens=100,
                tokens=range(300),
                text=text,
                response=text,
                finish_reason="eos",
            )
            if i % 64 == 63:
                recorder.flush()
        recorder.flush()
        return Done(_size(traces), 300 * responses)

    return run


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


_FEW = (100, 400, 1600)
_MANY = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
AXES: dict[str, Axis] = {
    # a token attends to all before it
    "length": Axis(
        *("tokens a response", (64, 128, 256), (512, 1024, 2048, 4096, 8192)),
        _decoding("tokens"),
        ", attention in it",
    ),
    "layers": Axis("layers", (2, 4, 8), (2, 4, 8, 16, 32), _decoding("layers")),
    "samples": Axis("samples a prompt", (2, 4, 8), (2, 4, 8, 16, 32), _decoding("samples")),
    "requests": Axis("requests", (16, 32, 64), (32, 64, 128, 256, 512), _decoding("requests")),
    "batch size": Axis("rows", (1, 4, 16), (1, 2, 4, 8, 16), _decoding("rows")),
    "analyze": Axis("responses", _FEW, _MANY, _analyze),
    "select": Axis("responses", _FEW, _MANY, _select),
    "report": Axis("responses", _FEW, _MANY, _report),
    "compare --from": Axis("questions", _FEW, _MANY, _compare),
    "rows analysed": Axis(
        "rows a response", (50, 200, 800), (100, 300, 1000, 3000, 10_000), _long_rows
    ),
    "trace folder analysed": Axis(
        "MB of trace files", (50, 100, 200), (125, 250, 500, 1000, 2000, 4000), _trace_folder
    ),
    "recorder": Axis("responses", (64, 256, 1024), (1319, 2638, 5276, 1319 * 8), _record),
}
