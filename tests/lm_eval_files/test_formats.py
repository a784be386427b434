"""Result and sample files as each version of lm-eval, and each accident, leaves them.

What a version writes is taken from its source: 0.3's ``main.py``, 0.4.0's ``__main__.py``, 0.4.3's
and 0.4.13's ``loggers/evaluation_tracker.py``.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.utils import sanitize_model_name

from l2_harness.compare.leaderboard import Options, leaderboard
from l2_harness.config.errors import ConfigError
from l2_harness.lm_eval_files import from_folders
from l2_harness.lm_eval_files.folders import read_folders
from l2_harness.lm_eval_files.questions import document_hash
from l2_harness.lm_eval_files.reading import files_below
from l2_harness.lm_eval_files.samples import read_samples

Write = Callable[..., Path]
SCORES = [1.0, 0.0, 1.0, 1.0]
DATE = "2024-06-16T20-37-31.012345"


def doc(i: int) -> dict[str, Any]:
    return {"question": f"¿{i} ℓ?"}


def parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def logged(version: str) -> list[dict[str, Any]]:
    """The samples of one task, as that version writes them."""
    lines = []
    for i, score in enumerate(SCORES):
        request: Any = [f"Q: {i}", {"until": ["\n"]}]
        line: dict[str, Any] = {
            "doc_id": i,
            "doc": doc(i),
            "target": str(i),
            "arguments": [request],
            "resps": [[f"{i}"]],
            "filtered_resps": [f"{i}"],
        }
        if parts(version) >= (0, 4, 3):
            line["arguments"] = {"gen_args_0": {"arg_0": request[0], "arg_1": request[1]}}
            line |= {"doc_hash": document_hash(doc(i)), "prompt_hash": "", "target_hash": ""}
        if parts(version) >= (0, 4, 9):
            line |= {"filter": "none", "metrics": ["acc"]}
        lines.append({**line, "acc": score})
    return lines


def result(version: str, model: str, task: str = "t") -> dict[str, Any]:
    content: dict[str, Any] = {
        "results": {task: {"acc,none": 0.75, "acc_stderr,none": 0.25, "alias": task}},
        "configs": {task: {"task": task, "metric_list": [{"metric": "acc"}]}},
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "config": {"model": "hf", "model_args": f"pretrained={model}", "limit": None},
        "git_hash": "abc",
    }
    if parts(version) >= (0, 4, 3):
        content |= {"n-samples": {task: {"original": 4, "effective": 4}}, "date": 1718570251.0}
    return content


def as_0_4_0(folder: Path, task: str = "t") -> None:
    """``results.json``, and an indented list under the name of model_args and task."""
    (folder / "results.json").write_text(json.dumps(result("0.4.0", folder.name, task), indent=2))
    name = f"pretrained__{folder.name},dtype__float16_{task}.jsonl"
    text = json.dumps(logged("0.4.0"), indent=2, ensure_ascii=False)
    (folder / name).write_text(text, "utf-8")


def as_0_4_3(folder: Path, task: str = "t") -> None:
    """Also the Open LLM Leaderboard's details: ``samples_<task>_<date>.json``, a line each."""
    (folder / f"results_{DATE}.json").write_text(json.dumps(result("0.4.3", folder.name, task)))
    text = "\n".join(json.dumps(line) for line in logged("0.4.3"))
    (folder / f"samples_{task}_{DATE}.json").write_text(text)


def as_leaderboard_list(folder: Path) -> None:
    """The same as a list, with the date's colons left."""
    date = "2024-06-16T20:37:31.012345"
    (folder / f"results_{date}.json").write_text(json.dumps(result("0.4.3", folder.name)))
    (folder / f"samples_t_{date}.json").write_text(json.dumps(logged("0.4.3")))


def as_0_4_13(folder: Path) -> None:
    (folder / f"results_{DATE}.json").write_text(json.dumps(result("0.4.13", folder.name)))
    text = "".join(json.dumps(line) + "\n" for line in logged("0.4.13"))
    (folder / f"samples_t_{DATE}.jsonl").write_text(text)


def compressed(folder: Path) -> None:
    as_0_4_13(folder)
    (path,) = folder.glob("samples_*")
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def in_a_subfolder(folder: Path) -> None:
    as_0_4_13(folder)
    (folder / "samples" / "all").mkdir(parents=True)
    (path,) = folder.glob("samples_*")
    path.rename(folder / "samples" / "all" / path.name)


