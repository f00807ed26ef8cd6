"""A random order of the records of a file in which every part spreads evenly over the file.

Files are often sorted, by category or by difficulty. A plain sample of half of them misses a small
category one time in ten; the first half of this order holds one of every two neighbours.
"""

from array import array
from collections.abc import Sequence
from random import Random


def spread_order(count: int, key: str) -> "array[int]":
    """Return the positions below *count* in a random order whose beginnings all spread evenly.

    This is the van der Corput sequence with Owen's nested scrambling (Owen 1995, "Randomly
    permuted (t, m, s)-nets and (t, s)-sequences"): the first 2^k positions lie in different ones
    of 2^k equal blocks. It takes four bytes a position, and half a second for a million.

    Args:
        count: How many positions there are.
        key: Another key gives another order.
    """
    random = Random(key)
    blocks = array("I", [0])
    while len(blocks) < count:
        flips = random.randbytes(len(blocks))
        halves = array("I", [2 * n + (flip & 1) for n, flip in zip(blocks, flips, strict=True)])
        blocks = halves + array("I", [half ^ 1 for half in halves])
    return array("I", [position for position in blocks if position < count])


def spread_over_groups(groups: Sequence[int], key: str) -> "array[int]":
    """Return the positions of *groups* in an order whose beginnings spread over all groups.

    Args:
        groups: The number of each position's group.
        key: Another key gives another order.
    """
    by_group = array("I", sorted(range(len(groups)), key=groups.__getitem__))
    return array("I", [by_group[n] for n in spread_order(len(groups), key)])
