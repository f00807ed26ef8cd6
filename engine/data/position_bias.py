"""Position bias: what an answer gains by being shown first (paper §4.3)."""

from collections.abc import Collection
from typing import NamedTuple


class Leads(NamedTuple):
    """One answer's lead over another, in points, in each order of a pairwise scoring."""

    shown_first: float
    shown_second: float

    @property
    def flipped(self) -> bool:
        """Whether the two orders named different winners."""
        return self.shown_first * self.shown_second < 0

    @property
    def first_lead(self) -> float:
        """Points that an answer gained by being shown first."""
        return (self.shown_first - self.shown_second) / 2


class MeanBias(NamedTuple):
    """The position bias over several pairwise scorings.

    Attributes:
        flipped: Share of scorings in which the two orders named different winners.
        first_lead: Points that an answer gained on average by being shown first.
    """

    flipped: float
    first_lead: float

    def describe(self, scorings: str) -> str:
        """Write the bias as text; *scorings* says what was scored, such as ``rounds``."""
        return (
            f"the two orders named different winners in {self.flipped:.1%} of {scorings};"
            f" being shown first was worth {self.first_lead:+.2f} points"
        )


def mean_bias(leads: Collection[Leads]) -> MeanBias | None:
    """Average the position bias of *leads*; None if there are none."""
    if not leads:
        return None
    return MeanBias(
        sum(lead.flipped for lead in leads) / len(leads),
        sum(lead.first_lead for lead in leads) / len(leads),
    )