def renamed(folder: Path) -> None:
    as_0_4_13(folder)
    (folder / f"results_{DATE}.json").rename(folder / "my run.json")


def with_marks(folder: Path) -> None:
    """A byte-order mark, Windows' line ends, UTF-16."""
    as_0_4_13(folder)
    (results,), (samples,) = folder.glob("results_*"), folder.glob("samples_*")
    results.write_bytes(b"\xef\xbb\xbf" + results.read_bytes())
    samples.write_bytes(samples.read_text().replace("\n", "\r\n").encode("utf-16"))


def linked(folder: Path) -> None:
    """As the hub's cache keeps them: links to files, in a folder that is itself a link."""
    blobs, real = folder / ".blobs", folder / ".real"
    blobs.mkdir()
    real.mkdir()
    as_0_4_13(folder)
    for path in list(folder.glob("*.json*")):
        path.rename(blobs / path.name)
        (real / path.name).symlink_to(blobs / path.name)
    (folder / "link").symlink_to(real, target_is_directory=True)
    (folder / "circle").symlink_to(folder, target_is_directory=True)


def without_results(folder: Path) -> None:
    as_0_4_13(folder)
    (folder / f"results_{DATE}.json").unlink()


FORMATS = [
    *(as_0_4_0, as_0_4_3, as_leaderboard_list, as_0_4_13, compressed, in_a_subfolder, renamed),
    *(with_marks, linked, without_results),
]


@pytest.mark.parametrize("layout", FORMATS, ids=lambda layout: layout.__name__)
def test_every_format_has_the_same_scores(tmp_path: Path, layout: Callable[[Path], None]) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "usual").mkdir()
    layout(tmp_path / "theirs")
    as_0_4_13(tmp_path / "usual")
    found = read_folders([tmp_path / "theirs", tmp_path / "usual"])
    assert found.left_out == []
    theirs, usual = found.outcomes
    assert (theirs.method, usual.method) == ("theirs", "usual")
    assert theirs.scores == usual.scores
    assert list(usual.scores) == [document_hash(doc(i)) for i in range(4)]
    (board,) = leaderboard(found.outcomes, Options()).boards
    assert [row.verdict for row in board.rows] == ["plain", "not shown"]
    told = any("no result file" in note for note in board.notes)
    assert told == (layout is without_results)


@pytest.mark.parametrize("model", ["./model", "../models/a", ".models/a", "/models/a", "org/a"])
def test_a_model_of_any_path_leaves_a_folder_that_is_found(tmp_path: Path, model: str) -> None:
    names = sanitize_model_name(model), ".cache", ".ipynb_checkpoints"
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").touch()
    assert list(files_below(tmp_path)) == [tmp_path / names[0] / "a.jsonl"]


def test_the_longest_task_has_the_file_whose_name_ends_in_it(tmp_path: Path) -> None:
    as_0_4_0(tmp_path, "easy")
    as_0_4_0(tmp_path, "arc_easy")
    content = result("0.4.0", "m", "easy")
    both = {"arc_easy": {"acc,none": 0.75}, **content["results"]}
    (tmp_path / "results.json").write_text(json.dumps({**content, "results": both}))
    lines = logged("0.4.0")[::-1]
    name = f"pretrained__{tmp_path.name},dtype__float16_easy.jsonl"
    (tmp_path / name).write_text(json.dumps([{**one, "acc": 1 - one["acc"]} for one in lines]))
    easy, arc = sorted(from_folders([tmp_path]), key=lambda o: o.task, reverse=True)
    assert sum(arc.scores.values()) == 3
    assert easy.scores == {}  # they do not average to what is reported
    assert easy.aggregate is not None


@pytest.mark.parametrize("version", ["0.4.0", "0.4.3", "0.4.13"])
def test_traces_meet_the_samples_of_every_version(tmp_path: Path, version: str) -> None:
    path = tmp_path / f"samples_t_{DATE}.jsonl"
    path.write_text(json.dumps(logged(version), indent=1), "utf-8")
    (samples,) = read_samples(tmp_path, ["t"]).values()
    assert [s.doc_id for s in samples] == [0, 1, 2, 3]
    assert [s.prompts for s in samples] == [(f"Q: {i}",) for i in range(4)]
    assert [s.metrics["acc"] for s in samples] == SCORES
    assert {s.repeats for s in samples} == {1}


