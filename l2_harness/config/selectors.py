"""The names of the selectors, what they mean and what they choose by.

How they choose is :mod:`l2_harness.selection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["score", "vote", "random", "oracle"]

#: The ℓ2 score that ``l2`` stands for and the ℓ2-weighted vote weighs with.
DEFAULT_L2 = "l2_peaks"
#: The score of tokens' moves between layers' outputs.
STALT = "stalt"


@dataclass(frozen=True)
class Selector:
    """One way to choose among responses.

    Attributes:
        name: as the user writes it.
        meaning: one line.
        kind: by a score, by a vote over answers, at random, or knowing what is right.
        score: which score it chooses by; of a vote, what weighs; empty for neither.
        largest: whether the largest score is best, or the least.
        borda: whether a vote weighs by ranks.
        mixture: whether only the more confident of two kinds of responses vote.
    """

    name: str
    meaning: str
    kind: Kind = "score"
    score: str = ""
    largest: bool = True
    borda: bool = False
    mixture: bool = False


def _largest(name: str, meaning: str) -> Selector:
    return Selector(name, meaning, score=name)


def _least(name: str, meaning: str, score: str = "") -> Selector:
    return Selector(name, meaning, score=score or name, largest=False)


_ALL = (
    _largest("l2_sum", "largest sum of norms, in units of each layer's τ; grows with length"),
    _largest("l2_mean", "largest mean norm"),
    _largest("l2_area", "largest area of the norms above τ"),
    _largest("l2_area_rate", "largest area above τ per token"),
    _largest("l2_peaks", "most rows above τ"),
    _largest("l2_peak_rate", "largest share of rows above τ"),
    _largest("l2_late_area", "largest area above τ in the last 30 % of the rows"),
    _largest("l2_late_area_rate", "largest area above τ per token in the last 30 % of the rows"),
    _largest(
        "l2_paper",
        "largest sum of norms in the last third of the rows: the paper's, as reported; grows with "
        "length",
    ),
    Selector("random", "one drawn with the response's own random stream", "random"),
    _least("shortest", "fewest tokens", "length"),
    Selector("longest", "most tokens", score="length"),
    Selector(
        "majority",
        "first response with the most frequent answer; of a tie, the answer first seen",
        "vote",
    ),
    Selector("l2_vote", f"vote over answers, each weighed by {DEFAULT_L2}", "vote", DEFAULT_L2),
    Selector(
        "confidence_vote",
        "vote over answers, each weighed by its mean token confidence (DeepConf)",
        "vote",
        "deepconf_mean",
    ),
    _largest("mean_logprob", "largest mean log-probability of the tokens"),
    _least("perplexity", "least perplexity; the same order as mean_logprob"),
    _least("mean_entropy", "least mean entropy of the next-token distributions"),
    _largest("self_certainty", "largest mean divergence from a flat distribution"),
    Selector(
        "self_certainty_borda",
        "vote over answers, each weighed by its rank in self-certainty",
        "vote",
        "self_certainty",
        borda=True,
    ),
    _largest("deepconf_mean", "largest mean token confidence (top 20 tokens)"),
    _largest("deepconf_lowest", "largest lowest-group confidence (sliding window)"),
    _largest("deepconf_tail", "largest mean confidence of the last tokens"),
    Selector("cisc", "vote weighed by the softmax of mean token probabilities", "vote", "cisc"),
    Selector(
        "distri_vote",
        "vote of the more confident of two kinds of responses (DistriVoting)",
        "vote",
        "deepconf_tail",
        mixture=True,
    ),
    _largest("picsar", "largest log-probability of reasoning and answer together; a sum"),
    _least("edis", "least instability of the entropy: bursts, rebounds, variance"),
    _largest(STALT, "largest moves from token to token in the layers that change a token most"),
    _largest("coe_magnitude", "Chain-of-Embedding: largest relative change from layer to layer"),
    _least("coe_angle", "Chain-of-Embedding: least relative turn from layer to layer"),
    _largest("coe_r", "Chain-of-Embedding: largest magnitude minus angle (CoE-R)"),
    _largest("coe_c", "Chain-of-Embedding: largest combination in the complex plane (CoE-C)"),
)
SELECTORS: dict[str, Selector] = {selector.name: selector for selector in _ALL}

#: In analysis only: it knows what is right.
ORACLE = Selector("oracle", "any of the responses is right: the ceiling", "oracle")

#: Other names: ``l2`` is whichever score the project recommends.
ALIASES = {"l2": DEFAULT_L2}


def needs_states(score: str) -> bool:
    """Whether a score is made of hidden states while a response is written."""
    return score == STALT or score.startswith("coe_")


def what_records(score: str) -> str:
    """What a user must pass for a score to be there."""
    if needs_states(score):
        return "coe=true, with layers= of three layers or more (layers=all for the paper's chain)"
    if score.startswith("deepconf_"):
        return "record=summary or record=tokens, with this version's token confidences"
    return "record=summary or record=tokens, num_samples=N (or a task with repeats)"
