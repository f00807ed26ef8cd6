"""The share of instructions that θ selects, as far as it is known."""

from msgspec import Struct

from ..data.intervals import ClusteredShare, Interval


class SelectionRate(Struct, frozen=True):
    """How many instructions θ selects, before duplicates are removed.

    Instructions that are selected early finish first, so while some are unfinished the share of the
    finished ones is too high: only bounds are known.

    Attributes:
        selected: in any round.
        scored: instructions with a scored round.
        unfinished: instructions that were written and have no fate yet.
        interval: the share and its 95 % interval, over seeds taken alike; None while some are
            unfinished, or if nothing was scored.
        low: the least share there can be.
        high: the greatest.
    """

    selected: int
    scored: int
    unfinished: int
    interval: Interval | None
    low: float
    high: float


def selection_rate(selected: ClusteredShare, unfinished: int) -> SelectionRate:
    """Return the rate of the scored instructions that are *selected*, by metadata item."""
    total = max(1, selected.total + unfinished)
    return SelectionRate(
        selected.part,
        selected.total,
        unfinished,
        selected.interval() if selected.total and not unfinished else None,
        selected.part / total,
        (selected.part + unfinished) / total,
    )


def selection_lines(rate: SelectionRate) -> list[str]:
    """Say what share is selected, or within which bounds it lies."""
    if rate.interval is not None:
        low, high = rate.interval.low, rate.interval.high
        return [
            (
                f"selected: {rate.selected:,} of {rate.scored:,} instructions,"
                f" {rate.interval.mean:.1%} (95 % interval {low:.0%} to {high:.0%}),"
            ),
            "over seeds taken alike; another draw of the judge is not in the interval",
        ]
    return [
        (
            f"selected so far: {rate.selected:,} of {rate.scored + rate.unfinished:,} instructions;"
            f" {rate.unfinished:,} are unfinished,"
        ),
        (
            f"and those selected early finish first: the rate is between {rate.low:.0%}"
            f" and {rate.high:.0%}"
        ),
    ]
