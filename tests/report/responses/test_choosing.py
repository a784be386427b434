from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from l2_harness.report.responses.choosing import choose, describe
from l2_harness.report.responses.views import Verdict

VERDICTS = st.sampled_from(["correct", "wrong", "unjudged"])


@given(
    st.lists(st.tuples(VERDICTS, st.sampled_from("abc")), max_size=60),
    st.integers(1, 40),
    st.integers(0, 9),
)
def test_a_choice(pool: list[tuple[Verdict, str]], wanted: int, seed: int) -> None:
    verdicts, tasks = [v for v, _ in pool], [t for _, t in pool]
    chosen = choose(verdicts, tasks, wanted, seed)
    assert chosen == choose(verdicts, tasks, wanted, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(wanted, len(pool))
    there = Counter[str](verdicts)
    taken = Counter[str](verdicts[i] for i in chosen)
    few, many = sorted(("correct", "wrong"), key=lambda verdict: taken[verdict])
    # one side has fewer only where it has no more
    assert taken[many] - taken[few] <= 1 or taken[few] == there[few]
    if taken["unjudged"]:
        assert (taken[few], taken[many]) == (there[few], there[many])
    for verdict in taken:
        of_task = Counter(tasks[i] for i in chosen if verdicts[i] == verdict)
        all_of = Counter(t for v, t in pool if v == verdict)
        most = max(of_task.values())
        assert all(of_task[t] >= min(most - 1, count) for t, count in all_of.items())


def test_seeds_draw_differently() -> None:
    verdicts: list[Verdict] = ["correct", "wrong"] * 100
    assert choose(verdicts, ["t"] * 200, 20, 0) != choose(verdicts, ["t"] * 200, 20, 1)


def test_words() -> None:
    verdicts: list[Verdict] = [*["correct"] * 3, *["wrong"] * 5]  # type: ignore[list-item]
    tasks = ["a"] * 4 + ["b"] * 4
    chosen = choose(verdicts, tasks, 4, 7)
    assert describe(verdicts, tasks, chosen, 7) == (
        "4 of 8 responses of 2 tasks: 2 correct and 2 wrong, drawn at random (seed 7), spread "
        "evenly over the tasks as far as there are enough. Correct and wrong ones were drawn "
        "apart, so their share here is not the run's accuracy."
    )
    assert describe(verdicts, tasks, range(8), 7) == "All 8 responses of 2 tasks."
    unjudged: list[Verdict] = ["unjudged"] * 8
    assert describe(unjudged, ["a"] * 8, [1, 2], 0) == (
        "2 of 8 responses of a, drawn at random (seed 0)."
    )
