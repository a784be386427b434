"""Documents of the multiple-choice sets and of NQ-Open, from rows with the hub's column names.

Where a set lists the right option first, the options are shuffled by the question's own text:
the order is the same in every run, on every machine and for any part of the set.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence

from l2_harness.benchmarks.documents import (
    Document,
    Row,
    documents_from,
    letter_document,
    letter_of,
    name_document,
    with_options,
    word_document,
)

_DECISIONS = ("yes", "no", "maybe")


def gpqa(row: Row) -> Document:
    """Idavidrein/gpqa: one right answer and three wrong ones, shuffled."""
    options = [row["Correct Answer"], *(row[f"Incorrect Answer {n}"] for n in (1, 2, 3))]
    return shuffled(row["Question"], [" ".join(option.split()) for option in options])


def mmlu_pro(row: Row) -> Document:
    """TIGER-Lab/MMLU-Pro: up to ten options, the answer a letter."""
    options = [option for option in row["options"] if option != "N/A"]
    return letter_document(with_options(row["question"], options), options, row["answer"])


def arc(row: Row) -> Document:
    """allenai/ai2_arc: options with labels A to E, or 1 to 4 in some rows."""
    options, labels = row["choices"]["text"], row["choices"]["label"]
    letter = letter_of(labels.index(row["answerKey"]))
    return letter_document(with_options(row["question"], options), options, letter)


def logiqa2(row: Row) -> Document:
    """LogiQA 2.0: a passage, a question and four options, the answer an index from 0."""
    question = f"{row['text'].strip()}\n\n{row['question'].strip()}"
    options = [option.strip() for option in row["options"]]
    return letter_document(with_options(question, options), options, letter_of(int(row["answer"])))


def zebra(row: Row) -> Document:
    """WildEval/ZebraLogic, mc_mode: a logic-grid puzzle and a question about one of its cells."""
    question = f"{row['puzzle'].strip()}\n\n{row['question'].strip()}"
    options = list(row["choices"])
    letter = letter_of(options.index(row["answer"]))
    return letter_document(with_options(question, options), options, letter)


def truthfulqa(row: Row) -> Document:
    """TruthfulQA's mc1 targets, one of them true, shuffled.

    Raises:
        ValueError: not exactly one option is marked as true.
    """
    options, labels = row["mc1_targets"]["choices"], row["mc1_targets"]["labels"]
    true = [option for option, label in zip(options, labels, strict=True) if label]
    if len(true) != 1:
        raise ValueError(f"{row['question']!r} has {len(true)} true options, not one")
    false = [option for option, label in zip(options, labels, strict=True) if not label]
    return shuffled(row["question"], [*true, *false])


def pubmedqa(row: Row) -> Document:
    """PubMedQA, labelled by experts: an abstract without its conclusion, and a question on it."""
    abstract = "\n".join(row["context"]["contexts"])
    return word_document(f"{abstract}\n\n{row['question']}", _DECISIONS, row["final_decision"])


def pubmedqa_closed(row: Row) -> Document:
    """The same question without the abstract: what the model knows."""
    return word_document(row["question"], _DECISIONS, row["final_decision"])


def hellaswag(row: Row) -> Document:
    """Rowan/hellaswag: how a scene goes on, four endings, the answer an index from 0.

    Contexts are put together, and WikiHow's marks are left out, as lm-eval's task does.
    """
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    options = [_without_marks(ending) for ending in row["endings"]]
    question = f"{_without_marks(context)}\n\nWhich of these continues it best?"
    return letter_document(with_options(question, options), options, letter_of(int(row["label"])))


def nq_open(row: Row) -> Document:
    """NQ-Open: a question that people asked, and what its answer may be called."""
    question = row["question"].strip()
    return name_document(f"{question[:1].upper()}{question[1:].rstrip('?')}?", row["answer"])


def _without_marks(text: str) -> str:
    plain = re.sub(r"\[.*?\]", "", text.replace(" [title]", ". "))
    return plain.replace("  ", " ").strip()


def shuffled(question: str, options: Sequence[str]) -> Document:
    """A document of options of which the first is right, in an order drawn from the question."""
    seed = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8], "big")
    order = list(range(len(options)))
    random.Random(seed).shuffle(order)
    mixed = [options[index] for index in order]
    return letter_document(with_options(question, mixed), mixed, letter_of(order.index(0)))


gpqa_documents = documents_from(gpqa)
mmlu_pro_documents = documents_from(mmlu_pro)
arc_documents = documents_from(arc)
logiqa2_documents = documents_from(logiqa2)
zebra_documents = documents_from(zebra)
truthfulqa_documents = documents_from(truthfulqa)
pubmedqa_documents = documents_from(pubmedqa)
pubmedqa_closed_documents = documents_from(pubmedqa_closed)
hellaswag_documents = documents_from(hellaswag)
nq_open_documents = documents_from(nq_open)
