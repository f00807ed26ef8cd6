"""From scores in two orders to a verdict, and from verdicts to CRR (paper §5.3)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Rule = Literal["both", "alpagasus"]
PairwiseVerdict = Literal["win", "tie", "loss", "invalid"]

MAX_INVALID = 0.02
"""The largest share of invalid verdicts for which CRR is reported (docs/algorithm.md §7.2)."""


class Ruling(Struct, frozen=True):
    """The judge's ruling in one order: both scores (0 to 10) and its reply."""

    candidate: float
    reference: float
    text: str = ""

    @property
    def winner(self) -> int:
        """1: the candidate; -1: the reference; 0: neither."""
        return (self.candidate > self.reference) - (self.candidate < self.reference)


Rulings = Sequence[Ruling | None]
"""The order candidate-first, then reference-first; None if the judge's reply could not be read."""


def pairwise_verdict(rulings: Rulings, rule: Rule = "both") -> PairwiseVerdict:
    """Return the verdict on one prompt.

    ``both``: a win only if it wins every order, a loss only if it loses every order.
    ``alpagasus``: a draw in one order leaves the verdict to the other.
    """
    winners = [ruling.winner for ruling in rulings if ruling is not None]
    if not winners or len(winners) < len(rulings):
        return "invalid"
    needed = len(winners) if rule == "both" else 1
    if sum(winners) >= needed:
        return "win"
    return "loss" if sum(winners) <= -needed else "tie"


class VerdictCounts(Struct, frozen=True):
    """Verdicts by kind. Invalid ones count as ties in `crr`, and are always reported beside it."""

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
        """Whether few enough verdicts are invalid for CRR to be meaningful."""
        return self.total > 0 and self.invalid <= MAX_INVALID * self.total

    def __str__(self) -> str:
        invalid = f"{self.invalid} of {self.total} verdicts are invalid"
        if self.usable:
            return f"CRR {self.crr:.2f} % ({invalid})"
        return f"no CRR: {invalid} (limit: {MAX_INVALID:.0%})"


def count_verdicts(verdicts: Iterable[PairwiseVerdict]) -> VerdictCounts:
    counts = Counter(verdicts)
    return VerdictCounts(counts["win"], counts["tie"], counts["loss"], counts["invalid"])
