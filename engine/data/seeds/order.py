"""Random orders of the records of a file whose beginnings spread evenly over the file.

Files are often sorted, by category or by difficulty. A plain sample of half of them misses a
category of three one time in ten; here, one of every two neighbours is first_ones.
"""

from array import array
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from itertools import pairwise
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


def spread_over_groups(groups: Sequence[int], key: str) -> "array[int]":
    """Return the positions of *groups* in an order whose beginnings hold each group's part.

    One of every group comes first, so that none is lost; then places are given as seats of a
    parliament are by Webster's method (Sainte-Laguë 1910).

    Args:
        groups: The number of each position's group.
        key: Another key gives another order.
    """
    random = Random(key)
    members = _shuffled_members(groups, random)
    waiting = [(0.0, -len(own), random.random(), 0, group) for group, own in members.items()]
    heapify(waiting)
    order = array("I")
    while waiting:
        *_, chance, number, group = waiting[0]
        size = len(members[group])
        order.append(members[group][number])
        if number + 1 == size:
            heappop(waiting)
        else:
            heapreplace(waiting, ((2 * number + 3) / size, -size, chance, number + 1, group))
    return order


def _shuffled_members(groups: Sequence[int], random: Random) -> "dict[int, array[int]]":
    """Return the positions of each group in a random order."""
    members: dict[int, array[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, array("I")).append(position)
    for group in sorted(members):
        random.shuffle(members[group])
    return dict(sorted(members.items()))


def _beginning_with(sample: Sequence[int], order: "array[int]", random: Random) -> "array[int]":
    """Return *order* with the positions in *sample* first, which are in ascending order."""
    first_ones = set(sample)
    if not 0 < len(first_ones) < len(order):
        return order
    beginning = array("I", [sample[n] for n in _scrambled(len(sample), random)])
    return beginning + array("I", [position for position in order if position not in first_ones])


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
