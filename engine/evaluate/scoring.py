"""Compute figures from verdicts."""

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from ..data.intervals import Interval
from .pairwise import PairwiseComparison
from .statistics import bootstrap_interval
from .verdicts import Rule, pairwise_verdict


class Scoring(Struct, frozen=True):
    """The rule of the verdicts, and the bootstrap's random seed and resamples."""

    rule: Rule = "both"
    seed: int = 0
    resamples: int = 10_000

    def recovered(self, comparison: PairwiseComparison) -> int:
        """Return 1 if the candidate did not lose, else 0."""
        return int(pairwise_verdict(comparison.rulings, self.rule) != "loss")

    def interval(self, values: Sequence[float], name: str) -> Interval:
        """Bootstrap the mean of *values*; intervals of different *name* are independent."""
        random = Random(f"{self.seed}/{name}")
        return bootstrap_interval(values, random, resamples=self.resamples)
