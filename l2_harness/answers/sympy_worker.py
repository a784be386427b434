"""Comparing two expressions with math-verify, in a process of its own.

Run by :mod:`l2_harness.answers.sympy_client`. It reads a JSON object a line, ``{"gold": ...,
"answer": ..., "tolerance": ..., "seconds": ...}``, and writes ``{"reading": ...}`` before it reads
either expression and ``{"reading": null}`` before it compares them, then ``{"equal": bool}`` or
``{"error": ...}``, both with ``"seconds"``, the processor time spent. The first line it writes is
``{"ready": true}``. The system ends the process when a comparison has taken ``seconds`` of
processor time: an arithmetic operation on huge integers answers to no handler.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TextIO

#: Address space of the worker in bytes: what an exploding expression may take.
MEMORY_LIMIT = 4 << 30

#: Difference up to which two exact numbers are one: sqrt(2) sqrt(3) and sqrt(6), but not 2^1009
#: and 2^1009 + 1. It is relative for numbers below 1; sympy evaluates it without cancellation.
EXACT_DIFFERENCE = 1e-12


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""
    import math_verify  # noqa: F401  (the import takes a second; ready means that it is done)

    _limit_memory()
    logging.disable(logging.WARNING)
    _write(answers, {"ready": True})
    for line in requests:
        _answer(json.loads(line), answers)


def expressions_equal(
    gold: str, answer: str, tolerance: float, reading: Callable[[str | None], None] = lambda _: None
) -> bool:
    r"""Whether two LaTeX expressions are equal; ``gold`` decides where an equation is unwrapped.

    What does not parse equals nothing. Two numbers are compared by value, where one is a decimal
    to a relative ``tolerance``; math-verify rounds to six places, which takes all numbers below
    1e-7 for equal. Two equations are the same where one is a multiple of the other. Everything
    else is math-verify's to decide.

    ``reading`` is told which expression is read, and None when both are.

    Raises:
        Exception: whatever sympy raises on an expression that it cannot handle.
    """
    from math_verify import verify

    reading(gold)
    expected = _parse(gold)
    values = [_value(expected)]
    reading(answer)
    given = _parse(answer)
    values.append(_value(given))
    reading(None)
    if expected is None or given is None:
        return False
    if values[0] is not None and values[1] is not None:
        size = max(abs(values[0]), abs(values[1]))
        if _holds_decimal(expected) or _holds_decimal(given):
            return bool(abs(values[0] - values[1]) <= tolerance * size)
        return bool(abs((expected - given).doit().evalf(30)) <= EXACT_DIFFERENCE * min(1, size))
    same = _equations_equal(expected, given)
    if same is None:
        same = verify(expected, given, timeout_seconds=None, raise_on_error=True)
    return bool(same)


def _equations_equal(expected: Any, given: Any) -> bool | None:
    """Whether two equations say the same; None where the solutions must decide.

    Without a real solution, all equations have the same ones: that says nothing.
    """
    from sympy import Eq, Expr, S, fraction, simplify, solveset, together

    sides = [side for one in (expected, given) if isinstance(one, Eq) for side in one.args]
    if len(sides) < 4 or not all(isinstance(side, Expr) for side in sides):
        return None
    left, right = (fraction(together(one.lhs - one.rhs))[0].expand() for one in (expected, given))
    if not left.free_symbols or left.free_symbols != right.free_symbols:
        return bool(left == right)
    ratio = simplify(left / right)
    if ratio.is_number:
        return True
    symbols = left.free_symbols
    if len(symbols) > 1 or solveset(left, *symbols, domain=S.Reals).is_empty:
        return False
    return None


@lru_cache(maxsize=1 << 12)
def _parse(latex: str) -> Any:
    """The sympy object that an expression stands for, or None."""
    from math_verify import parse

    found = parse(f"${latex}$", [_reading()], parsing_timeout=None, raise_on_error=True)
    return _evaluated(found[0]) if found and not isinstance(found[0], str) else None


def _evaluated(expression: Any) -> Any:
    """With sets worked out and `i` as the imaginary unit, for the parser a variable."""
    from sympy import I, Set
    from sympy.core.relational import Relational

    if isinstance(expression, Set):
        return expression.doit()  # unions and intersections are left as written
    if not hasattr(expression, "subs") or expression.has(Relational):
        return expression
    return expression.subs({one: I for one in expression.free_symbols if one.name == "i"})


@lru_cache(maxsize=1)
def _reading() -> Any:
    """How math-verify reads LaTeX here: with its repairs, but without its removal of units.

    Its units hold `m`, `t`, `c` and other letters, with which `6m` would equal `6`.
    """
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig

    repairs = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all"
    )
    return LatexExtractionConfig(normalization_config=repairs)


def _value(expression: Any) -> Any:
    """The value of a number, real or complex, to 30 digits; None for anything else."""
    from sympy import Expr

    if not isinstance(expression, Expr) or not expression.is_number:
        return None
    for form in (expression, expression.doit()):  # a percentage is left unevaluated
        value = form.evalf(30)
        if value.is_Float or value.is_Integer or value.as_real_imag()[1].is_Float:
            return value if value.is_finite else None
    return None


def _holds_decimal(expression: Any) -> bool:
    from sympy import Float

    return bool(expression.atoms(Float))


def _answer(request: dict[str, Any], answers: TextIO) -> None:
    _limit_time(request.pop("seconds"))
    begun = time.process_time()
    try:
        equal = expressions_equal(
            **request, reading=lambda latex: _write(answers, {"reading": latex})
        )
        reply: dict[str, Any] = {"equal": equal}
    except Exception as error:  # sympy raises whatever an expression provokes
        reply = {"error": f"{type(error).__name__}: {error}"[:500]}
    _write(answers, reply | {"seconds": time.process_time() - begun})


def _limit_time(seconds: float) -> None:
    """Have the system end this process once it has computed for ``seconds`` more."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        wanted = math.ceil(time.process_time() + seconds)
        resource.setrlimit(
            resource.RLIMIT_CPU,
            (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
        )


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
