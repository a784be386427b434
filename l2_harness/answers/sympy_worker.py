"""Comparing two expressions with math-verify, in a process of its own.

Run by :mod:`l2_harness.answers.sympy_client`, which kills it where a comparison takes too long:
an arithmetic operation on huge integers answers to no signal. It reads a JSON object a line,
``{"gold": ..., "answer": ..., "tolerance": ...}``, and writes one, ``{"equal": bool}`` or
``{"error": ...}``; the first line it writes is ``{"ready": true}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
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
        _write(answers, _answer(json.loads(line)))


def expressions_equal(gold: str, answer: str, tolerance: float) -> bool:
    r"""Whether two LaTeX expressions are equal; ``gold`` decides where an equation is unwrapped.

    What does not parse equals nothing. Two numbers are compared by value, where one is a decimal
    to a relative ``tolerance``; math-verify rounds to six places, which takes all numbers below
    1e-7 for equal. Everything else is math-verify's to decide.

    Raises:
        Exception: whatever sympy raises on an expression that it cannot handle.
    """
    from math_verify import verify

    expected, given = _parse(gold), _parse(answer)
    if expected is None or given is None:
        return False
    values = _value(expected), _value(given)
    if values[0] is not None and values[1] is not None:
        size = max(abs(values[0]), abs(values[1]))
        if _holds_decimal(expected) or _holds_decimal(given):
            return bool(abs(values[0] - values[1]) <= tolerance * size)
        return bool(abs((expected - given).doit().evalf(30)) <= EXACT_DIFFERENCE * min(1, size))
    return verify(expected, given, timeout_seconds=None, raise_on_error=True)


def _parse(latex: str) -> Any:
    """The sympy object that an expression stands for, or None."""
    from math_verify import parse

    found = parse(f"${latex}$", [_reading()], parsing_timeout=None, raise_on_error=True)
    return found[0] if found and not isinstance(found[0], str) else None


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


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"equal": bool(expressions_equal(**request))}
    except Exception as error:  # sympy raises whatever an expression provokes
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _write(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
