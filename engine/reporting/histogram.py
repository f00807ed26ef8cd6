"""Histograms of quality gaps, in bins of one point."""

from collections import Counter
from collections.abc import Mapping
from math import floor

BAR_WIDTH = 30


def gap_histogram(counts: Mapping[float, int]) -> dict[str, int]:
    """Sort gaps into bins; *counts* holds the number of rounds by gap.

    A bin is named by its lower end; empty bins are left out.
    """
    bins = Counter[int]()
    for gap, count in counts.items():
        bins[floor(gap)] += count
    return {str(low): bins[low] for low in sorted(bins)}


def histogram_lines(histogram: Mapping[str, int]) -> list[str]:
    """Draw *histogram* with a bar per bin."""
    longest = max(histogram.values())
    lines = ["quality gap (rounds)"]
    for low, count in histogram.items():
        bar = "█" * max(1, round(BAR_WIDTH * count / longest))
        lines.append(f"  {int(low):>3} to {int(low) + 1:>2}  {count:>8,}  {bar}")
    return lines
