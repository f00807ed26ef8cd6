"""Near-duplicates: each row against the seeds and the rows before it, in the run's own order.

What is decided stays decided and is in the ledger, so that a later session only has to read the
texts in again. Which row wins never depends on which came first: whoever asks does so in place
order, once all that stands before is known.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from ..data.records import Seed, Unreadable
from ..store.reader import LedgerReader
from ..store.schema import NearDuplicateDecision
from .similarity import Measure

Seeds = Callable[[], Iterable[Seed | Unreadable]]


class _Row(Struct, frozen=True):
    id: str
    text: str


class NearDuplicateFilter:
    """Says of each row whether it is new.

    *seeds* gives all seeds of the run, so that a row is compared with those, too, that come later.
    """

    def __init__(self, measure: Measure, ledger: LedgerReader, seeds: Seeds) -> None:
        self._measure = measure
        self._ledger = ledger
        self._seeds = seeds
        self._recorded, self._dropped = ledger.near_duplicate_decisions()
        self._pending: dict[int, _Row] = {}
        """Kept by the flow and not yet decided, by place."""
        self._ids = array("Q")
        """Of the measure's texts; an id is 16 hex digits."""
        self._made: list[NearDuplicateDecision] = []
        self._built = False

    def offer(self, place: int, name: str, text: str) -> None:
        """Hand in a row that the flow has kept; it is decided when its turn has come."""
        self._pending[place] = _Row(name, text)

    def admits(self, place: int) -> bool:
        """Decide on the row at *place*; its turn has come. The first time blocks, as `build`."""
        if place in self._dropped:
            return False
        if place not in self._pending and not self._built and not self._was_decided(place):
            self.build()
        row = self._pending.pop(place, None)
        return row is None or self._decide(place, row, final=True)

    def decide_rest(self, last: int) -> None:
        """Decide for now on rows up to *last* whose turn has not come when a session ends. Blocks.

        What stands before them is still to be finished; the next session decides them again.
        """
        for place in sorted(self._pending):
            if place <= last:
                self._decide(place, self._pending.pop(place), final=False)

    def decisions(self) -> Iterator[NearDuplicateDecision]:
        """Yield what has been decided since the last time."""
        made, self._made = self._made, []
        yield from made

    def build(self) -> None:
        """Read in the seeds and what earlier sessions decided. Blocks: 50 µs a text."""
        if self._built:
            return
        self._built = True
        for seed in self._seeds():
            if isinstance(seed, Seed):
                self._add(seed.id, seed.instruction)
        for place, name, text in self._ledger.kept_texts():
            if self._was_decided(place):
                if place not in self._dropped:
                    self._add(name, text)
            else:
                self._pending[place] = _Row(name, text)

    def _was_decided(self, place: int) -> bool:
        n = bisect_left(self._recorded, place)
        return n < len(self._recorded) and self._recorded[n] == place

    def _decide(self, place: int, row: _Row, *, final: bool) -> bool:
        self.build()
        matches = self._measure.similar(row.text)
        if not matches:
            self._add(row.id, row.text)
            self._made.append(NearDuplicateDecision(place, "", "", final))
            return True
        how, which = max(matches, key=lambda match: (match.similarity, self._ids[match.number]))
        self._dropped.add(place)
        detail = f"{self._ids[which]:016x} ({how:.2f})"
        self._made.append(NearDuplicateDecision(place, "near_duplicate", detail, final))
        return False

    def _add(self, name: str, text: str) -> None:
        self._measure.add(text)
        self._ids.append(int(name, 16))
