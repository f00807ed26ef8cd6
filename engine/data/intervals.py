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


def total_variation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Return the distance of two distributions, given as counts: 0 if alike, 1 if they share none.

    It is the part that would have to move. None if one of them counts nothing.
    """
    sums = sum(one.values()), sum(other.values())
    if not all(sums):
        return None
    keys = one.keys() | other.keys()
    return 0.5 * sum(abs(one.get(key, 0) / sums[0] - other.get(key, 0) / sums[1]) for key in keys)


def clustered_interval(groups: Iterable[Share]) -> Interval:
    """Return the pooled share of *groups* with its interval, where members of one are alike.

    Instructions of one seed resemble each other, so they say less than as many of different seeds.
    Wilson's interval is taken for as many independent ones as the spread between groups is worth
    (design effect, Kish 1965); where all or none count, for as many as there are groups.
    """
    shares = [share for share in groups if share.total]
    total, part = sum(share.total for share in shares), sum(share.part for share in shares)
    if not total:
        return Share(0, 0).wilson()
    mean = part / total
    spread = sum((share.part - mean * share.total) ** 2 for share in shares)
    number = len(shares)
    variance = spread / total**2 * number / max(1, number - 1)
    if part in {0, total}:
        return wilson_interval(mean, number)
    worth = mean * (1 - mean) / variance if variance else total
    return wilson_interval(mean, max(1.0, min(total, worth)))
