"""What a suite may ask of lm-eval and l2hf: refused before anything runs, with line and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lm_eval.utils import warning_once

from l2_harness.compare.suite import Suite
from l2_harness.compare.suite_checks import check_suite
from l2_harness.compare.suite_reader import load_suite, parse_suite
from l2_harness.config.errors import ConfigError

SAMPLED = "gen_kwargs: {do_sample: true, temperature: 0.8}"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "b: {args: {recursion: nrom}}",
            "t.yaml, line 12: method 'b': recursion='nrom' is unknown; did you mean 'norm'?",
        ),
        (
            "b: {args: {recursio: norm}}",
            "line 12: method 'b': model_args holds an unknown argument 'recursio'; did you mean 'r",
        ),
        (
            "b:\n    args:\n      dtype: float32\n      selection: l2",
            "line 15: method 'b': selection=l2_peaks chooses among samples, and num_samples is 1.",
        ),
        (
            "b:\n    args:\n      num_samples: 4",
            "line 14: method 'b': num_samples=4 asks for different samples, but task 'l2_demo' is",
        ),
        (
            "b: {class: l2hff}",
            "line 12: method 'b': unknown model class 'l2hff'; did you mean 'l2h",
        ),
        (
            "b: {class: hf, args: {recursion: norm}}",
            "line 12: method 'b': recursion is an argument of l2hf, and this runs with hf.",
        ),
        (
            "b: {class: hf, args: {dytpe: float32}}",
            "line 12: method 'b': model_args holds an unknown argument 'dytpe'; did you mean 'dty",
        ),
        (
            "b: {args: {trace_dir: x}}",
            "line 12: method 'b': trace_dir is for the runner to set",
        ),
        (
            "b: {args: {dtype: flot32}}",
            "line 12: method 'b': dtype='flot32' is unknown; did you mean 'float32'?",
        ),
        (
            "b: {args: {pretrained: ./nowhere}}",
            "line 12: method 'b': pretrained='nowhere' does not exist. Pass a folder that",
        ),
    ],
)
def test_a_method_that_cannot_run(
    suite_of: Callable[..., Suite], method: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_suite(suite_of(method))


def test_another_class_is_asked_what_it_takes(
    suite_of: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval.api.registry
    from lm_eval.api.model import LM

    class Narrow(LM):
        def __init__(self, pretrained: str, dtype: str) -> None:
            """Takes these two."""

    known = lm_eval.api.registry.get_model
    monkeypatch.setattr(
        lm_eval.api.registry, "get_model", lambda name: Narrow if name == "dummy" else known(name)
    )
    check_suite(suite_of("b: {class: dummy}"))
    message = "line 12: method 'b' with dummy: unknown argument 'dtypes'; did you mean 'dtype'?"
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_suite(suite_of("b: {class: dummy, args: {dtypes: x}}"))


def test_a_method_that_can(suite_of: Callable[..., Suite]) -> None:
    check_suite(suite_of(f"b: {{{SAMPLED}, args: {{num_samples: 4, selection: l2}}}}"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[l2_demo]", "[l2_dmo]", "line 4: unknown task 'l2_dmo'; did you mean 'l2_demo'?"),
        ("[l2_demo]", "[{task: l2_demo, metric: acc}]", "line 4: task 'l2_demo': unknown metric"),
        (
            "{args:",
            "{class: vlm, args:",
            "line 3: model 'demo': unknown model class 'vlm'; did you",
        ),
        ("pretrained: demo", "dtype: float16", "dtype' is there already"),
        ("pretrained: demo, ", "", "line 11: method 'plain': args has no pretrained. Pass a model"),
    ],
)
def test_a_model_or_task_that_is_not_there(head: str, old: str, new: str, message: str) -> None:
    assert old in head
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_suite(parse_suite(head.replace(old, new), "t.yaml"))


def test_a_model_that_no_hub_has(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def none(*args: object, **kwargs: object) -> None:
        raise OSError("nobody/nothing is not a local folder. More")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", none)
    suite = parse_suite(head.replace("pretrained: demo", "pretrained: nobody/nothing"), "t.yaml")
    with pytest.raises(ConfigError, match=r"line 3: model 'demo': pretrained='nobody/nothing' can"):
        check_suite(suite)
    # what is not to run may be out of reach
    check_suite(suite, only=["other/*"])


def test_responses_that_leave_no_room(suite_of: Callable[..., Suite]) -> None:
    """The demo model has 1,024 positions; found before its weights load."""
    message = "max_gen_toks=32768 (task 'l2_demo') leaves no room for a prompt: the model takes "
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_suite(suite_of("b: {gen_kwargs: {max_gen_toks: 32768}}"))
    check_suite(suite_of("b: {gen_kwargs: {max_gen_toks: 32768}, args: {max_length: 40000}}"))


def test_a_temperature_of_model_args_is_not_warned_of(
    suite_of: Callable[..., Suite], caplog: pytest.LogCaptureFixture
) -> None:
    """lm-eval doesn't know it, and would miss it where only do_sample is asked for."""
    warning_once.cache_clear()
    check_suite(suite_of("b: {gen_kwargs: {do_sample: true}, args: {temperature: 0.8}}"))
    assert not caplog.records


def test_tasks_of_ones_own(head: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("task: my_own\noutput_type: generate_until\n")
    own = head.replace("[l2_demo]", f"[{{task: my_own, include_path: {tmp_path}}}]")
    assert check_suite(parse_suite(own, "t.yaml")).knows("my_own")


@pytest.mark.parametrize("name", ["demo", "controls"])
def test_the_packages_suites_pass(name: str) -> None:
    check_suite(load_suite(name))


def test_the_papers_suite_passes_without_a_network() -> None:
    """Arguments and tasks; whether the hub has the models is asked of those that are to run."""
    suite = load_suite("paper")
    check_suite(suite, only=["none/*"])
    assert len(suite.models) == 9
