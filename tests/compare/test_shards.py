"""A suite dealt out to several runs, and the leaderboard of what they left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from l2_harness.compare.merging import merged_outcomes
from l2_harness.compare.plan import PlannedCell, make_plan
from l2_harness.compare.processes import only_one_run
from l2_harness.compare.runner import run_suite
from l2_harness.compare.shards import Shard
from l2_harness.compare.suite import Suite, cells_of
from l2_harness.compare.suite_checks import check_suite
from l2_harness.compare.suite_reader import load_suite
from l2_harness.config.errors import ConfigError

DRAWN = "gen_kwargs: {do_sample: true, temperature: 0.8}"
METHODS = (
    "hf: {class: hf, role: null}",
    "alrr: {args: {recursion: norm, threshold_warmup: 4}}",
    "alrr_random: {matches: alrr, role: control, args: {recursion: random, threshold_warmup: 4}}",
    f"best: {{{DRAWN}, args: {{num_samples: 3, selection: mean_logprob}}}}",
    "vote: {extends: best, role: rival, args: {selection: majority}}",
)


def shares(suite: Suite, of: int) -> list[list[PlannedCell]]:
    catalogue = check_suite(suite)
    shards = [Shard(number, of) for number in range(1, of + 1)]
    return [make_plan(suite, Path("nowhere"), catalogue, shard=shard).cells for shard in shards]


def names(cells: Sequence[PlannedCell]) -> set[str]:
    return {planned.cell.name for planned in cells}


class TestDealing:
    @pytest.mark.parametrize("of", [1, 2, 3, 7, 60])
    def test_every_cell_is_in_one_share(self, of: int) -> None:
        suite = load_suite("demo")
        dealt = Counter(name for cells in shares(suite, of) for name in names(cells))
        assert dealt == Counter(cell.name for cell in cells_of(suite))

    @pytest.mark.parametrize("of", [2, 3, 7])
    def test_what_a_cell_needs_is_in_its_share(self, of: int) -> None:
        sources = []
        for cells in shares(load_suite("demo"), of):
            own = names(cells)
            assert {p.matched.cell.name for p in cells if p.matched} <= own
            sources.append({p.source.cell.name for p in cells if p.source})
        assert sum(map(len, sources)) == 2  # seeds, each drawn in one share
        assert all(not a & b for a, b in combinations(sources, 2))

    def test_shares_are_of_a_size(self, suite_of: Callable[..., Suite]) -> None:
        suite = suite_of("many: {args: {num_samples: 4}, " + DRAWN + "}", *METHODS[:2])
        assert [names(cells) for cells in shares(suite, 2)] == [
            {"demo/l2_demo/many/seed0"},
            {f"demo/l2_demo/{name}/seed0" for name in ("plain", "hf", "alrr")},
        ]

    def test_controls_of_controls_stay_with_them(self, suite_of: Callable[..., Suite]) -> None:
        more = METHODS[2].replace("alrr_random: {matches: alrr,", "more: {matches: alrr_random,")
        first, second = shares(suite_of(*METHODS[1:3], more), 2)
        assert names(second) == {"demo/l2_demo/plain/seed0"}
        assert len(first) == 3

    def test_what_has_run_changes_no_share(
        self, suite_of: Callable[..., Suite], tmp_path: Path
    ) -> None:
        suite = suite_of(*METHODS)
        run_suite(suite, tmp_path, only=["plain"])
        plan = make_plan(suite, tmp_path, check_suite(suite), shard=Shard(1, 2))
        assert names(plan.cells) == names(shares(suite, 2)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "--shard='2' is no i/n, such as 2/8"),
        ("a/b", "is no i/n"),
        ("4/3", "--shard=4/3: runs are counted from 1/3 to 3/3"),
        ("0/3", "runs are counted from 1/3 to 3/3"),
        ("1/0", "dealt out to 1 run or more, not 0"),
        ("1/-2", "not -2"),
    ],
)
def test_what_is_no_shard(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shard.read(text)


class TestLocks:
    def test_shards_share_a_folder(self, tmp_path: Path) -> None:
        with only_one_run(tmp_path, Shard(1, 2)), only_one_run(tmp_path, Shard(2, 2)):
            pass

    @pytest.mark.parametrize("other", [Shard(1, 2), Shard(1, 3), Shard(2, 3), Shard()])
    def test_runs_that_have_cells_in_common_do_not(self, tmp_path: Path, other: Shard) -> None:
        for first, second in [(Shard(1, 2), other), (other, Shard(1, 2))]:
            with (
                only_one_run(tmp_path, first),
                pytest.raises(ConfigError, match="another run is at work"),
                only_one_run(tmp_path, second),
            ):
                pass

    def test_an_ended_run_keeps_nobody_out(self, tmp_path: Path) -> None:
        for shard in (Shard(1, 2), Shard(), Shard(2, 3)):
            with only_one_run(tmp_path, shard):
                pass


@pytest.fixture(scope="module")
def suite(suite_of: Callable[..., Suite], head: str) -> Suite:
    return suite_of(*METHODS, head=head.replace("limit: 6", "limit: 2").replace("48", "16"))


@pytest.fixture(scope="module")
def whole(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return run_suite(suite, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def apart(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Each shard's own folder."""
    folders = [tmp_path_factory.mktemp(f"shard{number}") for number in (1, 2)]
    for number, folder in enumerate(folders, 1):
        run_suite(suite, folder, shard=Shard(number, 2))
    return folders


