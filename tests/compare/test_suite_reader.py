"""A suite's file: what it may say, what methods inherit, and what is refused with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from l2_harness.compare.suite import Overrides, Suite, cells_of
from l2_harness.compare.suite_reader import load_suite, packaged_suites, parse_suite
from l2_harness.config.errors import ConfigError

GOOD = """\
models:
  a: {args: {pretrained: x}}
tasks: [one]
methods:
  plain: {role: plain}
"""


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml is empty. A suite has models, tasks and methods."),
        ("models: [", "t.yaml, line 1: no YAML: "),
        ("a: b: c", "t.yaml, line 1: no YAML: mapping values are not allowed here."),
        ("[1]", "t.yaml, line 1: the suite is a mapping of names; this is 'a list'."),
        (GOOD + "metods: {}", "line 6: the suite: unknown key 'metods'; did you mean 'methods'?"),
        (GOOD + "tasks: [two]", "line 6: 'tasks' is there already, on line 3. Give one of the two"),
        (
            GOOD + "  alrr: {}\n  plain: {}\n",
            "line 7: 'plain' is there already, on line 5. Give one of the two another name",
        ),
        ("models: {a: }\ntasks: [x]", "t.yaml, line 1: the suite has no `methods`."),
        (replaced("args:", "arg:"), "line 2: model 'a': unknown key 'arg'; did you mean 'args'?"),
        (
            replaced("{pretrained: x}", "{pretrained: x, batch_size: 4}"),
            "line 2: batch_size is no model argument here: give it beside args, or for the suite.",
        ),
        (replaced("  a:", "  a/b:"), "line 2: model 'a/b' would name a folder: use letters"),
        (replaced("[one]", "[one, one]"), "line 3: task 'one' is there already, on line 3."),
        (replaced("[one]", "[{name: x}]"), "line 3: a task given as a mapping names it"),
        (replaced("[one]", "[]"), "line 3: `tasks` is empty."),
        (
            replaced("[one]", "[{task: one, limt: 3}]"),
            "line 3: a task: unknown key 'limt'; did you mean 'limit'?",
        ),
        (replaced("[one]", "[{task: one, limit: 0}]"), "line 3: limit is a number of documents"),
        (replaced("[one]", "[{task: one, limit: 2.5}]"), "line 3: limit is a number of documents"),
        (replaced("{role: plain}", "{}"), "line 4: one method has `role: plain`, the one that all"),
        (GOOD + "  b: {role: plain}", "line 4: one method has `role: plain`, the one that all are"),
        (
            GOOD + "  b: {role: rivl}",
            "line 6: role='rivl' is unknown; did you mean 'rival'? Allowed: plain, null,",
        ),
        (
            GOOD + "  b: {extends: plan}",
            "line 6: method 'b' extends an unknown method 'plan'; did you mean 'plain'?",
        ),
        (
            GOOD + "  b: {extends: c}\n  c: {extends: d}\n  d: {extends: c}",
            "line 7: methods extend one another in a circle: c → d → c. Break it at one.",
        ),
        (GOOD + "  b: {engine: hff}", "line 6: method 'b': unknown engine 'hff'; did you mean 'hf"),
        (GOOD + "  b: {engine: hf, class: hf}", "line 6: method 'b' has both `class` and `engine`"),
        (GOOD + "  b: {args: [1]}", "line 6: args is a mapping of names; this is 'a list'."),
        (GOOD + "  b: {seeds: [1, 1]}", "line 6: seeds are different whole numbers"),
        (
            GOOD + "  b: {seeds: [-1]}",
            "line 6: seeds='-1' is not allowed. Pass a whole number of at",
        ),
        (GOOD + "  b: {batch_size: many}", "line 6: batch_size='many' is not allowed. Pass"),
        (GOOD + "  b: {<<: {role: null}}", "line 6: a suite takes no merge keys (<<): write"),
        (GOOD + "  b: &b {args: *b}", "line 6: this value contains itself."),
        (GOOD + "published: {a/one: 3}", "line 6: published: 'a/one' is to be model/task/method."),
        (GOOD + "published: {a/one/b: {vale: 3}}", "line 6: published 'a/one/b': unknown key 'val"),
        (GOOD + "published: {a/one/b: x}", "line 6: value='x' is not allowed. Pass a number."),
        (
            GOOD + "published: {a/one/b: {source: x}}",
            "line 6: published: 'a/one/b' has no `value`.",
        ),
        (GOOD + "  b: {role: {a: 1}}", "line 6: role is a single value; this is 'a mapping'."),
        (GOOD + "name: [a]", "line 6: name is a single value; this is 'a list'."),
        *(
            (GOOD + f"limit: {limit}", "line 6: limit is a number of documents")
            for limit in ("1e400", ".nan", ".inf", "0", "-1", "1.5", "yes")
        ),
        (GOOD + "limit: 010", "line 6: YAML reads 010 as the number 8. Write that, or put it in q"),
        (GOOD + "limit: 1:30", "line 6: YAML reads 1:30 as the number 90."),
        (GOOD + "  b: {args: {revision: 0123}}", "line 6: YAML reads 0123 as the number 83."),
        (GOOD + "fewshot_as_multiturn: 3", "line 6: fewshot_as_multiturn is true or false"),
    ],
)
def test_a_mistake_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_suite(text, "t.yaml")


def test_a_line_deep_inside_is_that_of_its_key(suite_of: Callable[..., Suite]) -> None:
    text = GOOD + "  b:\n    args:\n      recursion: norm\n      batch_size: 3\n"
    with pytest.raises(ConfigError, match=r"t.yaml, line 9: batch_size is no model argument"):
        parse_suite(text, "t.yaml")


def test_no_such_suite() -> None:
    with pytest.raises(ConfigError, match=r"unknown suite 'dem'; did you mean 'demo'\?"):
        load_suite("dem")


def test_inheritance(suite_of: Callable[..., Suite]) -> None:
    suite = suite_of(
        "off: {extends: alrr, role: null, batch_size: 7, args: {recursion: off, extra: null}}",
        "alrr: {extends: plain, args: {recursion: norm, extra: 1}, gen_kwargs: {top_p: 0.9}}",
        "child: {extends: rival, class: hf, seeds: [3]}",
        "rival: {extends: alrr, role: rival, args: {recursion: entropy}, gen_kwargs: {top_k: 5}}",
    )
    found = {method.name: method for method in suite.methods}
    assert list(found) == ["plain", "off", "alrr", "child", "rival"]
    assert found["alrr"].args == {"recursion": "norm", "extra": 1}
    # what extends the plain run is a method; `off` is a name, and YAML's word for false a value
    assert (found["alrr"].role, found["off"].role) == ("method", "null")
    assert found["off"].args == {"recursion": False}
    assert found["off"].gen_kwargs == {"top_p": 0.9}
    assert found["child"].args == {"recursion": "entropy", "extra": 1}
    assert found["child"].gen_kwargs == {"top_p": 0.9, "top_k": 5}
    assert (found["child"].model_class, found["child"].role) == ("hf", "rival")
    assert (found["off"].batch_size, found["alrr"].batch_size) == (7, None)


def test_tasks_take_what_the_suite_says_of_all() -> None:
    text = GOOD.replace("[one]", "[one, {task: two, limit: 5, gen_kwargs: {top_p: 1}}]")
    suite = parse_suite(text + "limit: 9\ngen_kwargs: {top_k: 3, top_p: 0.5}\n", "t.yaml")
    one, two = suite.tasks
    assert (one.limit, two.limit) == (9, 5)
    assert one.gen_kwargs == {"top_k": 3, "top_p": 0.5}
    assert two.gen_kwargs == {"top_k": 3, "top_p": 1}


def test_a_null_is_nothing_said() -> None:
    text = GOOD.replace("[one]", "[{task: one, limit: null, metric: null, num_fewshot: null}]")
    (task,) = parse_suite(text + "limit: 9\nbatch_size: auto\ndevice: null\n", "t.yaml").tasks
    assert (task.limit, task.metric, task.num_fewshot) == (None, None, None)


def test_what_extends_may_leave_its_settings_empty() -> None:
    text = GOOD + "  a: {args: {top_p: 1, top_k: null}, batch_size: 3}\n"
    text += "  b: {extends: a, args: }\n  c: {extends: b, args: {top_p: null}, batch_size: null}\n"
    methods = {method.name: method for method in parse_suite(text, "t.yaml").methods}
    assert methods["a"].args == methods["b"].args == {"top_p": 1}
    assert methods["c"].args == {}
    assert (methods["b"].batch_size, methods["c"].batch_size) == (3, None)


def test_words_are_taken_as_they_are_written() -> None:
    suite = parse_suite(GOOD.replace("[one]", "[{task: on, name: 1.10}]"), "t.yaml")
    assert [(task.task, task.name) for task in suite.tasks] == [("on", "1.10")]


def test_cells_in_the_order_of_the_file() -> None:
    text = GOOD.replace("[one]", "[one, two]") + "  b: {seeds: [5]}\nseeds: [0, 1]\n"
    text += "exclude: ['*/two/b']\n"
    assert [cell.name for cell in cells_of(parse_suite(text, "t.yaml"))] == [
        "a/one/plain/seed0",
        "a/one/plain/seed1",
        "a/one/b/seed5",
        "a/two/plain/seed0",
        "a/two/plain/seed1",
    ]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("plain", True),
        ("pl*", True),
        ("a/*/plain", True),
        ("a", False),
        ("a/one", True),
        ("a/one/plain/seed0", True),
        ("a/one/plain/seed1", False),
        ("b/*", False),
        ("a/one/plain/seed0/more", False),
    ],
)
def test_patterns(pattern: str, matches: bool) -> None:
    (cell,) = cells_of(parse_suite(GOOD, "t.yaml"))
    assert cell.matches(pattern) is matches


def test_overrides() -> None:
    suite = parse_suite(GOOD + "  b: {seeds: [5]}\n  c: {seeds: [1, 2]}\nlimit: 3\n", "t.yaml")
    over = Overrides(
        limit=7, tasks=("one", "new"), seeds=(8, 9), model_args={"pretrained": "Org/Big-1B", "k": 1}
    )
    changed = over.applied(suite)
    assert [(t.task, t.limit) for t in changed.tasks] == [("one", 7), ("new", 7)]
    (model,) = changed.models
    assert (model.name, model.args) == ("Big-1B", {"pretrained": "Org/Big-1B", "k": 1})
    seeds = {(c.method.name, c.seed) for c in cells_of(changed)}
    assert seeds == {("plain", 8), ("plain", 9), ("b", 5), ("c", 8), ("c", 9)}


def test_one_pretrained_for_several_models_is_refused() -> None:
    suite = parse_suite(GOOD.replace("tasks:", "  b: {}\ntasks:"), "t.yaml")
    with pytest.raises(ConfigError, match="names one model, and the suite has 2"):
        Overrides(model_args={"pretrained": "x"}).applied(suite)


@pytest.mark.parametrize("name", ["demo", "paper", "controls"])
def test_the_packages_suites_can_be_read(name: str) -> None:
    suite = load_suite(name)
    assert name in packaged_suites()
    assert {m.role for m in suite.methods} >= {"plain", "null", "method", "control", "rival"}
    assert suite.description


def test_a_suite_in_a_file_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(GOOD)
    assert load_suite(str(tmp_path / "mine.yml")).name == "mine"


def test_a_suite_on_another_engine() -> None:
    suite = load_suite("first_look")
    on_vllm = Overrides(engine="vllm").applied(suite)
    classes = {cell.method.name: cell.model_class for cell in cells_of(on_vllm)}
    assert classes.pop("vllm") == "vllm"
    assert set(classes.values()) == {"l2vllm"}
    assert {*classes, "hf"} == {method.name for method in suite.methods}
    assert Overrides(engine="hf").applied(on_vllm) == suite