FOREIGN: list[tuple[str, str | bytes, str]] = [
    (
        "gpt-j.json",
        json.dumps(
            {
                "results": {"hellaswag": {"acc": 0.5, "acc_stderr": 0.01}},
                "versions": {"hellaswag": 0},
                "config": {"model": "hf-causal", "model_args": "pretrained=x", "num_fewshot": 0},
            }
        ),
        "lm-eval 0.3",
    ),
    (
        "results_2023-09-01T00-00-00.1.json",
        json.dumps(
            {
                "config_general": {"lighteval_sha": "z", "model_name": "x", "model_sha": "y"},
                "results": {"harness|arc:challenge|25": {"acc": 0.5}, "all": {"acc": 0.5}},
            }
        ),
        "Open LLM Leaderboard before June 2024",
    ),
    (
        "results_2024-09-01T00-00-00.1.json",
        json.dumps(
            {
                "config_general": {"lighteval_sha": "?", "model_name": "x"},
                "results": {"leaderboard|arc:challenge|25": {"acc": 0.5}},
            }
        ),
        "lighteval",
    ),
    (
        f"results_{DATE}.json",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "git lfs pull",
    ),
    (f"results_{DATE}.json", "../../.git/annex/objects/x/y/z", "git annex get"),
    (f"results_{DATE}.json", "", "empty"),
    (f"results_{DATE}.json", '{"results": {"t": {"acc,none": 0.', "no whole JSON"),
    (f"results_{DATE}.json", '{"results": ' + "9" * 5000 + "}", "no whole JSON"),
    (f"results_{DATE}.json", "[" * 100_000, "no whole JSON"),
    (f"results_{DATE}.json", b"\x1f\x8b\x08 cut", "damaged"),
    (f"results_{DATE}.json", '{"results": {}}', "without a figure"),
    ("results.json", '{"results": 3}', "no result file of lm-eval"),
]


@pytest.mark.parametrize(("name", "text", "reason"), FOREIGN, ids=lambda value: str(value)[:24])
def test_foreign_files_are_named_and_stop_nothing(
    tmp_path: Path, name: str, text: str | bytes, reason: str
) -> None:
    (tmp_path / "theirs").mkdir()
    path = tmp_path / "theirs" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match="holds no result file of lm-eval") as refused:
        read_folders([tmp_path])
    assert reason in str(refused.value)
    (tmp_path / "usual").mkdir()
    as_0_4_13(tmp_path / "usual")
    found = read_folders([tmp_path])
    assert [len(o.scores) for o in found.outcomes] == [4]
    assert [(one.what, reason in one.reason) for one in found.left_out] == [(str(path), True)]


def test_other_json_beside_results_is_passed_over(tmp_path: Path) -> None:
    as_0_4_13(tmp_path)
    for name, content in (
        ("config.json", {"model_type": "llama"}),
        ("report.json", {"results": [1, 2]}),
        ("trainer_state.json", {"log_history": []}),
        ("notes.json", "results"),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    found = read_folders([tmp_path])
    assert (len(found.outcomes), found.left_out) == (1, [])


def test_damaged_samples_leave_what_is_whole(tmp_path: Path) -> None:
    """Of a list that was cut off, a compressed file that was, and lines logged twice."""
    as_0_4_13(tmp_path)
    (path,) = tmp_path.glob("samples_*")
    whole = json.dumps(logged("0.4.13"), indent=2)
    path.write_text(whole[: whole.index('"doc_id": 3')])
    (outcome,) = from_folders([tmp_path])
    assert len(outcome.scores) == 3
    assert any("line 4 is no sample" in note for note in outcome.notes)
    older = result("0.4.0", tmp_path.name)  # which does not say how many there should be
    (tmp_path / f"results_{DATE}.json").write_text(json.dumps(older))
    assert len(from_folders([tmp_path])[0].scores) == 3
    lines = "".join(json.dumps(line) + "\n" for line in logged("0.4.13"))
    path.write_text(lines + lines)
    (outcome,) = from_folders([tmp_path])
    assert len(outcome.scores) == 4
    assert "4 questions are logged twice, of which the first line counts" in outcome.notes
    path.write_bytes(gzip.compress(lines.encode())[:-20])
    (outcome,) = from_folders([tmp_path])
    assert outcome.aggregate is not None
    assert outcome.aggregate.value == 0.75


def test_one_number_for_two_documents_keeps_both(tmp_path: Path) -> None:
    as_0_4_13(tmp_path)
    (path,) = tmp_path.glob("samples_*")
    lines = [{**line, "doc_id": i // 2} for i, line in enumerate(logged("0.4.13"))]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (outcome,) = from_folders([tmp_path])
    assert len(outcome.scores) == 4
    assert outcome.notes == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null", '"?"', '["a"]', "[]", "{}"])
def test_scores_that_are_no_numbers_are_counted(tmp_path: Path, value: str) -> None:
    as_0_4_13(tmp_path)
    (path,) = tmp_path.glob("samples_*")
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first.replace('"acc": 1.0', f'"acc": {value}'), *others]))
    (outcome,) = from_folders([tmp_path])
    assert len(outcome.scores) == 3
    assert "1 question is without a number for acc" in outcome.notes


