"""How far the judge's pairwise scores can be trusted: ties, constants, position, reliability."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from .correlation import Correlation
from .position_bias import Leads, MeanBias

MAX_CONSTANCY = 0.9
MAX_TIED = 0.5
MAX_FLIPPED = 0.2
MAX_POSITION_BIAS = 1.0
"""A warning appears from these values; shares, and points for the last."""

MIN_CORRELATION = 0.5
"""Reliability below which gaps are mostly noise. The mean of two orders that correlate at 0.5 has a
reliability of 0.67 (Spearman 1910, Brown 1910): a third of what it says is chance."""


class RoundScores(NamedTuple):
    """The scores of one round: (strong, target) with the strong answer first, then second."""

    strong_first: tuple[float, float]
    target_first: tuple[float, float]

    @property
    def gap(self) -> float:
        """The quality gap: the mean lead of the strong answer."""
        return sum(self.leads) / 2

    @property
    def leads(self) -> Leads:
        """The strong answer's lead in each order; means of thirds that are equal are a tie."""
        return Leads(
            round(self.strong_first[0] - self.strong_first[1], 9),
            round(self.target_first[0] - self.target_first[1], 9),
        )


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
        instructions: how many had a first round to correlate.
        correlation: Pearson's, between the quality gaps of the two orders in first rounds (later
            ones are those whose gap was small); None if one order's gaps are all the same.
        is_measured: whether the two orders say anything: a program that scores each answer by
            itself gives the same gap twice, right or wrong.
    """

    rulings: int
    mean: float
    most_frequent: float
    constancy: float
    tied: float
    flipped: float
    first_lead: float
    instructions: int
    correlation: float | None
    is_measured: bool = True

    @property
    def is_reliable(self) -> bool:
        """Whether the two orders agree enough for θ to select better answers, not chance.

        What cannot be measured is taken at its word.
        """
        if not self.is_measured:
            return True
        return self.correlation is not None and self.correlation >= MIN_CORRELATION

    @property
    def bias(self) -> MeanBias | None:
        """The position bias; None where there is none to measure."""
        return MeanBias(self.flipped, self.first_lead) if self.is_measured else None

    def describe(self) -> str:
        """Say how far the two orders agree."""
        if not self.is_measured:
            return "a program: not measured"
        if self.correlation is None:
            return "its two orders cannot be compared: one's gaps are all the same"
        return (
            f"its two orders' gaps correlate at {self.correlation:.2f}"
            f" ({self.instructions:,} instructions)"
        )


class JudgeTally:
    """Counts the judge's scores, instruction by instruction.

    Args:
        is_program: whether it is no model: then its two orders are compared only if they differ, as
            those of a program do that draws at random or asks a model itself.
    """

    def __init__(self, *, is_program: bool = False) -> None:
        self._is_measured = not is_program
        self._points = Counter[float]()
        self._rounds = 0
        self._tied = 0
        self._flipped = 0
        self._first_lead = 0.0
        self._first_rounds = Correlation()

    def add(self, rounds: Sequence[RoundScores]) -> None:
        """Count the scored *rounds* of one instruction, at least one."""
        for scores in rounds:
            leads = scores.leads
            self._is_measured |= leads.shown_first != leads.shown_second
            self._rounds += 1
            self._points.update((*scores.strong_first, *scores.target_first))
            self._tied += leads.count(0)
            self._flipped += leads.flipped
            self._first_lead += leads.first_lead
        self._first_rounds.add(*rounds[0].leads)

    def scores(self) -> JudgeScores | None:
        """Return what was counted; None if nothing was."""
        if not self._rounds:
            return None
        most_frequent, times = min(self._points.items(), key=lambda pair: (-pair[1], pair[0]))
        total = self._points.total()
        return JudgeScores(
            2 * self._rounds,
            sum(score * count for score, count in self._points.items()) / total,
            most_frequent,
            times / total,
            self._tied / (2 * self._rounds),
            self._flipped / self._rounds,
            self._first_lead / self._rounds,
            self._first_rounds.count,
            self._first_rounds.value(),
            self._is_measured,
        )


def judge_warnings(judge: JudgeScores) -> Iterator[str]:
    """Yield a warning for whatever makes the judge's scores doubtful."""
    if judge.constancy >= MAX_CONSTANCY:
        yield (
            f"the judge gives nearly everything the same score: {judge.most_frequent:.3g} in"
            f" {judge.constancy:.0%} of scores; its gaps say little"
        )
    if judge.tied >= MAX_TIED:
        yield f"the judge gives both answers the same score in {judge.tied:.0%} of rulings"
    if judge.flipped >= MAX_FLIPPED:
        yield (
            f"the judge's two orders named different winners in {judge.flipped:.0%} of rounds:"
            f" {_cause(judge)}"
        )
    if abs(judge.first_lead) >= MAX_POSITION_BIAS:
        position = "first" if judge.first_lead > 0 else "second"
        yield f"being shown {position} is worth {abs(judge.first_lead):.1f} points to this judge"
    if not judge.is_reliable:
        yield (
            f"the judge is not reliable: {judge.describe()}; at least {MIN_CORRELATION:g} is"
            " needed, below it a selected gap is mostly chance"
        )


def _cause(judge: JudgeScores) -> str:
    if abs(judge.first_lead) >= MAX_POSITION_BIAS / 2:
        return "it follows position"
    return "it favours no position, so its scores are noisy"
