"""The ledger of a session: every item's fate, on disk in the order in which it was decided.

A row holds what was decided about one item alone. Whatever compares items (duplicates, copies of
seeds, the first N rows) is computed on reading, in seed order, so that it never depends on which
item finished first.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from ...providers import json_codec
from ..calls.spending import Spending
from ..data.errors import ItemError
from ..data.records import Example, InstructionRequest, Metadata, Seed, Unreadable
from ..data.text.fingerprint import fingerprint
from ..disk.sqlite import GroupWriter, StorageError, connect, storage_error, transaction
from .coverage import SelectedSeeds
from .reader import LedgerReader
from .schema import (
    INSERT,
    NEVER_REQUESTED,
    NO_LAST_ITEM,
    SCHEMA,
    VERSION,
    NearDuplicateDecision,
    Review,
    Row,
    Subject,
    row_index,
    storable,
)

_MAX_WAITING = 4096
"""Queued rows from which `room` makes the pipeline wait."""


class LedgerWriter:
    """A run's ledger, open for the one process that works on the run.

    Rows are queued and written in groups by a thread; `failure` returns when that fails. After a
    failed group none is written: the ledger always holds a prefix of what was decided.

    Attributes:
        reader: The same ledger, for reading. It sees what has been written, not what is queued.
    """

    def __init__(self, path: Path) -> None:
        """Open the ledger at *path*, creating it if it is missing. Blocks.

        Raises:
            LedgerError: the file is not a ledger, or of another version.
            StorageError: it cannot be opened or written.
        """
        self.path = path
        self._error: StorageError | None = None
        self._error_reported = False
        self._failed = Future[StorageError]()
        with ExitStack() as stack:
            self._connection = stack.enter_context(closing(connect(path)))
            _create_tables(self._connection, path)
            self.reader = stack.enter_context(LedgerReader(path))
            self._writer = stack.enter_context(
                GroupWriter[Row]("codeclm-ledger", self._write, self._on_commit)
            )
            self._resources = stack.pop_all()

    async def failure(self) -> StorageError:
        """Wait until rows cannot be written, and return the error."""
        error = await asyncio.wrap_future(self._failed)
        self._error_reported = True
        return error

    def close(self) -> None:
        """Write what is queued. Blocks.

        Raises:
            StorageError: rows could not be written, and nobody has been told by `failure`.
        """
        self._resources.close()
        if self._error is not None and not self._error_reported:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- the fates of items -------------------------------------------------------------------

    async def room(self) -> None:
        """Wait while too many rows are queued, so that a slow disk slows the pipeline down."""
        while self._writer.waiting > _MAX_WAITING:  # noqa: ASYNC110  (the writer is a thread)
            await anyio.sleep(0.005)

    async def flush(self) -> None:
        """Wait until what is queued has been written, or cannot be."""
        while self._writer.waiting and self._error is None:  # noqa: ASYNC110  (as in `room`)
            await anyio.sleep(0.001)

    def seed_encoded(self, seed: Seed, metadata: Metadata, *, item: int | None) -> None:
        """Record *seed*'s metadata and its *item*: None if `seed_linked` follows."""
        row = (seed.position, seed.id, "encoded", "", "", 0, fingerprint(seed.instruction))
        self._put("seeds", *row, item, json_codec.dumps(metadata), storable(seed.stratum))

    def seed_pooled(self, seed: Seed) -> None:
        """Record a seed that requests may show; `seed_linked` records the first that does."""
        row = (seed.position, seed.id, "pooled", "", "", 0, fingerprint(seed.instruction))
        self._put("seeds", *row, None, None, storable(seed.stratum))

    def seed_linked(self, seed_position: int, item: int) -> None:
        """Record the metadata item, or request, that a seed went into."""
        self._put("links", item, seed_position)

    def seed_failed(self, seed: Seed, error: ItemError) -> None:
        row = (seed.position, seed.id, "failed", error.reason, storable(error.detail))
        values = (int(error.transient), fingerprint(seed.instruction), None, None)
        self._put("seeds", *row, *values, storable(seed.stratum))

    def seed_unreadable(self, record: Unreadable) -> None:
        detail = storable(f"{record.where}: {record.reason}")
        row = (record.position, None, "failed", "unreadable_record", detail, 0)
        self._put("seeds", *row, None, None, None, "")

    def metadata_fixed(self, items: Iterable[Metadata]) -> None:
        """Record the metadata that instructions are made from, where seeds are not their own."""
        for item in items:
            self._put("items", item.position, json_codec.dumps(item))

    def item_excluded(self, position: int) -> None:
        """Exclude rows of the metadata item at *position*: a reviewer dropped it."""
        self._put("excluded_items", position)

    def request_written(
        self, request: InstructionRequest, examples: int, rows_per_draft: int
    ) -> None:
        """Record that so many *examples* of *request* are under way, until it is done."""
        first = row_index(request.metadata.position, request.start * rows_per_draft)
        self._request(request, examples, done=False, first_example=first)

    def request_done(self, request: InstructionRequest, instructions: int) -> None:
        self._request(request, instructions, done=True)

    def request_unneeded(self, item: Metadata, reason: str = "no_quota") -> None:
        """Record that nothing is requested of *item*."""
        assert reason in NEVER_REQUESTED
        self._request(InstructionRequest(item, 0), 0, done=True, reason=reason)

    def request_failed(self, request: InstructionRequest, error: ItemError) -> None:
        detail = storable(error.detail)
        self._request(request, 0, done=not error.transient, reason=error.reason, detail=detail)

    def _request(
        self,
        request: InstructionRequest,
        instructions: int,
        *,
        done: bool,
        reason: str = "",
        detail: str = "",
        first_example: int | None = None,
    ) -> None:
        item = request.metadata.position
        row = (row_index(item, request.start), item, request.count, instructions, int(done))
        self._put("requests", *row, reason, detail, first_example)

    def example_finished(self, example: Example, *, transient: bool = False) -> None:
        """Record *example* and its fate; if it is *transient*, the next session tries again."""
        index = row_index(example.position, example.number)
        # In a table of its own, so that counting need not read it; and first, since a group may
        # end between the two: no reader ever finds an example without its transcript.
        self._put("transcripts", index, json_codec.dumps(example))
        self._put(
            "examples",
            index,
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
            *_scores(example),
            int(example.response is not None and example.response.refuses),
        )

    def near_duplicates_decided(self, decisions: Iterable[NearDuplicateDecision]) -> None:
        """Record which rows are near-duplicates, in the order of the decisions."""
        for decision in decisions:
            self._put("near_duplicate_decisions", *decision)

    def overlap_found(self, example: Example, test_set: str, questions: Iterable[str]) -> None:
        """Record the questions of *test_set* that *example* shares words with."""
        index = row_index(example.position, example.number)
        self._put("overlaps", index, storable(test_set), storable(" ".join(questions)))

    def dataset_ends(self, position: int = NO_LAST_ITEM) -> None:
        """Record the last metadata item whose rows count; later ones are beyond the target."""
        self._put("facts", "last_item", str(position))

    def seeds_selected(self, selection: SelectedSeeds) -> None:
        """Record which seeds the run uses."""
        self._put("facts", "selection", json_codec.dumps(selection).decode())

    def seeds_dealt(self, count: int) -> None:
        """Record how many seeds are to be begun: those that have a share of the rows."""
        self._put("facts", "dealt", str(count))

    def granted(self, grants: Sequence[tuple[int, int, int]]) -> None:
        """Record what is asked in place of what seeds could not deliver: position, start, count.

        In one row, so that a killed process leaves all of it or nothing.
        """
        position, start, _ = grants[0]
        self._put("facts", f"grants/{position}/{start}", json_codec.dumps(grants).decode())

    def spent(self, session: str, spending: Spending) -> None:
        """Record what *session* has spent so far."""
        self._put("facts", f"spent/{session}", json_codec.dumps(spending).decode())

    def _put(self, table: str, *values: Any) -> None:
        self._writer.put(Row(table, values))

    # -- written at once ----------------------------------------------------------------------

    def begin_session(self, name: str, before: Mapping[str, Spending]) -> None:
        """Record the accounts of the sessions *before*, and open that of session *name*. Blocks.

        The name must be on disk before the first call, or what a killed session paid for would be
        charged to a session that nobody knows.

        Raises:
            StorageError: nothing was written.
        """
        accounts = {**before, name: Spending()}
        rows = [
            (f"spent/{session}", json_codec.dumps(spending).decode())
            for session, spending in accounts.items()
        ]
        with transaction(self._connection, self.path):
            self._connection.executemany(INSERT["facts"], rows)

    def record_reviews(self, subject: Subject, reviews: Sequence[Review]) -> None:
        """Record reviewers' decisions; a later one about the same id replaces it. Blocks.

        Raises:
            StorageError: nothing was written.
        """
        rows = [(subject, r.id, r.decision, storable(r.comment)) for r in reviews]
        with transaction(self._connection, self.path):
            self._connection.executemany(INSERT["reviews"], rows)
            if subject == "metadata":
                self._exclude_items(reviews)

    def _exclude_items(self, reviews: Sequence[Review]) -> None:
        """Exclude the metadata items that are dropped now; the others may be requested again."""
        decided = self.reader.reviews("metadata") | {review.id: review for review in reviews}
        dropped = {review.id for review in decided.values() if review.decision == "drop"}
        excluded = [(n,) for n, metadata in self.reader.metadata() if metadata.id in dropped]
        self._connection.execute("DELETE FROM excluded_items")
        self._connection.execute(f"DELETE FROM requests WHERE reason IN {NEVER_REQUESTED}")
        self._connection.executemany(INSERT["excluded_items"], excluded)

    def clear(self) -> None:
        """Delete every item, so that the run starts anew from the cache's answers. Blocks.

        What sessions paid for and what reviewers decided is kept.
        """
        tables = INSERT.keys() - {"facts", "links", "reviews"}
        self._execute(
            *(f"DELETE FROM {table}" for table in sorted(tables)),
            "DELETE FROM facts WHERE key = 'last_item' OR key LIKE 'grants/%'",
        )

    def clear_provisional_decisions(self) -> None:
        """Delete the decisions that an earlier session made before their turn. Blocks."""
        self._execute("DELETE FROM near_duplicate_decisions WHERE NOT final")

    def _execute(self, *statements: str) -> None:
        with transaction(self._connection, self.path):
            for statement in statements:
                self._connection.execute(statement)

    # -- in the writer's thread ---------------------------------------------------------------

    def _write(self, group: Sequence[Row]) -> None:
        if self._error is not None:  # what follows would count rows that were lost
            raise self._error
        with transaction(self._connection, self.path):
            for table, insert in INSERT.items():
                rows = [row.values for row in group if row.table == table]
                if rows:
                    self._connection.executemany(insert, rows)

    def _on_commit(self, group: Sequence[Row], error: StorageError | None) -> None:
        del group
        if error is not None and self._error is None:
            self._error = error
            with suppress(InvalidStateError):  # nobody waits for it any more
                self._failed.set_result(error)


def _create_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new file; another file is left as it is."""
    try:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            )
    except sqlite3.Error as error:
        raise storage_error(path, error) from error


def _scores(example: Example) -> tuple[str, str]:
    """Return the gaps of all scored rounds, and their four scores.

    These are the strong and the target model's, with the strong answer first, then second. Four of
    each judge follow, by name, where there are several.
    """
    gaps, scores = list[str](), list[str]()
    for iteration in example.iterations:
        if iteration.judgements is not None and iteration.gap is not None:
            gaps.append(str(iteration.gap))
            there, back = iteration.judgements
            points = [there.strong, there.target, back.strong, back.target]
            for name in sorted(there.by_judge):
                points += [*there.by_judge[name], *back.by_judge[name]]
            scores.append(" ".join(map(str, points)))
    return ",".join(gaps), ",".join(scores)