def test_two_runs_of_one_folder_without_dates_in_their_names(tmp_path: Path) -> None:
    """Samples go with the run of their date; those of no run's date to the run without one."""
    as_0_4_13(tmp_path)
    other = result("0.4.13", tmp_path.name)
    other["config"]["model_args"] += ",top=1"
    (tmp_path / "other.json").write_text(json.dumps(other))
    (path,) = tmp_path.glob("samples_*")
    path.with_name("samples_t_2025-01-01T00-00-00.jsonl").write_bytes(path.read_bytes())
    outcomes = from_folders([tmp_path])
    assert sorted((o.method, len(o.scores)) for o in outcomes) == [("plain", 4), ("top=1", 4)]


def test_thousands_of_files_take_seconds(tmp_path: Path) -> None:
    as_0_4_13(tmp_path)
    for i in range(3000):
        (tmp_path / f"part{i}.json").write_text('{"rows": []}')
    usual = (tmp_path / f"results_{DATE}.json").read_text()
    for i in range(300):
        folder = tmp_path / f"m{i}"
        folder.mkdir()
        (folder / f"results_{DATE}.json").write_text(usual.replace(tmp_path.name, f"m{i}"))
    started = time.process_time()
    outcomes = from_folders([tmp_path])
    assert len({o.method for o in outcomes}) == 301
    assert time.process_time() - started < 20


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """root may read every file: what opens files stands in for the system's refusal."""
    as_0_4_13(tmp_path)
    locked = tmp_path / "results_2025-01-01T00-00-00.json"
    locked.write_text("{}")
    opened = Path.open

    def refusing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == locked:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refusing)
    (one,) = read_folders([tmp_path]).left_out
    assert "not to be opened" in one.reason


JUNK: list[Any] = [
    None,
    float("nan"),
    float("inf"),
    -1,
    10**400,
    "",
    "x",
    [],
    {},
    [1],
    {"a": 1},
    True,
]
PLACES = [
    *(("results",), ("results", "t"), ("results", "t", "acc,none"), ("configs",), ("configs", "t")),
    *(("versions",), ("n-shot",), ("n-shot", "t"), ("n-samples",), ("n-samples", "t"), ("config",)),
    *(("config", "model_args"), ("config", "model"), ("config", "gen_kwargs"), ("date",)),
    *(("group_subtasks",), ("higher_is_better",), ("chat_template_sha",)),
]


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_junk_in_one_file_leaves_the_others(tmp_path: Path, place: tuple[str, ...]) -> None:
    (tmp_path / "usual").mkdir()
    as_0_4_13(tmp_path / "usual")
    (tmp_path / "theirs").mkdir()
    as_0_4_13(tmp_path / "theirs")
    path = tmp_path / "theirs" / f"results_{DATE}.json"
    for junk in JUNK:
        content = result("0.4.13", "theirs")
        table: dict[str, Any] = content
        for name in place[:-1]:
            table = table[name]
        table[place[-1]] = junk
        path.write_text(json.dumps(content))
        found = read_folders([tmp_path])
        usual = [o for o in found.outcomes if o.folder == tmp_path / "usual"]
        assert [len(o.scores) for o in usual] == [4]
        assert leaderboard(found.outcomes, Options()).boards


@pytest.mark.parametrize("field", ["doc_id", "doc", "doc_hash", "filter", "metrics", "arguments"])
def test_junk_in_one_sample_leaves_the_others(tmp_path: Path, field: str) -> None:
    as_0_4_13(tmp_path)
    (path,) = tmp_path.glob("samples_*")
    whole = logged("0.4.13")
    for junk in JUNK:
        lines = [{**whole[0], field: junk}, *whole[1:]]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (outcome,) = from_folders([tmp_path])
        assert {document_hash(doc(i)) for i in range(1, 4)} <= set(outcome.scores)
