"""A suite in a few lines, on the embedded model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from l2_harness.compare.suite import Suite
from l2_harness.compare.suite_reader import parse_suite

HEAD = """
models:
  demo: {args: {pretrained: demo, dtype: float32}}
tasks: [l2_demo]
apply_chat_template: true
limit: 6
batch_size: 8
device: cpu
gen_kwargs: {max_gen_toks: 48}
methods:
  plain: {role: plain}
"""


@pytest.fixture(scope="session")
def head() -> str:
    """What the suites of these tests begin with; line 12 is the first after it."""
    return HEAD


@pytest.fixture(scope="session")
def suite_of() -> Callable[..., Suite]:
    """``suite_of("alrr: {args: …}", …)``: a suite of plain and these methods."""

    def make(*methods: str, head: str = HEAD) -> Suite:
        return parse_suite(head + "".join(f"  {method}\n" for method in methods), "t.yaml")

    return make
