r"""Answers: extracted from responses, compared, scored, counted.

Pure functions on text. :func:`extract_answer` reads a response's answer, :func:`equivalent` says
whether two answers are the same, :func:`judge` scores a response against a :class:`Reference`, and
:func:`question_metrics` puts the responses to one question together. Nothing heavy is imported:
math-verify and sympy run in a process of their own, started by the first comparison that needs
them, so that all of this works on any thread and survives expressions that never finish.
"""

from l2_harness.answers.ending import Ending, TokenLimit, ending_of
from l2_harness.answers.equivalence import ANSWER_KINDS, AnswerKind, compare_answers, equivalent
from l2_harness.answers.estimators import group_answers, majority_accuracy, pass_at_k
from l2_harness.answers.extraction import extract_answer
from l2_harness.answers.judgement import Judgement, judge
from l2_harness.answers.metrics import question_metrics
from l2_harness.answers.reference import Reference
from l2_harness.answers.thinking import final_text, opens_thinking
from l2_harness.answers.verdict import Verdict

__all__ = [
    "ANSWER_KINDS",
    "AnswerKind",
    "Ending",
    "Judgement",
    "Reference",
    "TokenLimit",
    "Verdict",
    "compare_answers",
    "ending_of",
    "equivalent",
    "extract_answer",
    "final_text",
    "group_answers",
    "judge",
    "majority_accuracy",
    "opens_thinking",
    "pass_at_k",
    "question_metrics",
]
