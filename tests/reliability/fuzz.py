"""Every parser, given inputs that come near to what it reads.

    python tests/reliability/fuzz.py --inputs 1000000 --out fuzz.json
    python tests/reliability/fuzz.py --atheris layers --seconds 60

With ``--atheris`` (``pip install atheris``) the same inputs are chosen by atheris, which is guided
by what code of this project they reach; it ends at the first fault. A fault is an error that the
parser doesn't document, more than a second of processor time, more than a gibibyte of memory, or a
wrong value. The first of each kind is told. Ends with status 1 if there is any. ``test_fuzz.py``
draws some of them with hypothesis, which makes a failing one small.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from parsers import TARGETS, Target, emptied, quietly

SECONDS = 1.0
MEMORY = 2**30
#: Faults of a parser after which it is left alone.
_ENOUGH = 5


class FaultError(AssertionError):
    """What a parser must not do."""


@dataclass
class Tally:
    """What one parser's inputs came to.

    Attributes:
        inputs: how many there were.
        refused: of them, those that a documented error refused.
        slowest: the longest processor time, in seconds.
        faults: by kind, the first input of each.
    """

    inputs: int = 0
    refused: int = 0
    slowest: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)


def checked(target: Target, tally: Tally, folder: Path) -> Callable[[Any], None]:
    """A function that gives a parser one input and raises for what it must not do."""
    call = quietly(target.call)

    def check(value: Any) -> None:
        emptied(folder)
        began = time.process_time()
        tally.inputs += 1
        try:
            call(value, folder)
        except target.errors:
            tally.refused += 1
        except MemoryError as error:
            raise FaultError("more than a gibibyte") from error
        took = time.process_time() - began
        tally.slowest = max(tally.slowest, took)
        if took > SECONDS:
            raise FaultError(f"more than {SECONDS:.0f} s")

    return check


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> Tally:
    """So many inputs of one parser, or fewer where it has too many faults."""
    target, tally = TARGETS[name], Tally()
    check = checked(target, tally, folder)
    rng = random.Random(f"{seed} {name}")
    while tally.inputs < inputs and len(tally.faults) < _ENOUGH:
        value = target.inputs(rng)
        try:
            check(value)
        except Exception as error:
            kind = _kind(error)
            if kind not in tally.faults:
                tally.faults[kind] = f"{str(error)[:150]!r} of {repr(value)[:400]}"
                print(f"FAULT in {name}: {kind}: {tally.faults[kind]}", flush=True)
    return tally


def _kind(error: BaseException) -> str:
    """The error and the place in the project that it came from."""
    places = [
        f"{Path(frame.filename).name}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "l2_harness" in frame.filename or "parsers.py" in frame.filename
    ]
    return f"{type(error).__name__} in {places[-1] if places else '?'}"


def _limit_memory() -> None:
    """A gibibyte more than what the libraries have taken."""
    with open("/proc/self/statm", encoding="ascii") as file:
        taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY + MEMORY // 2,) * 2)


def _warm(name: str, folder: Path) -> None:
    for number in range(5):
        with contextlib.suppress(Exception):
            checked(TARGETS[name], Tally(), folder)(TARGETS[name].inputs(random.Random(number)))


def run_all(inputs: int, first_seed: int, names: list[str], folder: Path) -> dict[str, Any]:
    """The campaign: a share of the inputs for each parser."""
    for name in names:  # what its libraries take to be imported is not the input's
        _warm(name, folder)
    _limit_memory()
    total = sum(TARGETS[name].share for name in names)
    found: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        tally = fuzz(name, round(inputs * TARGETS[name].share / total), first_seed, folder)
        found[name] = {
            "inputs": tally.inputs,
            "refused": tally.refused,
            "slowest_s": round(tally.slowest, 3),
            "faults": tally.faults,
        }
        spent = time.monotonic() - began
        told = f"{name}: {tally.inputs} inputs, {len(tally.faults)} faults, {spent:.0f} s"
        print(told, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seed": first_seed,
        "inputs": sum(one["inputs"] for one in found.values()),
        "faults": sum(len(one["faults"]) for one in found.values()),
        "peak_memory_gib": round(peak, 2),
        "parsers": found,
    }


def _atheris(name: str, seconds: int, folder: Path) -> None:
    """The same inputs, chosen by what code they reach; ends the process."""
    import atheris
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    _warm(name, folder)
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and "/l2_harness/" in function.__code__.co_filename:
            atheris.instrument_func(function)
    check = checked(TARGETS[name], Tally(), folder)

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms())
    def test(rng: random.Random) -> None:
        check(TARGETS[name].inputs(rng))

    one_input = test.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}"], one_input)
    atheris.Fuzz()


def main() -> None:
    """The campaign as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all parsers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parser", action="append", choices=list(TARGETS), help="only this one")
    parser.add_argument("--atheris", choices=list(TARGETS), help="this one, guided by coverage")
    parser.add_argument("--seconds", type=int, default=60, help="with --atheris")
    parser.add_argument("--out", type=Path, help="JSON file for what was found")
    given_args = parser.parse_args()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as scratch:
        folder = Path(scratch) / "input"
        if given_args.atheris:
            _atheris(given_args.atheris, given_args.seconds, folder)
        names = given_args.parser or list(TARGETS)
        found = run_all(given_args.inputs, given_args.seed, names, folder)
    text = json.dumps(found, indent=1, ensure_ascii=True)
    print(text)
    if given_args.out is not None:
        given_args.out.write_text(text + "\n")
    sys.exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    main()
