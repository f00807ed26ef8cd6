"""Two orders of scores become a verdict, verdicts become CRR (paper §5.3). Pure."""

from collections.abc import Iterable, Sequence
from math import ceil, floor
from random import Random
from typing import Literal

from msgspec import Struct

Rule = Literal["both", "alpagasus"]
Verdict = Literal["win", "tie", "loss", "invalid"]

MOST_INVALID = 0.02
"""Share of verdicts that may be invalid; above it there is no CRR (docs/algorithm.md §7.2)."""


class Ruling(Struct, frozen=True):
    """What the judge said in one order: both scores (0 to 10) and its own words."""

    candidate: float
    reference: float
    text: str = ""

    @property
    def winner(self) -> int:
        """1: the candidate; -1: the reference; 0: neither."""
        return (self.candidate > self.reference) - (self.candidate < self.reference)


Rulings = Sequence[Ruling | None]
"""The order candidate-first, then reference-first; None where the judge could not be read."""


def verdict(rulings: Rulings, rule: Rule = "both") -> Verdict:
    """Judge one prompt.

    ``both``: better only if it wins every order, worse only if it loses every order.
    ``alpagasus``: a draw in one order leaves the verdict to the other.
    """
    winners = [ruling.winner for ruling in rulings if ruling is not None]
    if not winners or len(winners) < len(rulings):
        return "invalid"
    needed = len(winners) if rule == "both" else 1
    if sum(winners) >= needed:
        return "win"
    return "loss" if sum(winners) <= -needed else "tie"


class Counts(Struct, frozen=True):
    """Verdicts by kind. ``invalid`` ones count as ties in `crr`, and are always named beside it."""

    wins: int = 0
    ties: int = 0
    losses: int = 0
    invalid: int = 0

    @property
    def total(self) -> int:
        return self.wins + self.ties + self.losses + self.invalid

    @property
    def crr(self) -> float:
        """Capacity recovery ratio: the share of prompts not lost, in per cent."""
        return 100 * (self.total - self.losses) / self.total if self.total else 0.0

    @property
    def usable(self) -> bool:
        """Whether so few verdicts are invalid that CRR says something."""
        return self.total > 0 and self.invalid <= MOST_INVALID * self.total

    def __str__(self) -> str:
        invalid = f"{self.invalid} of {self.total} verdicts are invalid"
        if self.usable:
            return f"CRR {self.crr:.2f} % ({invalid})"
        return f"no CRR: {invalid}, at most {MOST_INVALID:.0%} may be"


def count(verdicts: Iterable[Verdict]) -> Counts:
    found: dict[Verdict, int] = {"win": 0, "tie": 0, "loss": 0, "invalid": 0}
    for each in verdicts:
        found[each] += 1
    return Counts(found["win"], found["tie"], found["loss"], found["invalid"])


class Interval(Struct, frozen=True):
    """A mean and where it would lie in 95 of 100 test sets drawn alike."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], random: Random, *, resamples: int = 10_000) -> Interval:
    """Bootstrap the mean of *values*, one for each prompt, by percentiles.

    For two candidates on the same prompts give their differences: the interval is then paired, and
    narrower than two intervals laid side by side, since the hard prompts are hard for both.
    """
    size = len(values)
    means = sorted(sum(random.choices(values, k=size)) / size for _ in range(resamples))
    tail = 0.025 * resamples
    return Interval(sum(values) / size, means[floor(tail)], means[ceil(resamples - tail) - 1])


class PositionBias(Struct, frozen=True):
    """What the place of an answer did to its score, over prompts with both orders readable."""

    prompts: int
    flipped: float | None
    """Share of prompts for which the orders named different winners."""
    first_lead: float | None
    """Points an answer gained on average by being shown first."""
    first: int
    """Rulings for the answer shown first."""
    second: int
    neither: int


def position_bias(whole: Iterable[Rulings]) -> PositionBias:
    both = [(pair[0], pair[1]) for pair in whole if len(pair) == 2]
    pairs = [(one, two) for one, two in both if one is not None and two is not None]
    leads = [((one.candidate - one.reference) - (two.candidate - two.reference)) / 2
             for one, two in pairs]  # fmt: skip
    favoured = [place for one, two in pairs for place in (one.winner, -two.winner)]
    return PositionBias(
        len(pairs),
        sum(one.winner * two.winner < 0 for one, two in pairs) / len(pairs) if pairs else None,
        sum(leads) / len(leads) if leads else None,
        favoured.count(1),
        favoured.count(-1),
        favoured.count(0),
    )
