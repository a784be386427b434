"""What makes a finished cell another one, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from l2_harness.compare.definition import cell_definition, changed_keys, definition_digest, is_same
from l2_harness.compare.suite import Suite, cells_of
from l2_harness.compare.suite_reader import parse_suite
from l2_harness.compare.task_catalogue import TaskCatalogue


def definition(suite: Suite, method: str = "b", *include: str) -> dict[str, Any]:
    names = [task.task for task in suite.tasks]
    (cell,) = (cell for cell in cells_of(suite) if cell.method.name == method)
    return cell_definition(cell, TaskCatalogue(names, include))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("limit: 6", "limit: 7", ["limit"]),
        ("float32", "float64", ["dtype"]),
        ("max_gen_toks: 48", "max_gen_toks: 49", ["max_gen_toks"]),
        ("apply_chat_template: true", "apply_chat_template: false", ["apply_chat_template"]),
        ("[l2_demo]", "[{task: l2_demo_direct, name: l2_demo}]", ["task", "task_config"]),
        ("limit: 6", "limit: 6\nmetadata: {a: 1}", ["a"]),
        ("limit: 6", "limit: 6\nseeds: [1]", ["seed"]),
        ("{recursion: norm}", "{recursion: always}", ["recursion"]),
        ("{recursion: norm}", "{recursion: norm, record: summary}", []),
        ("args: {recursion: norm}", "class: hf", ["l2_harness", "model_class", "recursion"]),
        # its own batch size is what a method is there for; the suite's is how the work is done
        ("b: {", "b: {batch_size: 2, ", ["batch_size"]),
        ("batch_size: 8", "batch_size: 9", []),
        ("device: cpu", "device: cuda", []),
        ("b: {", "b: {role: control, ", []),
        ("[l2_demo]", "[{task: l2_demo, metric: exact_match}]", []),
        ("  demo: {", "  other: {", []),
    ],
)
def test_what_counts(head: str, old: str, new: str, changed: list[str]) -> None:
    text = head + "  b: {args: {recursion: norm}}\n"
    assert text.count(old) == 1
    before = definition(parse_suite(text))
    now = definition(parse_suite(text.replace(old, new)))
    assert sorted(changed_keys(before, now)) == changed
    assert (definition_digest(before) == definition_digest(now)) is not bool(changed)


@pytest.mark.parametrize("file", ["rows.jsonl", "utils.py", "helper.py"])
def test_changed_data_and_functions_make_another_cell(
    suite_of: Callable[..., Suite], head: str, tmp_path: Path, file: str
) -> None:
    """Data on this disk, the module of a task's function, and what that one imports."""
    texts = {
        "rows.jsonl": '{"q": "1 + 1", "a": "2"}\n',
        "utils.py": "from helper import prompt\n",
        "helper.py": "def prompt(doc):\n    return doc['q']\n",
        "own.yaml": f"""
            task: own
            dataset_path: json
            dataset_kwargs: {{data_files: {{test: {tmp_path}/rows.jsonl}}}}
            test_split: test
            doc_to_text: !function utils.prompt
            doc_to_target: a
        """,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    own = head.replace("[l2_demo]", "[own]")
    suite = suite_of("b: {args: {recursion: norm}}", head=own)
    before = definition(suite, "b", str(tmp_path))
    assert definition(suite, "b", str(tmp_path)) == before
    (tmp_path / file).write_text(texts[file] + "\n")
    assert changed_keys(before, definition(suite, "b", str(tmp_path))) == ["task_config"]


def test_a_changed_adapter_is_another_cell_and_is_named(
    suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    suite = suite_of(f"b: {{args: {{peft: {tmp_path}}}}}")
    before = definition(suite)
    (tmp_path / "adapter_config.json").write_text('{"r": 2}')
    now = definition(suite)
    assert changed_keys(before, now) == ["peft/adapter_config.json"]
    assert not is_same(before, now)
    assert is_same(now, now)


def test_a_file_of_thresholds_that_was_written_anew_is_another_cell(
    suite_of: Callable[..., Suite], tmp_path: Path
) -> None:
    file = tmp_path / "calibration.json"
    file.write_text("{}")
    suite = suite_of(f"b: {{args: {{threshold: calibrated, calibration: {file}}}}}")
    before = definition(suite)
    file.write_text("{} ")
    assert changed_keys(before, definition(suite)) == ["calibration"]
    assert "calibration" not in definition(suite, "plain")["model_files"]


def test_a_cell_that_is_old_is_known_by_what_it_knew(suite_of: Callable[..., Suite]) -> None:
    now = definition(suite_of("b: {args: {recursion: norm}}"))
    old = {key: value for key, value in now.items() if key != "model_files"}
    assert is_same(old, now)
    assert not is_same({**old, "weights": "another"}, now)


def test_the_order_of_arguments_does_not_count(suite_of: Callable[..., Suite]) -> None:
    one = definition(suite_of("b: {args: {recursion: norm, threshold_warmup: 8}}"))
    other = definition(suite_of("b: {args: {threshold_warmup: 8, recursion: norm}}"))
    assert definition_digest(one) == definition_digest(other)


TASK = (
    "task: mine\noutput_type: generate_until\ndoc_to_text: !function utils.f\ndoc_to_target: {}\n"
)


def test_a_task_that_was_edited_counts_and_where_it_lies_does_not(
    head: str, tmp_path: Path
) -> None:
    suite = parse_suite(head.replace("[l2_demo]", "[mine]"))
    found = []
    for folder, target in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(TASK.format(target))
        (tmp_path / folder / "utils.py").write_text("f = str\n")
        found.append(definition(suite, "plain", str(tmp_path / folder)))
    assert found[0] == found[1]
    assert changed_keys(found[0], found[2]) == ["task_config"]


def test_other_weights_of_the_same_name_count(head: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    suite = parse_suite(head.replace("pretrained: demo", f"pretrained: {tmp_path}"))
    before = definition(suite, "plain")
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert changed_keys(before, definition(suite, "plain")) == ["pretrained/model.safetensors"]
