"""Near-duplicates: each row compared with all seeds and the rows before it, in the run's order.

Which row is kept never depends on timing: rows are decided in the order of their index, once all
rows before them are known. A decision is final and is recorded in the ledger, so that a later
session only needs to read the texts again.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable

from msgspec import Struct

from ..data.records import Seed, Unreadable
from ..store.reader import LedgerReader
from ..store.schema import NearDuplicateDecision
from .similarity import SimilarityIndex

SeedReader = Callable[[], Iterable[Seed | Unreadable]]


class _PendingRow(Struct, frozen=True):
    id: str
    text: str


class NearDuplicateFilter:
    """Decides for each row whether it is new.

    Args:
        index: Empty; the filter fills it.
        ledger: Holds what earlier sessions kept and decided.
        read_seeds: Reads all seeds of the run: a row is compared with later seeds, too.
    """

    def __init__(
        self, index: SimilarityIndex, ledger: LedgerReader, read_seeds: SeedReader
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._read_seeds = read_seeds
        self._decided, self._dropped = ledger.near_duplicate_decisions()
        self._pending: dict[int, _PendingRow] = {}
        """Rows kept by their stages and not decided yet, by row index."""
        self._ids = array("Q")
        """Of the texts in the index; an id is 16 hex digits."""
        self._decisions: list[NearDuplicateDecision] = []
        self._loaded = False

    def offer(self, row_index: int, row_id: str, text: str) -> None:
        """Add a row that its stages have kept; it is decided when its turn comes."""
        self._pending[row_index] = _PendingRow(row_id, text)

    def admits(self, row_index: int) -> bool:
        """Decide whether the row is new; every row before it must be known.

        The first call may block, as `load` does.
        """
        if row_index in self._dropped:
            return False
        if row_index not in self._pending and not self._loaded and not self._is_decided(row_index):
            self.load()
        row = self._pending.pop(row_index, None)
        return row is None or self._decide(row_index, row, final=True)

    def decide_rest(self, last: int) -> None:
        """Decide provisionally on pending rows up to index *last*, at the end of a session. Blocks.

        Rows before them are not finished yet; the next session decides again.
        """
        for row_index in sorted(self._pending):
            if row_index <= last:
                self._decide(row_index, self._pending.pop(row_index), final=False)

    def take_decisions(self) -> list[NearDuplicateDecision]:
        """Return the decisions made since the last call."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def load(self) -> None:
        """Read the seeds and the rows of earlier sessions, once. Blocks: 50 µs a text."""
        if self._loaded:
            return
        self._loaded = True
        for seed in self._read_seeds():
            if isinstance(seed, Seed):
                self._add(seed.id, seed.instruction)
        for row_index, row_id, text in self._ledger.kept_texts():
            if not self._is_decided(row_index):
                self._pending[row_index] = _PendingRow(row_id, text)
            elif row_index not in self._dropped:
                self._add(row_id, text)

    def _is_decided(self, row_index: int) -> bool:
        """Whether an earlier session made a final decision on the row."""
        n = bisect_left(self._decided, row_index)
        return n < len(self._decided) and self._decided[n] == row_index

    def _decide(self, row_index: int, row: _PendingRow, *, final: bool) -> bool:
        self.load()
        matches = self._index.similar(row.text)
        if not matches:
            self._add(row.id, row.text)
            self._decisions.append(NearDuplicateDecision(row_index, "", "", final))
            return True
        # Equally similar texts are told apart by their ids, which do not depend on their order.
        best = max(matches, key=lambda match: (match.similarity, self._ids[match.number]))
        self._dropped.add(row_index)
        detail = f"{self._ids[best.number]:016x} ({best.similarity:.2f})"
        self._decisions.append(NearDuplicateDecision(row_index, "near_duplicate", detail, final))
        return False

    def _add(self, text_id: str, text: str) -> None:
        self._index.add(text)
        self._ids.append(int(text_id, 16))
