"""Random orders of the records of a file whose beginnings spread evenly over the file.

Files are often sorted, by category or by difficulty. A plain sample of half of them misses a
category of three one time in ten; here, one of every two neighbours is drawn.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from random import Random


def spread_order(count: int, key: str, first: int = 0) -> "array[int]":
    """Return the positions below *count* in a random order whose beginnings all spread evenly.

    It takes four bytes a position, and half a second for a million.

    Args:
        count: How many positions there are.
        key: Another key gives another order.
        first: Begin with so many positions that spread exactly: one from each of as many equal
            blocks. 0: no beginning is preferred to another.
    """
    first = min(first, count)
    edges = [count * n // first for n in range(first + 1)] if first else []
    random = Random(f"{key}/{first}")
    sample = [random.randrange(low, high) for low, high in pairwise(edges)]
    return _beginning_with(sample, _scrambled(count, Random(key)), random)


def spread_over_groups(groups: Sequence[int], key: str, first: int = 0) -> "array[int]":
    """Return the positions of *groups* in an order whose beginnings spread over all groups.

    Args:
        groups: The number of each position's group.
        key: Another key gives another order.
        first: Begin with so many positions that hold each group's part, rounded up or down.
    """
    random, count = Random(f"{key}/groups"), len(groups)
    by_group = _shuffled_by_group(groups, random)
    first, start = min(first, count), random.random()
    sample = [min(count - 1, int((n + start) * count / first)) for n in range(first)]
    order = _beginning_with(sample, _scrambled(count, random), random)
    return array("I", [by_group[n] for n in order])


def _shuffled_by_group(groups: Sequence[int], random: Random) -> "array[int]":
    """Return the positions group after group, each in a random order."""
    positions = array("I", range(len(groups)))
    random.shuffle(positions)
    sizes = Counter(groups)
    ends = dict(
        zip(sorted(sizes), accumulate(sizes[group] for group in sorted(sizes)), strict=True)
    )
    by_group = array("I", bytes(4 * len(groups)))
    for position in positions:
        ends[groups[position]] -= 1
        by_group[ends[groups[position]]] = position
    return by_group


def _beginning_with(sample: Sequence[int], order: "array[int]", random: Random) -> "array[int]":
    """Return *order* with the positions in *sample* first, which are in ascending order."""
    drawn = set(sample)
    if not 0 < len(drawn) < len(order):
        return order
    beginning = array("I", [sample[n] for n in _scrambled(len(sample), random)])
    return beginning + array("I", [position for position in order if position not in drawn])


def _scrambled(count: int, random: Random) -> "array[int]":
    """Return van der Corput's sequence with Owen's nested scrambling, over *count* positions.

    The first 2^k lie in different ones of 2^k equal blocks (Owen 1995, "Randomly permuted (t, m,
    s)-nets and (t, s)-sequences").
    """
    blocks = array("I", [0])
    while len(blocks) < count:
        flips = random.randbytes(len(blocks))
        halves = array("I", [2 * n + (flip & 1) for n, flip in zip(blocks, flips, strict=True)])
        blocks = halves + array("I", [half ^ 1 for half in halves])
    return array("I", [position for position in blocks if position < count])
