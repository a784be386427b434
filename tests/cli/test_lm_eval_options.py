"""Texts of options are read as lm-eval reads its own."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from lm_eval._cli.utils import MergeDictAction

from l2_harness.cli.lm_eval_options import arguments_of, batch_size_of, words_of
from l2_harness.config.errors import ConfigError


def of_lm_eval(text: str) -> Any:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata", nargs="+", action=MergeDictAction)
    return parser.parse_args(["--metadata", text]).metadata


@pytest.mark.parametrize(
    "text", ["a=1", "a=1,b=2.5,c=true,d=x", '{"a": [1, 2], "b": "1"}', "a=b=c", "a='1'"]
)
def test_arguments(text: str) -> None:
    assert arguments_of("--metadata", text) == of_lm_eval(text)


def test_no_arguments() -> None:
    assert arguments_of("--metadata", "") == {}


def test_arguments_that_are_none() -> None:
    for text in ("[", "a", "=1", "a=1,b", "a=1,=2"):
        with pytest.raises(ConfigError, match=r"--metadata=.* isn't of the form a=1,b=2"):
            arguments_of("--metadata", text)
    with pytest.raises(ConfigError, match="gives 'a' twice"):
        arguments_of("--metadata", "a=1, a=2")
    with pytest.raises(ConfigError, match=r"--metadata=.* is no JSON"):
        arguments_of("--metadata", "{")


def test_words() -> None:
    assert words_of("a, b,,c ") == ("a", "b", "c")
    assert words_of(None) == words_of("") == ()


def test_batch_sizes() -> None:
    assert [batch_size_of(text) for text in ("16", "auto", "auto:4")] == [16, "auto", "auto:4"]
    with pytest.raises(ConfigError, match="--batch-size='many' is not allowed"):
        batch_size_of("many")
