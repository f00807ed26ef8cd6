"""Confidence intervals of shares, and distances between distributions."""

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import NamedTuple

from msgspec import Struct

Z95 = 1.959964
"""Standard deviations that hold 95 % of a normal distribution."""


class Interval(Struct, frozen=True):
    """A mean and its 95 % confidence interval over samples taken alike."""

    mean: float
    low: float
    high: float


class Share(NamedTuple):
    """*part* of *total*, such as instructions that were selected."""

    part: int
    total: int

    def wilson(self) -> Interval:
        """Return the share with Wilson's score interval (Wilson 1927), right near 0 and 1 too.

        Of nothing, nothing is known: 0 to 1.
        """
        if not self.total:
            return Interval(0.0, 0.0, 1.0)
        return wilson_interval(self.part / self.total, self.total)


def wilson_interval(share: float, size: float) -> Interval:
    """Return Wilson's score interval of a *share* observed in *size* independent samples."""
    square = Z95**2 / size
    centre = (share + square / 2) / (1 + square)
    half = sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    high = 1.0 if share >= 1 else min(1.0, centre + half)
    return Interval(share, low, high)


def wilson_of_estimate(mean: float, variance: float, *, groups: int, members: int) -> Interval:
    """Return Wilson's interval of an estimated share: for as many members as its variance is worth.

    Args:
        mean: the estimate.
        variance: its own.
        groups: independent groups behind it: what it is worth where the variance says nothing.
        members: most that it can be worth.
    """
    if not 0 < mean < 1:
        return wilson_interval(min(max(mean, 0.0), 1.0), max(1, groups))
    worth = mean * (1 - mean) / variance if variance > 1e-12 else members
    return wilson_interval(mean, max(1.0, min(members, worth)))


def total_variation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Return the distance of two distributions, given as counts: 0 if alike, 1 if they share none.

    It is the part that would have to move. None if one of them counts nothing.
    """
    sums = sum(one.values()), sum(other.values())
    if not all(sums):
        return None
    keys = one.keys() | other.keys()
    return 0.5 * sum(abs(one.get(key, 0) / sums[0] - other.get(key, 0) / sums[1]) for key in keys)


class ClusteredShare:
    """A share of members that come in groups and resemble each other within a group.

    Instructions of one seed say less than as many of different seeds.

    Attributes:
        part: members that count.
        total: all members.
    """

    def __init__(self, groups: Iterable[Share] = ()) -> None:
        self.part = self.total = 0
        self._groups = self._parts = self._products = self._totals = 0
        for group in groups:
            self.add(group)

    def add(self, group: Share) -> None:
        """Add the members of one group."""
        if not group.total:
            return
        self.part += group.part
        self.total += group.total
        self._groups += 1
        self._parts += group.part**2
        self._products += group.part * group.total
        self._totals += group.total**2

    def interval(self) -> Interval:
        """Return the share and its interval.

        Wilson's interval is taken for as many independent members as the spread between groups is
        worth (design effect, Kish 1965); where all or none count, for as many as there are groups.
        """
        if not self.total:
            return Share(0, 0).wilson()
        mean = self.part / self.total
        spread = self._parts - 2 * mean * self._products + mean**2 * self._totals
        variance = max(0.0, spread) / self.total**2 * self._groups / max(1, self._groups - 1)
        return wilson_of_estimate(mean, variance, groups=self._groups, members=self.total)
