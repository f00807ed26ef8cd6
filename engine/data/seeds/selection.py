"""Which seeds a run uses: all of its files', the first, or a sample that spreads over them."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterator
from functools import cached_property

from msgspec import structs

from ..records import Seed, Unreadable
from . import count, read
from .order import spread_order, spread_over_groups
from .source import SeedError, SeedSource


class SeedSelection:
    """The seeds that a run uses, at positions from 0 in the order of their files.

    Args:
        source: the files. With ``stratify``, samples and shares spread over the values of a field;
            else over the files from beginning to end.
        limit: use so many; None: all.
        head: use the first ones instead of a sample.
        key: another key draws another sample.

    Raises:
        SeedError: a file cannot be used, or no record has the field to stratify by.
    """

    def __init__(
        self, source: SeedSource, *, limit: int | None = None, head: bool = False, key: str = ""
    ) -> None:
        self.source = source
        self._key = key
        self._limit = limit
        self._groups = None if source.stratify is None else _read_groups(source)
        self._sampled = None if limit is None or head else self._sample(limit)

    @cached_property
    def total(self) -> int:
        """The records of the files, used or not, readable or not."""
        return count(self.source) if self._groups is None else len(self._groups)

    def __len__(self) -> int:
        """Return how many records are used, readable or not."""
        return self.total if self._limit is None else min(self.total, self._limit)

    def read(self, skip: Container[int] = b"") -> Iterator[Seed | Unreadable]:
        """Yield the seeds, except those that *skip* flags, as for `codeclm.engine.data.seeds.read`.

        Blocks.

        Raises:
            SeedError: a file cannot be used.
        """
        if self._sampled is None:
            yield from self._first(skip)
            return
        flags = bytearray(b"\1") * self.total
        for position, record_number in enumerate(self._sampled):
            flags[record_number] = _is_flagged(skip, position)
        for record in read(self.source, skip=flags):
            position = bisect_left(self._sampled, record.position)
            yield structs.replace(record, position=position)

    def order(self, first: int = 0) -> "array[int]":
        """Return the positions in a random order whose beginnings spread evenly. Blocks.

        Args:
            first: begin with so many that spread as evenly as can be.
        """
        key = f"{self._key}/order"
        if self._groups is None:
            return spread_order(len(self), key, first)
        used = self._sampled if self._sampled is not None else range(len(self))
        return spread_over_groups(array("I", (self._groups[number] for number in used)), key)

    def strata(self) -> dict[str, int]:
        """Count the seeds by the value to stratify by; empty without one. Blocks."""
        if self.source.stratify is None:
            return {}
        return dict(Counter(seed.stratum for seed in self.read() if isinstance(seed, Seed)))

    def _first(self, skip: Container[int]) -> Iterator[Seed | Unreadable]:
        for record in read(self.source, skip=skip):
            if self._limit is not None and record.position >= self._limit:
                return
            yield record

    def _sample(self, limit: int) -> "array[int] | None":
        """Draw *limit* records; None if that is all."""
        if limit >= self.total:
            return None
        key = f"{self._key}/sample"
        if self._groups is None:
            order = spread_order(self.total, key, limit)
        else:
            order = spread_over_groups(self._groups, key)
        return array("I", sorted(order[:limit]))


def _is_flagged(skip: Container[int], position: int) -> bool:
    if isinstance(skip, bytes | bytearray):
        return position < len(skip) and bool(skip[position])
    return position in skip


def _read_groups(source: SeedSource) -> "array[int]":
    """Return a number for each record: that of its value among all values in order."""
    numbers: dict[str, int] = {}
    groups = array("I")
    for seed in read(source):
        value = seed.stratum if isinstance(seed, Seed) else ""
        groups.append(numbers.setdefault(value, len(numbers)))
    if not any(numbers):
        names = ", ".join(str(path) for path in source.paths)
        raise SeedError(f"{names}: no record has a field {source.stratify!r} to stratify by")
    rank_of = {numbers[value]: rank for rank, value in enumerate(sorted(numbers))}
    for position, number in enumerate(groups):
        groups[position] = rank_of[number]
    return groups
