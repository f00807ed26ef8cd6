"""Every item's fate, on disk: what a resumed run skips and what exports read.

Rows say what the flow decided about one item alone. What compares items with each other
(duplicates, copies of seeds, the first N) is worked out when it is read, in seed order, so that it
never depends on which item came first.

Knows records; neither stages nor models.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio

from ...providers import json_codec
from ..calls.budget import Spending
from ..data.errors import ItemError
from ..data.records import Example, InstructionRequest, Metadata, Seed, Unreadable
from ..data.text.fingerprint import fingerprint
from ..disk.sqlite import GroupWriter, StorageError, connect, storage_error, transaction
from .schema import (
    INSERT,
    NEVER_ASKED,
    NO_END,
    SCHEMA,
    SPAN,
    VERSION,
    Review,
    Row,
    Sifted,
    Subject,
    storable,
)
from .totals import Counter, Sums

__all__ = ["NO_END", "SPAN", "Ledger", "Review", "Row", "Sifted", "Subject", "Sums"]


class Ledger(Counter):
    """The ledger of one run. Writing is for one process, reading for any number."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer = GroupWriter[Row]("codeclm-ledger", self._write, self._written)
        self._resources = ExitStack()
        self._failed: Callable[[StorageError], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- opening ------------------------------------------------------------------------------

    def open(self, *, for_writing: bool) -> "Ledger":
        """Open the file, making it if it is to be written. Blocks.

        Raises:
            StorageError: it can't be opened, or it is no ledger.
        """
        if not for_writing and not self.path.exists():
            raise StorageError(f"{self.path}: there is no such ledger: is this a run's folder?")
        try:
            self._read_from = connect(self.path)
            if for_writing:
                self._out = connect(self.path)
                self._make()
            self._check_version()
            self._read_from.execute("PRAGMA query_only=1")
            self._read_from.execute("SELECT count(*) FROM facts").fetchone()
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        if for_writing:
            self._resources.enter_context(self._writer)
        self._for_writing = for_writing
        return self

    def _make(self) -> None:
        """Make the tables of a new file; one of another version is left as it is."""
        if not self._out.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._out.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            )

    def _check_version(self) -> None:
        (found,) = self._read_from.execute("PRAGMA user_version").fetchone()
        if found != VERSION:
            raise StorageError(
                f"{self.path}: it was made by another version of codeclm ({found}, not {VERSION}):"
                " move the run's folder away and run again; paid answers are in the cache"
            )

    def use(self, loop: asyncio.AbstractEventLoop, failed: Callable[[StorageError], None]) -> None:
        """Say which loop to tell when something could not be written."""
        self._loop = loop
        self._failed = failed

    def close(self) -> None:
        """Write what is left. Blocks."""
        if self._for_writing:
            self._resources.close()
            self._out.close()
        self._read_from.close()

    # -- writing ------------------------------------------------------------------------------

    def put(self, row: Row) -> None:
        """Hand in a row; it is written with the next group, in the order handed in."""
        self._writer.put(row)

    async def room(self) -> None:
        """Wait while too many rows are unwritten, so that a slow disk slows the line."""
        while self._writer.waiting > 4096:  # noqa: ASYNC110  (the writer is a thread)
            await anyio.sleep(0.005)

    def seed_encoded(self, seed: Seed, metadata: Metadata, *, item: int | None) -> None:
        """Note *seed*'s metadata; *item* is the position of the metadata item it went into."""
        row = (seed.position, seed.id, "encoded", "", "", 0, fingerprint(seed.instruction))
        self.put(Row("seeds", (*row, item, json_codec.dumps(metadata))))

    def seed_pooled(self, seed: Seed) -> None:
        """Note a seed that requests may show; `link` notes the first one that does."""
        row = (seed.position, seed.id, "pooled", "", "", 0, fingerprint(seed.instruction))
        self.put(Row("seeds", (*row, None, None)))

    def link(self, seed_position: int, item: int) -> None:
        """Note into which metadata item a seed went."""
        self.put(Row("links", (item, seed_position)))

    def seed_failed(self, seed: Seed, error: ItemError) -> None:
        row = (seed.position, seed.id, "failed", error.reason, storable(error.detail))
        marks = (int(error.transient), fingerprint(seed.instruction), None, None)
        self.put(Row("seeds", (*row, *marks)))

    def seed_unreadable(self, record: Unreadable) -> None:
        detail = f"{record.where}: {record.reason}"
        row = (record.position, None, "failed", "unreadable_record", storable(detail), 0)
        self.put(Row("seeds", (*row, None, None, None)))

    def items(self, items: Sequence[Metadata]) -> None:
        for item in items:
            self.put(Row("items", (item.position, json_codec.dumps(item))))

    def example(self, example: Example, *, transient: bool = False) -> None:
        place = example.position * SPAN + example.number
        row = (
            place,
            example.position,
            example.id,
            example.fate,
            example.reason,
            int(transient),
            fingerprint(example.instruction),
            fingerprint(example.basic_instruction),
            example.winner,
            len(example.iterations),
            example.gap,
            *_judged(example),
        )
        # Kept apart, so that counting need not read them; and first, because a group may end
        # between the two: whoever reads meanwhile finds no example without its story.
        self.put(Row("stories", (place, json_codec.dumps(example))))
        self.put(Row("examples", row))

    def order_done(self, order: InstructionRequest, made: int) -> None:
        self._order(order, made, done=True)

    def order_unneeded(self, item: Metadata, reason: str = "no_quota") -> None:
        """Note that *item* has nothing to make: there are more metadata than rows wanted, say."""
        assert reason in NEVER_ASKED
        self._order(InstructionRequest(item, 0), 0, done=True, reason=reason)

    def order_failed(self, order: InstructionRequest, error: ItemError) -> None:
        self._order(
            order, 0, done=not error.transient, reason=error.reason, detail=storable(error.detail)
        )

    def _order(
        self,
        order: InstructionRequest,
        made: int,
        *,
        done: bool,
        reason: str = "",
        detail: str = "",
    ) -> None:
        position = order.metadata.position
        row = (position * SPAN + order.start, position, order.count, made, int(done))
        self.put(Row("orders", (*row, reason, detail)))

    def ends_at(self, position: int = NO_END) -> None:
        """Note the last seed whose instructions count; those begun behind it are beyond target."""
        self.fact("last_item", str(position))

    def sift(self, decisions: Iterable[Sifted]) -> None:
        """Note which rows repeat others; in the order they were decided in."""
        for made in decisions:
            self.put(Row("sifted", made))

    def overlap(self, example: Example, test: str, questions: Iterable[str]) -> None:
        """Note that *example* has words of prompts of the test set *test*."""
        place = example.position * SPAN + example.number
        self.put(Row("overlaps", (place, storable(test), storable(" ".join(questions)))))

    def bar(self, item: int) -> None:
        """Leave out what came of a metadata item that a reviewer dropped."""
        self.put(Row("barred", (item,)))

    def review(self, what: Subject, reviews: Sequence[Review]) -> None:
        """Note what people say; a later word on the same id counts. Blocks.

        Raises:
            StorageError: nothing of it was written.
        """
        rows = [(what, said.id, said.decision, storable(said.comment)) for said in reviews]

        with transaction(self._out, self.path):
            self._out.executemany(INSERT["reviews"], rows)
            if what == "metadata":
                said = self.reviews("metadata") | {review.id: review for review in reviews}
                found = [(n,) for n, m in self.metadata() if _is_dropped(said.get(m.id))]
                self._out.execute("DELETE FROM barred")
                self._out.execute(f"DELETE FROM orders WHERE reason IN {NEVER_ASKED}")
                self._out.executemany(INSERT["barred"], found)

    def fact(self, key: str, value: str) -> None:
        self.put(Row("facts", (key, value)))

    def forget(self) -> None:
        """Drop every row: the run starts anew, from the answers in the cache. Blocks."""
        kept = {"facts", "links", "reviews"}
        tables = (f"DELETE FROM {table}" for table in INSERT.keys() - kept)
        self._do(*tables, "DELETE FROM facts WHERE key = 'last_item'")

    def forget_provisional(self) -> None:
        """Take back what an earlier session decided before its turn. Blocks."""
        self._do("DELETE FROM sifted WHERE NOT final")

    def _do(self, *statements: str) -> None:
        with transaction(self._out, self.path):
            for statement in statements:
                self._out.execute(statement)

    def _write(self, group: Sequence[Row]) -> None:
        with transaction(self._out, self.path):
            for table, insert in INSERT.items():
                rows = [row.values for row in group if row.table == table]
                if rows:
                    self._out.executemany(insert, rows)

    def _written(self, group: Sequence[Row], error: StorageError | None) -> None:
        del group
        if error is not None and self._loop is not None and self._failed is not None:
            self._loop.call_soon_threadsafe(self._failed, error)

    def spent(self, session: str, spending: Spending) -> None:
        """Note what *session* has paid for so far."""
        self.fact(f"spent/{session}", json_codec.dumps(spending).decode())


def _is_dropped(review: Review | None) -> bool:
    return review is not None and review.decision == "drop"


def _judged(example: Example) -> tuple[str, int, float]:
    """Return the gaps of all rounds, how often the orders disagreed, and the first place's lead.

    The lead is in points, summed over rounds: what an answer gained by being shown first.
    """
    gaps = list[float]()
    flips = 0
    lead = 0.0
    for iteration in example.iterations:
        if iteration.judgements is None or iteration.gap is None:
            continue
        gaps.append(iteration.gap)
        first, second = (j.strong - j.target for j in iteration.judgements)
        flips += first * second < 0
        lead += (first - second) / 2
    return ",".join(map(str, gaps)), flips, lead
