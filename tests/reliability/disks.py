"""Long commands on a disk that is full or can't be written: one line, and nothing lost.

    python tests/reliability/disks.py --out disks.json

Each command is run on a small tmpfs that has room for 2, 30 and 70 % of what it writes, then again
with room enough: the same has to come out as on an empty disk. On a disk that is read-only it has
to end with one line. Needs the right to mount. Ends with status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from long_commands import COMMANDS, LongCommand, make_inputs
from outcomes import differences, outcome
from processes import LOG, Forks

SHARES = (0.02, 0.3, 0.7)
_PLENTY = "256m"


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own; yields what changes its options.

    Raises:
        PermissionError: this user may not mount.
    """
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        raise PermissionError(f"mount says: {mounted.stderr.strip()}")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def check(command: LongCommand, root: Path, forks: Forks) -> tuple[int, list[str]]:
    """How often a command was run on such a disk, and what was not as it should be."""
    words, faults, tried = command.words(root / "base"), [], 0
    whole = root / "whole"
    whole.mkdir()
    assert forks.run(words, whole) == 0, _log(whole)
    size = sum(path.stat().st_blocks * 512 for path in whole.rglob("*"))
    expected = outcome(whole)
    shutil.rmtree(whole)
    for share in SHARES:
        tried += 1
        with disk(root / "disk", f"{max(int(share * size), 4096)}") as remount:
            folder, log = root / "disk", root / LOG
            status = forks.run(words, folder, log)
            if status and (fault := _fault(log, "No space left on device")):
                faults.append(f"{command.name}, {share:.0%} of the room: {fault}")
            remount(f"size={_PLENTY}")
            if status := forks.run(words, folder, log):
                faults.append(f"{command.name}, again with room: {status}: {_log(root)[-500:]}")
            elif different := differences(outcome(folder), expected):
                faults.append(f"{command.name}, again with room: other {', '.join(different)}")
    tried += 1
    with disk(root / "disk", _PLENTY) as remount:
        remount("ro")
        status = forks.run(words, root / "disk", root / LOG)
        if not status or (fault := _fault(root / LOG, "Read-only file system")):
            faults.append(f"{command.name}, read-only: {status}: {fault}")
    return tried, faults


def _fault(log: Path, reason: str) -> str | None:
    """What is wrong with how a command ended; None where one line at its end says why."""
    text = log.read_text("utf-8", "replace")
    last = text.strip().splitlines()[-1] if text.strip() else ""
    ok = reason in last and "error: " in last and "Traceback" not in text
    return None if ok else text[-700:]


def _log(folder: Path) -> str:
    return (folder / LOG).read_text("utf-8", "replace")


def main() -> None:
    """All commands on all disks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", action="append", help="only this one; repeatable")
    parser.add_argument("--folder", type=Path, help="for inputs; those of kills.py do")
    parser.add_argument("--out", type=Path, help="JSON file for what was found")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root, forks = given.folder or Path(scratch), Forks()
        if not (root / "base").exists():
            make_inputs(root / "base", forks.run)
        for command in COMMANDS:
            if not given.command or command.name in given.command:
                tried, faults = check(command, root, forks)
                found[command.name] = {"runs": tried, "faults": faults}
                print(f"{command.name}: {tried} disks, {len(faults)} faults", *faults, flush=True)
    text = json.dumps(found, indent=1)
    if given.out is not None:
        given.out.write_text(text + "\n")
    sys.exit(1 if any(one["faults"] for one in found.values()) else 0)


if __name__ == "__main__":
    main()
