"""What each threshold yields: pairs per instruction, and the cost of a pair.

Up to the pilot's own threshold the yield is counted. Above it, instructions that the pilot selected
stopped there: their yield is estimated round by round from those that continued (product limit, as
for survival curves).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from msgspec import Struct

from ...data.intervals import ClusteredShare, Interval, Share, wilson_of_estimate


class ScoredInstruction(Struct, frozen=True):
    """The number of an instruction's first scored round, and the gaps from there on.

    ``item`` is its metadata item: instructions of one item are alike.
    """

    first: int
    gaps: tuple[float, ...]
    item: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.gaps) - 1


class UnitCost(Struct, frozen=True):
    """What one instruction or pair costs: calls, and money at the prices of the roles."""

    calls: float
    money: float | None = None

    def times(self, factor: float) -> "UnitCost":
        return UnitCost(self.calls * factor, None if self.money is None else self.money * factor)

    def plus(self, other: "UnitCost") -> "UnitCost":
        priced = self.money is not None and other.money is not None
        money = (self.money or 0.0) + (other.money or 0.0) if priced else None
        return UnitCost(self.calls + other.calls, money)


class StageCosts(Struct, frozen=True):
    """What the pilot's calls cost on average.

    Attributes:
        before: encoding, decoding and rubrics, per basic instruction.
        round: two answers and two scorings.
        rewrite: one improved instruction.
    """

    before: UnitCost
    round: UnitCost
    rewrite: UnitCost


class ThresholdYield(Struct, frozen=True):
    """What one θ yields.

    Attributes:
        threshold: θ.
        exact: whether the yield was counted; else it is an estimate.
        scored: instructions scored in each round.
        rates: the share of them that the round selects.
        expected_yield: pairs per scored instruction, before duplicates are removed.
        observed_yield: the same, counting only rounds that the pilot carried out.
        cost: of one pair; None if there is no pair.
        interval: of the yield, for instructions of other items taken alike.
    """

    threshold: float
    exact: bool
    scored: dict[int, int]
    rates: dict[int, float]
    expected_yield: float
    observed_yield: float
    cost: UnitCost | None
    interval: Interval


def threshold_yield(
    instructions: Sequence[ScoredInstruction],
    threshold: float,
    *,
    exact_up_to: float,
    costs: StageCosts,
) -> ThresholdYield:
    """Return what *threshold* would have yielded in a pilot.

    Args:
        instructions: those that the pilot scored.
        threshold: the θ to evaluate.
        exact_up_to: the highest θ whose yield the pilot knows; see `Pilot.exact_up_to`.
        costs: what the pilot's calls cost.
    """
    rounds = _count_rounds(instructions, threshold, exact_up_to)
    reaching, estimate = 1.0, 0.0
    cost = costs.before
    for number, counts in sorted(rounds.items()):
        if number > 1:
            cost = cost.plus(costs.rewrite.times(reaching))
        cost = cost.plus(costs.round.times(reaching))
        estimate += reaching * counts.selection_rate
        reaching *= (1 - counts.selection_rate) * counts.continuation_rate
    observed = sum(counts.selected for counts in rounds.values()) / len(instructions)
    exact = threshold <= exact_up_to
    expected = observed if exact else estimate  # if exact, they differ by rounding only
    return ThresholdYield(
        threshold,
        exact,
        {number: counts.scored for number, counts in sorted(rounds.items())},
        {number: counts.selection_rate for number, counts in sorted(rounds.items())},
        expected,
        observed,
        cost.times(1 / expected) if expected else None,
        yield_interval(instructions, threshold)
        if exact
        else _estimate_interval(instructions, threshold, exact_up_to, expected),
    )


def yield_interval(instructions: Iterable[ScoredInstruction], threshold: float) -> Interval:
    """Return the share of *instructions* that *threshold* selects, and its interval."""
    selected, scored = Counter[int](), Counter[int]()
    for instruction in instructions:
        scored[instruction.item] += 1
        selected[instruction.item] += max(map(abs, instruction.gaps)) > threshold
    return ClusteredShare(Share(selected[item], scored[item]) for item in scored).interval()


def _estimate_interval(
    instructions: Sequence[ScoredInstruction], threshold: float, exact_up_to: float, mean: float
) -> Interval:
    """Return the interval of an estimated yield.

    Its variance is the jackknife's over metadata items (Tukey 1958): each is left out once.
    """
    by_item: dict[int, list[ScoredInstruction]] = {}
    for instruction in instructions:
        by_item.setdefault(instruction.item, []).append(instruction)
    rounds = _count_rounds(instructions, threshold, exact_up_to)
    without = [
        _product_limit(_subtract(rounds, _count_rounds(members, threshold, exact_up_to)))
        for members in by_item.values()
    ]
    centre = fmean(without)
    groups = len(by_item)
    variance = (groups - 1) / groups * sum((estimate - centre) ** 2 for estimate in without)
    return wilson_of_estimate(mean, variance, groups=groups, members=len(instructions))


def _product_limit(rounds: Mapping[int, "_RoundOutcomes"]) -> float:
    """Return the estimated yield of all rounds."""
    reaching, estimate = 1.0, 0.0
    for _, counts in sorted(rounds.items()):
        if not counts.scored:
            break
        estimate += reaching * counts.selection_rate
        reaching *= (1 - counts.selection_rate) * counts.continuation_rate
    return estimate


def _subtract(
    rounds: Mapping[int, "_RoundOutcomes"], others: Mapping[int, "_RoundOutcomes"]
) -> dict[int, "_RoundOutcomes"]:
    return {
        number: counts.minus(others[number]) if number in others else counts
        for number, counts in rounds.items()
    }


def _count_rounds(
    instructions: Sequence[ScoredInstruction], threshold: float, exact_up_to: float
) -> dict[int, "_RoundOutcomes"]:
    rounds: dict[int, _RoundOutcomes] = {}
    for instruction in instructions:
        for number, gap in enumerate(instruction.gaps, instruction.first):
            counts = rounds.setdefault(number, _RoundOutcomes())
            counts.scored += 1
            if abs(gap) > threshold:
                counts.selected += 1
                break
            if number < instruction.last:
                counts.continued += 1
            elif abs(gap) <= exact_up_to:
                counts.stopped += 1
    return rounds


class _RoundOutcomes(Struct):
    """What happened in one round under some θ.

    ``stopped``: neither selected nor continued, since no action was left or a rewrite failed.
    """

    scored: int = 0
    selected: int = 0
    continued: int = 0
    stopped: int = 0

    def minus(self, other: "_RoundOutcomes") -> "_RoundOutcomes":
        return _RoundOutcomes(
            self.scored - other.scored,
            self.selected - other.selected,
            self.continued - other.continued,
            self.stopped - other.stopped,
        )

    @property
    def selection_rate(self) -> float:
        return self.selected / self.scored

    @property
    def continuation_rate(self) -> float:
        """The share that continued, of those whose fate is known.

        The others were selected by the pilot's own θ.
        """
        total = self.continued + self.stopped
        return self.continued / total if total else 0.0
