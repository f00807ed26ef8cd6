"""Uncertainty of an evaluation's figures: bootstrap intervals and position bias."""

from collections.abc import Iterable, Sequence
from math import ceil, floor
from random import Random

from msgspec import Struct

from ..data.intervals import Interval
from ..data.position_bias import Leads, MeanBias, mean_bias
from .verdicts import Rulings


def bootstrap_interval(
    values: Sequence[float], random: Random, *, resamples: int = 10_000
) -> Interval:
    """Bootstrap the mean of *values*, one per prompt, by percentiles.

    For two candidates on the same prompts, pass their differences: the interval is then paired, and
    narrower than two separate intervals suggest, since hard prompts are hard for both.
    """
    size = len(values)
    means = sorted(sum(random.choices(values, k=size)) / size for _ in range(resamples))
    tail = 0.025 * resamples
    return Interval(sum(values) / size, means[floor(tail)], means[ceil(resamples - tail) - 1])


class PositionBias(Struct, frozen=True):
    """The effect of an answer's position on its score, over prompts with both orders readable.

    Attributes:
        prompts: number that it is computed from.
        flipped: share of prompts for which the orders named different winners.
        first_lead: points that an answer gained on average by being shown first.
        first: rulings for the answer shown first.
        second: rulings for the answer shown second.
        neither: rulings for neither.
    """

    prompts: int
    flipped: float | None
    first_lead: float | None
    first: int
    second: int
    neither: int

    @property
    def mean(self) -> MeanBias | None:
        """The average over prompts."""
        if self.flipped is None or self.first_lead is None:
            return None
        return MeanBias(self.flipped, self.first_lead)


def position_bias(all_rulings: Iterable[Rulings]) -> PositionBias:
    """Measure the judge's position bias; shares are None without a readable pair of rulings."""
    orders = [(rulings[0], rulings[1]) for rulings in all_rulings if len(rulings) == 2]
    pairs = [(one, two) for one, two in orders if one is not None and two is not None]
    bias = mean_bias(
        [Leads(one.candidate - one.reference, two.candidate - two.reference) for one, two in pairs]
    )
    positions = [position for one, two in pairs for position in (one.winner, -two.winner)]
    return PositionBias(
        len(pairs),
        None if bias is None else bias.flipped,
        None if bias is None else bias.first_lead,
        positions.count(1),
        positions.count(-1),
        positions.count(0),
    )
