"""How far the judge's scores of a pilot run can be trusted."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from ...data.position_bias import mean_bias
from .pilot import RoundScores

MAX_CONSTANCY = 0.9
MAX_TIED = 0.5
MAX_FLIPPED = 0.2
MAX_POSITION_BIAS = 1.0
"""A warning appears from these values; shares, and points for the last."""


class JudgeScores(Struct, frozen=True):
    """The distribution of the judge's scores, over all rounds and both orders.

    Attributes:
        rulings: scorings, two per round.
        mean: of all scores.
        most_frequent: the score given most often.
        constancy: share of all scores that are the most frequent.
        tied: share of rulings that gave both answers the same score.
        flipped: share of rounds in which the two orders named different winners.
        first_lead: points that an answer gained on average by being shown first.
    """

    rulings: int
    mean: float
    most_frequent: float
    constancy: float
    tied: float
    flipped: float
    first_lead: float


def judge_scores(rounds: Sequence[RoundScores]) -> JudgeScores:
    """Summarise the scores of *rounds*, at least one."""
    rulings = [ruling for scores in rounds for ruling in scores.rulings]
    points = [score for ruling in rulings for score in ruling]
    most_frequent = max(sorted(set(points)), key=points.count)
    bias = mean_bias([scores.leads for scores in rounds])
    assert bias is not None
    return JudgeScores(
        len(rulings),
        sum(points) / len(points),
        most_frequent,
        points.count(most_frequent) / len(points),
        sum(strong == target for strong, target in rulings) / len(rulings),
        bias.flipped,
        bias.first_lead,
    )


def judge_warnings(judge: JudgeScores) -> Iterator[str]:
    """Yield a warning for whatever makes the judge's scores doubtful."""
    if judge.constancy >= MAX_CONSTANCY:
        yield (
            f"the judge gives nearly everything the same score: {judge.most_frequent:g} in"
            f" {judge.constancy:.0%} of scores; its gaps say little"
        )
    if judge.tied >= MAX_TIED:
        yield f"the judge gives both answers the same score in {judge.tied:.0%} of rulings"
    if judge.flipped >= MAX_FLIPPED:
        yield (
            "the judge follows position: its two orders named different winners in"
            f" {judge.flipped:.0%} of rounds"
        )
    if abs(judge.first_lead) >= MAX_POSITION_BIAS:
        position = "first" if judge.first_lead > 0 else "second"
        yield f"being shown {position} is worth {abs(judge.first_lead):.1f} points to this judge"
