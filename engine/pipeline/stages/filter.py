"""Contrastive Filtering: the rule that selects an instruction (paper §4.3)."""

from typing import Literal

from ...data.records import Judgement, Winner

Verdict = Winner | Literal["again"]


def quality_gap(judgements: tuple[Judgement, Judgement]) -> float:
    """Return the mean strong score minus the mean target score over both orders, in -10 to 10.

    It is exact to nine digits: a mean of thirds must not exceed a threshold that it equals.
    """
    first, second = judgements
    gap = (first.strong + second.strong) / 2 - (first.target + second.target) / 2
    return round(gap, 9)


def verdict(gap: float, threshold: float, keep: Literal["both", "strong"] = "both") -> Verdict:
    """Return whose answer is selected: the gap must exceed the threshold, or refining goes on.

    With *keep* ``strong`` the target model's answer is never selected.
    """
    if gap > threshold:
        return "strong"
    if gap < -threshold and keep == "both":
        return "target"
    return "again"