def boards(outcomes: Sequence[Any], out: Path) -> Any:
    """What is written of a leaderboard, but for times and memory, which no two runs share."""
    from dataclasses import replace

    from l2_harness.compare.leaderboard import Options, leaderboard, write_leaderboard

    still = [replace(o, cost=replace(o.cost, seconds=1.0, peak_bytes=1)) for o in outcomes]
    write_leaderboard(leaderboard(still, Options()), out)
    return json.loads((out / "leaderboard.json").read_text("utf-8"))


class TestMerging:
    def test_the_leaderboard_is_that_of_one_run(
        self, suite: Suite, whole: list[Any], apart: list[Path], tmp_path: Path
    ) -> None:
        merged = merged_outcomes(suite, apart)
        assert [o.error for o in merged] == [None] * 6
        assert [o.scores for o in merged] == [o.scores for o in whole]
        assert boards(merged, tmp_path / "a") == boards(whole, tmp_path / "b")

    def test_one_folder_does_as_well(self, suite: Suite, whole: list[Any], tmp_path: Path) -> None:
        for number in (2, 1):
            run_suite(suite, tmp_path, shard=Shard(number, 2))
        merged = merged_outcomes(suite, [tmp_path])
        assert boards(merged, tmp_path / "a") == boards(whole, tmp_path / "b")

    def test_what_is_lacking_is_named(self, suite: Suite, apart: list[Path]) -> None:
        there = names(make_plan(suite, apart[0], check_suite(suite), shard=Shard(1, 2)).cells)
        lacking = sorted({cell.name for cell in cells_of(suite)} - there)
        with pytest.raises(ConfigError) as error:
            merged_outcomes(suite, apart[:1])
        assert f"{len(lacking)} of 6 cells have no result: " in str(error.value)
        assert all(f"{name} (new)" in str(error.value) for name in lacking)
        assert not any(name in str(error.value) for name in there)

    def test_what_is_not_asked_for_may_be_lacking(self, suite: Suite, apart: list[Path]) -> None:
        own = make_plan(suite, apart[0], check_suite(suite), shard=Shard(1, 2)).cells
        asked = [planned.cell.name for planned in own]
        assert len(merged_outcomes(suite, apart[:1], asked)) == len(own)

    def test_another_suite_is_told(self, suite_of: Callable[..., Suite], apart: list[Path]) -> None:
        with pytest.raises(ConfigError, match=r"plain/seed0 \(changed: gen_kwargs|max_gen_toks"):
            merged_outcomes(suite_of(*METHODS), apart)

    def test_a_folder_that_is_not_there(self, suite: Suite, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no such folder"):
            merged_outcomes(suite, [tmp_path / "none"])

    def test_a_cell_that_failed_is_taken_where_it_did_not(
        self, suite_of: Callable[..., Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from l2_harness.compare import evaluation

        suite = suite_of("alrr: {args: {recursion: norm}}")
        with monkeypatch.context() as patch:
            patch.setattr(evaluation, "evaluate", lambda *a, **k: 1 / 0)
            run_suite(suite, tmp_path / "a")
        assert all(o.error for o in merged_outcomes(suite, [tmp_path / "a"]))
        run_suite(suite, tmp_path / "b")
        merged = merged_outcomes(suite, [tmp_path / "a", tmp_path / "b"])
        assert [o.error for o in merged] == [None, None]
