"""Every seed its share: how many rows are wanted of each seed, and what to ask of it next.

Pure bookkeeping: outcomes in, numbers out; nothing here waits or calls a model. Each seed tops up
its own share. Once all have finished, what is still missing is asked of the others as grants. No
choice depends on which outcome came first.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from heapq import nsmallest
from math import ceil
from typing import NamedTuple

from msgspec import Struct

CAUTION = 0.9
"""Part of the instructions that would probably give the missing rows: more would be too many."""


class SharePolicy(Struct, frozen=True):
    """How rows, or instructions, are shared by the seeds.

    Attributes:
        total: rows or instructions that all seeds share; None: each seed has *per_seed*.
        per_seed: instructions of a seed, where there is no total.
        portion: instructions of a seed that the user fixed; so many seeds get one as the total
            needs, so that a larger total asks the same, and more. None: all seeds share equally.
        expansion: the most instructions of a seed, as a multiple of its share.
        most: the most instructions altogether; None: unlimited.
        topup: whether more is asked for in place of what is filtered out.
        unit: the most rows of one basic instruction; what is asked for counts in full units.
    """

    total: int | None
    per_seed: int
    portion: int | None = None
    expansion: float = 1.0
    most: int | None = None
    topup: bool = False
    unit: int = 1

    def share(self, rank: int, seeds: int) -> int:
        """Return what is wanted of the seed of *rank*, of *seeds*."""
        if self.total is None:
            return self.per_seed
        if self.portion is not None:
            before = rank * self.portion
            if before >= self.total:
                return 0
            return self.portion if self.most is None else min(self.portion, self.most - before)
        return deal(self.total, rank, seeds)

    def units(self, rows: int) -> int:
        """Return *rows*, rounded up to full units."""
        return ceil(rows / self.unit) * self.unit

    def dealt(self, seeds: int) -> int:
        """Return how many of *seeds* have a share; they are the first in rank."""
        return bisect_left(range(seeds), True, key=lambda rank: self.share(rank, seeds) <= 0)

    def favoured(self, seeds: int) -> int:
        """Return how many of *seeds* get one more than the others; 0 where portions are fixed."""
        return 0 if self.total is None or self.portion is not None else self.total % seeds

    def bound(self, rank: int, seeds: int) -> int:
        """Return the most instructions asked of the seed of *rank* while it tops up itself."""
        share = self.share(rank, seeds)
        if not self.topup or self.portion is not None:
            return share
        bound = int(self.expansion * self.units(share))
        return bound if self.most is None else min(bound, deal(self.most, rank, seeds))


def deal(total: int, rank: int, seeds: int) -> int:
    """Return what the seed of *rank* gets if *total* is dealt to *seeds*, one at a time."""
    base, rest = divmod(total, seeds)
    return base + (rank < rest)


class Grant(NamedTuple):
    """Instructions to ask of a seed in place of what others could not deliver.

    Attributes:
        position: the seed's.
        start: how many were asked of it before.
        instructions: how many to ask for.
    """

    position: int
    start: int
    instructions: int


class Shares:
    """What has been asked of each seed, and what it gave.

    Args:
        order: the seeds' positions in the order in which shares are dealt.
        policy: how they are shared.
    """

    def __init__(self, order: "array[int]", policy: SharePolicy) -> None:
        self._order = order
        self._policy = policy
        self._size = len(order)
        self._rank = array("I", bytes(4 * self._size))
        for rank, position in enumerate(order):
            self._rank[position] = rank
        self._requested = array("I", bytes(4 * self._size))
        self._kept = array("I", bytes(4 * self._size))
        self._exhausted = bytearray(self._size)
        self._grants: dict[tuple[int, int], int] = {}
        """Instructions granted, by position and by what was asked before."""

    def requested(self, position: int) -> int:
        """Return how many instructions have been asked of a seed: the number of the next one."""
        return self._requested[position]

    def next_count(self, position: int) -> int:
        """Return how many instructions to ask of a seed next; 0 if nothing is left to do."""
        if self._exhausted[position]:
            return 0
        rank, requested = self._rank[position], self._requested[position]
        share = self._policy.share(rank, self._size)
        missing = min(
            share - self._kept[position], self._policy.bound(rank, self._size) - requested
        )
        return missing if missing > 0 else self._grants.get((position, requested), 0)

    def finished(
        self, position: int, *, requested: int, kept: int = 0, empty: bool = False
    ) -> None:
        """Note that *requested* instructions of a seed are finished; *kept* of them are rows."""
        self._requested[position] += self._policy.units(requested)
        self._kept[position] += kept
        self._exhausted[position] |= empty

    def exhaust(self, position: int) -> None:
        """Note that a seed can give nothing more."""
        self._exhausted[position] = 1

    def grant(self, grants: Iterable[Grant]) -> None:
        """Ask for *grants*, too."""
        for position, start, instructions in grants:
            self._grants[position, start] = instructions

    def pending(self, first: int, last: int) -> bytearray:
        """Return a flag for each position: 0 if something is to be asked, else 1.

        Only the seeds of rank *first* to *last* are looked at; none: an empty array.
        """
        flags = bytearray(b"\1") * self._size
        waiting = False
        for position in self._order[first:last]:
            if self.next_count(position):
                flags[position] = 0
                waiting = True
        return flags if waiting else bytearray()

    # -- once all have finished ---------------------------------------------------------------

    def missing(self, rows: Mapping[int, int]) -> list[Grant]:
        """Return what to ask for if the dataset has so many *rows* of each position.

        First of seeds that lost rows to another's equal ones, then of all that still give
        instructions: those that were asked least first.
        """
        policy, row_count, requested = self._policy, sum(rows.values()), sum(self._requested)
        if not policy.topup or policy.total is None or policy.total <= row_count:
            return []
        missing = policy.total - row_count
        room = sys.maxsize if policy.most is None else (policy.most - requested) // policy.unit
        repairs = list(self._repairs(rows, min(missing, room)))
        repaired = sum(grant.instructions for grant in repairs)
        spare = self._enough_for(missing, requested, row_count) - repaired
        excluded = {grant.position for grant in repairs}
        return [*repairs, *self._even(min(spare, room - repaired), excluded)]

    def _enough_for(self, missing: int, requested: int, row_count: int) -> int:
        """Return how many instructions will probably give the *missing* rows, and no more.

        Of *requested* so far, *row_count* became rows. Portions are rounded up.
        """
        number = (
            max(missing, int(CAUTION * missing * requested / row_count)) if row_count else missing
        )
        portion = self._policy.portion or 1
        return ceil(number / portion) * portion

    def _repairs(self, rows: Mapping[int, int], most: int) -> Iterator[Grant]:
        """Yield what seeds are below their share, within their own bounds."""
        for rank, position in enumerate(self._order):
            share = self._policy.share(rank, self._size)
            if most <= 0 or not share:
                return
            room = self._policy.bound(rank, self._size) - self._requested[position]
            count = min(share - rows.get(position, 0), room, most)
            if count > 0 and not self._exhausted[position]:
                most -= count
                yield Grant(position, self._requested[position], count)

    def _even(self, count: int, excluded: AbstractSet[int]) -> Iterator[Grant]:
        """Yield *count* instructions, shared by the seeds that still give any."""
        able = self._size - sum(self._exhausted) - len(excluded)
        if count <= 0 or able <= 0:
            return
        size = self._policy.portion or max(1, count // able)
        candidates = (n for n in self._order if not self._exhausted[n] and n not in excluded)
        most = ceil(count / size)
        for position in nsmallest(
            most, candidates, key=lambda n: (self._requested[n], self._rank[n])
        ):
            yield Grant(position, self._requested[position], min(size, count))
            count -= size
