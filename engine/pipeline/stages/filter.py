"""Contrastive Filtering: the rule that selects an instruction (paper §4.3). Pure."""

from typing import Literal

from ...data.records import Judgement, Winner

Verdict = Winner | Literal["again"]


def quality_gap(judgements: tuple[Judgement, Judgement]) -> float:
    """Mean strong score minus mean target score over both orders; from -10 to 10."""
    first, second = judgements
    return (first.strong + second.strong) / 2 - (first.target + second.target) / 2


def verdict(gap: float, threshold: float) -> Verdict:
    """Who is selected; strictly above the threshold, else the instruction goes on."""
    if gap > threshold:
        return "strong"
    if gap < -threshold:
        return "target"
    return "again"
