"""Places, and who shares one.

Best first. A group's leader is its best method; whoever can't be told from the leader shares its
place, down to the first method that can be told, which leads the next group. So two neighbours in
different groups need not differ from each other: only from their leaders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def rank_groups(
    order: Sequence[str], differs: Callable[[str, str], bool]
) -> dict[str, tuple[int, bool]]:
    """Method → its place and whether others share it.

    Args:
        order: methods, best first.
        differs: whether the corrected difference of two leaves out 0.
    """
    groups: list[list[str]] = []
    for method in order:
        if groups and not differs(groups[-1][0], method):
            groups[-1].append(method)
        else:
            groups.append([method])
    places: dict[str, tuple[int, bool]] = {}
    for group in groups:
        place = len(places) + 1
        places |= {method: (place, len(group) > 1) for method in group}
    return places
