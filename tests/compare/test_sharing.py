"""Which cells choose from the same samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from l2_harness.compare.sharing import shared_samples
from l2_harness.compare.suite import Suite, cells_of
from l2_harness.compare.suite_reader import load_suite
from l2_harness.compare.task_catalogue import TaskCatalogue

DRAWN = "do_sample: true, temperature: 0.8"
BASE = f"s: {{gen_kwargs: {{{DRAWN}}}, args: {{num_samples: 4, selection: random}}}}"


def groups(suite: Suite) -> list[tuple[int, set[str]]]:
    """Samples drawn, and which methods choose from them; of a suite with one seed."""
    catalogue = TaskCatalogue([task.task for task in suite.tasks])
    return [
        (
            int(shared.cell.args["num_samples"]),
            {name.split("/")[2] for name in shared.users},
        )
        for shared in shared_samples(list(cells_of(suite)), catalogue)
    ]


@pytest.mark.parametrize(
    "method",
    [
        "{extends: s, args: {selection: l2}}",
        "{extends: s, args: {selection: majority, selection_answers: math}}",
        "{extends: s, args: {selection: deepconf_tail, selection_window: 8}}",
        "{extends: s, args: {num_samples: 2, record: summary}}",
        "{extends: s, role: rival, args: {num_samples: null, selection: null}}",
    ],
)
def test_what_only_chooses_shares(suite_of: Callable[..., Suite], method: str) -> None:
    assert groups(suite_of(BASE, f"b: {method}")) == [(4, {"s", "b"})]


@pytest.mark.parametrize(
    "method",
    [
        "{extends: s, gen_kwargs: {temperature: 0.7}}",
        "{extends: s, args: {top_p: 0.9}}",
        "{extends: s, args: {layers: all}}",
        "{extends: s, args: {dtype: float64}}",
        "{extends: s, args: {seed: 3}}",
        "{extends: s, args: {recursion: norm}}",
        "{extends: s, args: {suppression: random}}",
        "{extends: s, args: {decoding: stock}}",
        "{extends: s, role: null}",
        "{extends: s, batch_size: 3}",
        "{extends: plain}",
        f"{{class: hf, gen_kwargs: {{{DRAWN}}}}}",
    ],
)
def test_what_draws_otherwise_does_not(suite_of: Callable[..., Suite], method: str) -> None:
    assert groups(suite_of(BASE, f"b: {method}")) == []


def test_the_largest_number_of_samples_is_drawn(suite_of: Callable[..., Suite]) -> None:
    more = "b: {extends: s, args: {num_samples: 9, selection: l2, record: summary}}"
    (shared,) = shared_samples(list(cells_of(suite_of(BASE, more))), TaskCatalogue(["l2_demo"]))
    assert shared.cell.args == {"pretrained": "demo", "dtype": "float32", "num_samples": 9}
    assert shared.cell.gen_kwargs["temperature"] == 0.8


def test_chain_of_embedding_has_to_be_recorded_while_drawing(
    suite_of: Callable[..., Suite],
) -> None:
    suite = suite_of(
        BASE.replace("random", "random, layers: all"),
        "b: {extends: s, args: {selection: coe_r}}",
    )
    (shared,) = shared_samples(list(cells_of(suite)), TaskCatalogue(["l2_demo"]))
    assert shared.cell.args["coe"] is True


def test_seeds_and_single_samples_of_greedy_decoding_stay_apart() -> None:
    suite = load_suite("demo")
    found = shared_samples(list(cells_of(suite)), TaskCatalogue(["l2_demo"]))
    assert [(s.cell.seed, s.cell.args["num_samples"]) for s in found] == [(0, 16), (1, 16)]
    assert len({s.cell.method.name for s in found}) == 1
    users = {name.split("/")[2] for name in found[0].users}
    assert users == {m.name for m in suite.methods if m.name.startswith(("best", "sample"))}
