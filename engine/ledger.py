"""Every item's fate, on disk: what a resumed run skips and what exports read.

Rows say what the flow decided about one item alone. What compares items with each other
(duplicates, copies of seeds, the first N) is worked out when it is read, in seed order, so that it
never depends on which item came first.

Knows records; neither stages nor models.
"""

import asyncio
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import anyio
import msgspec
from msgspec import Struct

from ..providers import wire
from .budget import Spending
from .duplicates import fingerprint
from .errors import ItemError
from .orders import Order, Outcome
from .records import Example, Metadata, Seed, Unreadable
from .storage import GroupWriter, StorageError, complaint, connect, transact

T = TypeVar("T")

VERSION = 2
"""Of the tables; raised whenever they change."""

SPAN = 1_000_000
"""Most instructions one metadata item can make: places are ``position * SPAN + number``."""

NO_END = 2**40
"""Beyond the last metadata item: no target is reached yet."""

NEVER_ASKED = ("no_quota", "reviewed")
"""Why a metadata item was to make nothing."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seeds (
    position INTEGER PRIMARY KEY, id TEXT, fate TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, passing INTEGER NOT NULL, print INTEGER, item INTEGER, metadata BLOB);
CREATE TABLE IF NOT EXISTS items (position INTEGER PRIMARY KEY, metadata BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    place INTEGER PRIMARY KEY, item INTEGER NOT NULL, count INTEGER NOT NULL,
    made INTEGER NOT NULL, done INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS examples (
    place INTEGER PRIMARY KEY, item INTEGER NOT NULL, id TEXT NOT NULL, fate TEXT NOT NULL,
    reason TEXT NOT NULL, passing INTEGER NOT NULL, print INTEGER NOT NULL,
    basic_print INTEGER NOT NULL, winner TEXT, iteration INTEGER NOT NULL, gap REAL,
    gaps TEXT NOT NULL, flips INTEGER NOT NULL, first_lead REAL NOT NULL);
CREATE TABLE IF NOT EXISTS stories (place INTEGER PRIMARY KEY, story BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sifted (
    place INTEGER PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT NULL, final INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS overlaps (
    place INTEGER NOT NULL, test TEXT NOT NULL, questions TEXT NOT NULL, PRIMARY KEY (place, test));
CREATE TABLE IF NOT EXISTS reviews (
    what TEXT NOT NULL, id TEXT NOT NULL, decision TEXT NOT NULL, comment TEXT NOT NULL,
    PRIMARY KEY (what, id));
CREATE TABLE IF NOT EXISTS barred (item INTEGER PRIMARY KEY);
CREATE VIEW IF NOT EXISTS bounds AS
    SELECT coalesce(min(CAST(value AS INTEGER)), {NO_END}) AS item
    FROM facts WHERE key = 'last_item';
CREATE VIEW IF NOT EXISTS originals AS
    SELECT print FROM seeds WHERE print IS NOT NULL AND position <= (SELECT item FROM bounds);
CREATE VIEW IF NOT EXISTS repeats AS SELECT place, reason, detail FROM sifted WHERE reason <> '';
CREATE VIEW IF NOT EXISTS reviewed AS
    SELECT id, comment FROM reviews WHERE what = 'examples' AND decision = 'drop';
CREATE VIEW IF NOT EXISTS unwanted AS
    SELECT print FROM examples WHERE id IN (SELECT id FROM reviewed);
CREATE VIEW IF NOT EXISTS kept AS
    SELECT min(place) AS place FROM examples
    WHERE fate = 'kept' AND item <= (SELECT item FROM bounds)
        AND item NOT IN (SELECT item FROM barred)
        AND print NOT IN (SELECT print FROM originals)
        AND print NOT IN (SELECT print FROM unwanted)
        AND place NOT IN (SELECT place FROM repeats)
    GROUP BY print;
"""

_INSERT = {
    "facts": "INSERT OR REPLACE INTO facts VALUES (?, ?)",
    "seeds": "INSERT OR REPLACE INTO seeds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "links": "UPDATE seeds SET item = ? WHERE position = ?",  # after the rows they change
    "items": "INSERT OR REPLACE INTO items VALUES (?, ?)",
    "orders": "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)",
    "examples": f"INSERT OR REPLACE INTO examples VALUES ({', '.join('?' * 14)})",
    "stories": "INSERT OR REPLACE INTO stories VALUES (?, ?)",
    "sifted": "INSERT OR REPLACE INTO sifted VALUES (?, ?, ?, ?)",
    "overlaps": "INSERT OR REPLACE INTO overlaps VALUES (?, ?, ?)",
    "reviews": "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?)",
    "barred": "INSERT OR REPLACE INTO barred VALUES (?)",
}

Subject = Literal["examples", "metadata"]
"""What a review is of."""


class _Round(Struct, frozen=True):
    instruction: str


class _Text(Struct, frozen=True):
    """As much of a story as its text takes: the rest is not decoded."""

    id: str
    basic_instruction: str
    iterations: tuple[_Round, ...] = ()

    @property
    def instruction(self) -> str:
        return self.iterations[-1].instruction if self.iterations else self.basic_instruction


_text = msgspec.json.Decoder(_Text)
_metadata = msgspec.json.Decoder(Metadata)
_example = msgspec.json.Decoder(Example)
_spending = msgspec.json.Decoder(Spending)


class Row(NamedTuple):
    """One insert into one table."""

    table: str
    values: tuple[Any, ...]


class Sifted(NamedTuple):
    """A row compared with those before it; ``reason`` is empty where it is new.

    One that is not ``final`` was decided before its turn and counts until the next session.
    """

    place: int
    reason: str
    detail: str
    final: bool


class Review(NamedTuple):
    """What a person says of an example or a metadata item, by its id."""

    id: str
    decision: Literal["keep", "drop"]
    comment: str


class Sums(Struct, frozen=True):
    """How many of a kind came to which end, and why; all of them sum to what came in."""

    came_in: int
    kept: int
    filtered: dict[str, int]
    failed: dict[str, int]
    unfinished: int = 0
    """Still to be done: the run was stopped, or a passing failure is to be tried again."""

    @property
    def add_up(self) -> bool:
        ended = self.kept + sum(self.filtered.values()) + sum(self.failed.values())
        return self.came_in == ended + self.unfinished


class Ledger:
    """The ledger of one run. Writing is for one process, reading for any number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = GroupWriter[Row]("codeclm-ledger", self._write, self._written)
        self._failed: Callable[[StorageError], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._chosen: tuple[int, int | None] | None = None

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
            raise complaint(self.path, error) from error
        if for_writing:
            self._writer.start()
        self._for_writing = for_writing
        return self

    def _make(self) -> None:
        """Make the tables of a new file; one of another version is left as it is."""
        if not self._out.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._out.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
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
            self._writer.close()
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
        self.put(Row("seeds", (*row, item, wire.dumps(metadata))))

    def seed_pooled(self, seed: Seed) -> None:
        """Note a seed that requests may show; `link` notes the first one that does."""
        row = (seed.position, seed.id, "pooled", "", "", 0, fingerprint(seed.instruction))
        self.put(Row("seeds", (*row, None, None)))

    def link(self, seed_position: int, item: int) -> None:
        """Note into which metadata item a seed went."""
        self.put(Row("links", (item, seed_position)))

    def seed_failed(self, seed: Seed, error: ItemError) -> None:
        row = (seed.position, seed.id, "failed", error.reason, _storable(error.detail))
        marks = (int(error.passing), fingerprint(seed.instruction), None, None)
        self.put(Row("seeds", (*row, *marks)))

    def seed_unreadable(self, record: Unreadable) -> None:
        detail = f"{record.where}: {record.reason}"
        row = (record.position, None, "failed", "unreadable_record", _storable(detail), 0)
        self.put(Row("seeds", (*row, None, None, None)))

    def items(self, items: Sequence[Metadata]) -> None:
        for item in items:
            self.put(Row("items", (item.position, wire.dumps(item))))

    def example(self, example: Example, *, passing: bool = False) -> None:
        place = example.position * SPAN + example.number
        row = (
            place,
            example.position,
            example.id,
            example.fate,
            example.reason,
            int(passing),
            fingerprint(example.instruction),
            fingerprint(example.basic_instruction),
            example.winner,
            len(example.iterations),
            example.gap,
            *_judged(example),
        )
        # Kept apart, so that counting need not read them; and first, because a group may end
        # between the two: whoever reads meanwhile finds no example without its story.
        self.put(Row("stories", (place, wire.dumps(example))))
        self.put(Row("examples", row))

    def order_done(self, order: Order, made: int) -> None:
        self._order(order, made, done=True)

    def order_unneeded(self, item: Metadata, reason: str = "no_quota") -> None:
        """Note that *item* has nothing to make: there are more metadata than rows wanted, say."""
        assert reason in NEVER_ASKED
        self._order(Order(item, 0), 0, done=True, reason=reason)

    def order_failed(self, order: Order, error: ItemError) -> None:
        self._order(
            order, 0, done=not error.passing, reason=error.reason, detail=_storable(error.detail)
        )

    def _order(
        self, order: Order, made: int, *, done: bool, reason: str = "", detail: str = ""
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
        self.put(Row("overlaps", (place, _storable(test), _storable(" ".join(questions)))))

    def bar(self, item: int) -> None:
        """Leave out what came of a metadata item that a reviewer dropped."""
        self.put(Row("barred", (item,)))

    def review(self, what: Subject, reviews: Sequence[Review]) -> None:
        """Note what people say; a later word on the same id counts. Blocks.

        Raises:
            StorageError: nothing of it was written.
        """
        rows = [(what, said.id, said.decision, _storable(said.comment)) for said in reviews]

        def work() -> None:
            self._out.executemany(_INSERT["reviews"], rows)
            if what == "metadata":
                said = self.reviews("metadata") | {review.id: review for review in reviews}
                found = [(n,) for n, m in self.metadata() if _is_dropped(said.get(m.id))]
                self._out.execute("DELETE FROM barred")
                self._out.execute(f"DELETE FROM orders WHERE reason IN {NEVER_ASKED}")
                self._out.executemany(_INSERT["barred"], found)

        transact(self._out, self.path, work)

    def fact(self, key: str, value: str) -> None:
        self.put(Row("facts", (key, value)))

    def forget(self) -> None:
        """Drop every row: the run starts anew, from the answers in the cache. Blocks."""
        kept = {"facts", "links", "reviews"}
        tables = (f"DELETE FROM {table}" for table in _INSERT.keys() - kept)
        self._do(*tables, "DELETE FROM facts WHERE key = 'last_item'")

    def forget_provisional(self) -> None:
        """Take back what an earlier session decided before its turn. Blocks."""
        self._do("DELETE FROM sifted WHERE NOT final")

    def _do(self, *statements: str) -> None:
        transact(self._out, self.path, lambda: list(map(self._out.execute, statements)))

    def _write(self, group: Sequence[Row]) -> None:
        def work() -> None:
            for table, insert in _INSERT.items():
                rows = [row.values for row in group if row.table == table]
                if rows:
                    self._out.executemany(insert, rows)

        transact(self._out, self.path, work)

    def _written(self, group: Sequence[Row], error: StorageError | None) -> None:
        del group
        if error is not None and self._loop is not None and self._failed is not None:
            self._loop.call_soon_threadsafe(self._failed, error)

    # -- reading ------------------------------------------------------------------------------

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._read_from.execute(query, values)
        except sqlite3.Error as error:
            raise complaint(self.path, error) from error

    def _one(self, query: str, *values: object) -> Any:
        for row in self._rows(query, *values):
            return row[0]
        return None

    def _decode(self, data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return wire.loads(data, decoder)
        except msgspec.MsgspecError as error:
            raise StorageError(
                f"{self.path}: a row in it is damaged ({error}): move the run's folder away and run"
                " again; answers already paid for are in the cache"
            ) from error

    def spent(self, session: str, spending: Spending) -> None:
        """Note what *session* has paid for so far."""
        self.fact(f"spent/{session}", wire.dumps(spending).decode())

    def spending(self) -> list[Spending]:
        """Return what each session has paid for."""
        rows = self._rows("SELECT value FROM facts WHERE key LIKE 'spent/%' ORDER BY key")
        return [wire.loads(value.encode(), _spending) for (value,) in rows]

    def finished_seeds(self) -> bytearray:
        """One byte per seed position, up to the last: 1 where nothing is left to do (streaming)."""
        finished = bytearray()
        # In one look at a file that is being written: no row comes between a bound and its use.
        for (position,) in self._rows(
            "SELECT position FROM seeds WHERE fate = 'failed' AND passing = 0"
            " UNION ALL SELECT item FROM orders WHERE done = 1"
        ):
            if position >= len(finished):
                finished.extend(bytes(position + 1 - len(finished)))
            finished[position] = 1
        return finished

    def encoded(self) -> dict[int, Metadata]:
        """Metadata of the seeds that were encoded, by the seed's position."""
        rows = self._rows("SELECT position, metadata FROM seeds WHERE metadata IS NOT NULL")
        return {position: self._decode(data, _metadata) for position, data in rows}

    def failed_seeds(self) -> set[int]:
        """Positions of seeds that failed for good."""
        return {
            row[0]
            for row in self._rows(
                "SELECT position FROM seeds WHERE fate = 'failed' AND passing = 0"
            )
        }

    def outcomes(self, per_draft: int = 1) -> dict[int, Outcome]:
        """What finished orders came to, by place; *per_draft* examples of each instruction."""
        made: dict[int, list[tuple[int, str, int, int]]] = {}
        for item, place, fate, mark, basic in self._rows(
            f"SELECT item, place, CASE WHEN {_WANTED} THEN fate ELSE 'reviewed' END, print,"
            " basic_print FROM examples e ORDER BY place"
        ):
            made.setdefault(item, []).append((place, fate, mark, basic))
        found: dict[int, Outcome] = {}
        for place, item, count, number in self._rows(
            "SELECT place, item, count, made FROM orders WHERE done = 1"
        ):
            first = item * SPAN + place % SPAN * per_draft
            behind = first + count * per_draft
            inside = [row for row in made.get(item, ()) if first <= row[0] < behind]
            found[place] = Outcome(
                number,
                tuple((row[0] % SPAN, row[2]) for row in inside if row[1] == "kept"),
                tuple(row[3] for row in inside),
                count,
            )
        return found

    def prefix(self) -> Iterator[tuple[int, int, tuple[tuple[int, int], ...], int | None]]:
        """Yield what finished seeds, and orders behind the last seed, came to, in order.

        Position, instructions made, number and fingerprint of those kept, and the seed's own
        fingerprint.
        """
        for position, made, kept, mark in self._rows(
            f"SELECT p.position, coalesce(o.made, 0), group_concat((e.place % {SPAN}) || ' ' ||"
            " e.print), s.print"
            " FROM (SELECT position FROM seeds UNION SELECT item FROM orders) p"
            " LEFT JOIN seeds s ON s.position = p.position"
            " LEFT JOIN orders o ON o.item = p.position AND o.done = 1"
            " LEFT JOIN examples e ON e.item = p.position AND e.fate = 'kept'"
            f" AND {_WANTED}"
            " WHERE o.done = 1 OR (s.fate = 'failed' AND s.passing = 0)"
            " GROUP BY p.position ORDER BY p.position"
        ):
            yield position, made, _pairs(kept or ""), mark

    def sifted(self) -> "tuple[array[int], set[int]]":
        """Return the places decided for good, sorted, and those of them that repeat others."""
        rows = self._rows("SELECT place FROM sifted WHERE final ORDER BY place")
        dropped = self._rows("SELECT place FROM repeats")
        return array("q", (place for (place,) in rows)), {place for (place,) in dropped}

    def kept_texts(self) -> Iterator[tuple[int, str, str]]:
        """Yield place, id and instruction of what the flow kept, in seed order."""
        for place, story in self._rows(
            "SELECT place, story FROM examples JOIN stories USING (place)"
            " WHERE fate = 'kept' ORDER BY place"
        ):
            said = self._decode(story, _text)
            yield place, said.id, said.instruction

    def unwanted(self) -> set[int]:
        """Return fingerprints that no further row may have: a reviewer dropped such a row."""
        return {mark for (mark,) in self._rows("SELECT print FROM unwanted")}

    def kept(self, most: int | None = None) -> Iterator[Example]:
        """Yield the dataset: what was kept, none twice, in seed order, at most the first *most*."""
        # Places are sorted alone: as a join SQLite would sort the stories with them.
        for (story,) in self._rows(
            "SELECT (SELECT story FROM stories s WHERE s.place = k.place)"
            " FROM (SELECT place FROM kept ORDER BY place LIMIT ?) k",
            _bound(most),
        ):
            yield self._decode(story, _example)

    def _choose(self, most: int | None) -> None:
        """Put the dataset's places into the table ``chosen``, unless they are there as of now.

        To work them out takes seconds for a million rows, and every count needs them.
        """
        state = self._one("PRAGMA data_version"), most
        if state == self._chosen:
            return
        self._chosen = None
        connection = self._read_from
        try:
            connection.execute("PRAGMA query_only=0")  # the table is this connection's alone
            connection.execute("DROP TABLE IF EXISTS temp.chosen")
            connection.execute("CREATE TEMP TABLE chosen (place INTEGER PRIMARY KEY)")
            connection.execute(
                "INSERT INTO chosen SELECT place FROM kept ORDER BY place LIMIT ?", (_bound(most),)
            )
            connection.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise complaint(self.path, error) from error
        self._chosen = state

    def find(self, name: str) -> list[Example]:
        """Return the examples whose id begins with *name*."""
        rows = self._rows(
            f"SELECT story, {_DROPPED}, coalesce((SELECT detail FROM repeats r WHERE r.place ="
            "  e.place), (SELECT comment FROM reviewed v WHERE v.id = e.id), '')"
            " FROM examples e JOIN stories USING (place) WHERE substr(id, 1, ?) = ?",
            len(name),
            name,
        )
        return [
            _overruled(self._decode(story, _example), reason, detail)
            for story, reason, detail in rows
        ]

    def stories(self) -> Iterator[Example]:
        """Yield every instruction, whatever its fate, in seed order."""
        for (story,) in self._rows("SELECT story FROM stories ORDER BY place"):
            yield self._decode(story, _example)

    def overlaps(self, most: int | None = None) -> Iterator[tuple[str, str, bool]]:
        """Yield test set, id, and whether it is a row, of what overlaps with a test set."""
        self._choose(most)
        rows = self._rows(
            "SELECT test, id, place IN (SELECT place FROM chosen)"
            " FROM overlaps JOIN examples USING (place)"
            " WHERE reason = 'contaminated' OR place IN (SELECT place FROM chosen)"
            " ORDER BY test, place"
        )
        return ((test, name, bool(chosen)) for test, name, chosen in rows)

    def ids(self) -> Iterator[str]:
        """Yield the id of every instruction."""
        return (name for (name,) in self._rows("SELECT id FROM examples"))

    def metadata(self) -> Iterator[tuple[int, Metadata]]:
        """Yield the metadata items that instructions are made from, by their positions."""
        for item, data in self._rows(
            "SELECT position, metadata FROM items UNION ALL"
            " SELECT item, metadata FROM seeds WHERE item IS NOT NULL AND metadata IS NOT NULL"
            "  AND NOT EXISTS (SELECT 1 FROM items) ORDER BY 1"
        ):
            yield item, self._decode(data, _metadata)

    def reviews(self, what: Subject) -> dict[str, Review]:
        """Return what people have said, by id."""
        rows = self._rows("SELECT id, decision, comment FROM reviews WHERE what = ?", what)
        return {row[0]: Review(*row) for row in rows}

    def seed_position(self, seed_id: str) -> int | None:
        """Return where the seed *seed_id* first stands in the seed files."""
        position: int | None = self._one("SELECT min(position) FROM seeds WHERE id = ?", seed_id)
        return position

    def seed_sums(self, most: int | None = None) -> Sums:
        """Count the fates of seeds: kept means that at least one instruction from it was.

        Where seeds are only shown to the model, what counts is the first request that showed it.
        """
        self._choose(most)
        rows = self._rows(
            f"WITH {_LAST}, rich AS (SELECT DISTINCT place / {SPAN} AS item FROM chosen),"
            " poor AS (SELECT item, max(done) AS done, max(made) AS made, max(reason) AS reason"
            "  FROM orders GROUP BY item)"
            " SELECT CASE WHEN s.fate = 'failed' AND NOT s.passing THEN 'failed'"
            "  WHEN s.item IN (SELECT item FROM rich) THEN 'kept'"
            f"  WHEN o.reason IN {NEVER_ASKED} THEN 'filtered'"
            "  WHEN o.done AND o.made = 0 THEN 'failed'"
            "  WHEN s.fate = 'pooled' AND s.item IS NULL THEN 'filtered'"
            f"  WHEN coalesce(s.item, s.position) > (SELECT place / {SPAN} FROM last)"
            "   THEN 'filtered'"
            "  WHEN s.fate = 'failed' OR coalesce(o.done, 0) = 0 THEN 'unfinished'"
            "  ELSE 'filtered' END AS ending,"
            " CASE WHEN s.fate = 'failed' AND NOT s.passing THEN s.reason"
            "  WHEN o.done AND o.made = 0 THEN o.reason"
            "  WHEN s.fate = 'pooled' AND s.item IS NULL THEN 'never_shown'"
            f"  WHEN coalesce(s.item, s.position) > (SELECT place / {SPAN} FROM last)"
            "   THEN 'beyond_target'"
            "  ELSE 'no_instruction_kept' END, count(*)"
            " FROM seeds s LEFT JOIN poor o ON o.item = s.item GROUP BY 1, 2",
            _bound(most),
        )
        return _sums(rows)

    def example_sums(self, most: int | None = None) -> Sums:
        """Count the fates of instructions."""
        self._choose(most)
        rows = self._rows(
            f"WITH {_LAST} SELECT CASE WHEN fate = 'failed' AND passing THEN"
            "   CASE WHEN place > (SELECT place FROM last) THEN 'filtered' ELSE 'unfinished' END"
            "  WHEN fate <> 'kept' THEN fate"
            "  WHEN place IN (SELECT place FROM chosen) THEN 'kept' ELSE 'filtered' END,"
            " CASE WHEN fate = 'failed' AND passing THEN 'beyond_target'"
            "  WHEN fate <> 'kept' THEN reason"
            "  WHEN place IN (SELECT place FROM chosen) THEN reason"
            f"  ELSE coalesce({_DROPPED}, 'beyond_target') END, count(*) FROM examples e"
            " GROUP BY 1, 2",
            _bound(most),
        )
        return _sums(rows)

    def kept_by(self, column: str, most: int | None = None) -> dict[Any, int]:
        """Count the dataset's rows by ``winner``, ``iteration`` or ``reason``."""
        assert column in {"winner", "iteration", "reason"}
        self._choose(most)
        return dict(
            self._rows(
                f"SELECT {column}, count(*) FROM examples"
                " JOIN chosen USING (place) GROUP BY 1 ORDER BY 1"
            )
        )

    def predicted_calls(self, chunk: int) -> int:
        """What the ledger's counts say a run takes without retries (spec §3.7).

        One call for each encoded seed, two for each metadata item (decode and rubrics; a decode
        call more for each top-up), four for each scored round and one for each rewrite.
        """
        encoded = self._one("SELECT count(*) FROM seeds WHERE fate = 'encoded'")
        orders = self._one(
            "SELECT coalesce(sum((count + ?1 - 1) / ?1), 0) FROM orders WHERE made > 0", chunk
        )
        items = self._one("SELECT count(DISTINCT item) FROM orders WHERE made > 0")
        rounds, rewrites = next(
            self._rows(
                "SELECT coalesce(sum(length(gaps) - length(replace(gaps, ',', '')) + 1), 0),"
                " coalesce(sum(iteration - 1), 0) FROM examples WHERE gaps <> ''"
            )
        )
        return int(encoded + orders + items + 4 * rounds + rewrites)

    def gaps(self) -> Iterator[tuple[int, list[float], int, float]]:
        """Yield each instruction's first scored round, the gaps from there, flips and the lead."""
        for last, gaps, flips, lead in self._rows(
            "SELECT iteration, gaps, flips, first_lead FROM examples WHERE gaps <> ''"
        ):
            scored = [float(gap) for gap in gaps.split(",")]
            yield last - len(scored) + 1, scored, flips, lead

    def failed(self, most: int = 20) -> list[tuple[Any, ...]]:
        """Return (what, reason, detail) of items that failed, seeds first."""
        return list(
            self._rows(
                "SELECT * FROM (SELECT 'seed ' || position, reason, detail FROM seeds"
                " WHERE fate = 'failed' ORDER BY position LIMIT ?1)"
                " UNION ALL SELECT * FROM (SELECT 'metadata ' || item, reason, detail FROM orders"
                f" WHERE reason NOT IN {('', *NEVER_ASKED)} ORDER BY place LIMIT ?1)"
                " UNION ALL SELECT * FROM (SELECT 'instruction ' || id, reason, ''"
                " FROM examples WHERE fate = 'failed' ORDER BY place LIMIT ?1) LIMIT ?1",
                most,
            )
        )


# Of examples `e`: whether no reviewer is against it, and why a kept one is no row.
_WANTED = "e.item NOT IN (SELECT item FROM barred) AND e.print NOT IN (SELECT print FROM unwanted)"
_DROPPED = (
    "CASE WHEN e.fate <> 'kept' THEN NULL"
    " WHEN e.item > (SELECT item FROM bounds) THEN 'beyond_target'"
    " WHEN e.id IN (SELECT id FROM reviewed) OR e.item IN (SELECT item FROM barred)"
    "  THEN 'reviewed'"
    " WHEN e.print IN (SELECT print FROM originals) THEN 'copy_of_a_seed'"
    " WHEN e.place IN (SELECT place FROM repeats)"
    "  THEN (SELECT r.reason FROM repeats r WHERE r.place = e.place)"
    " WHEN e.place NOT IN (SELECT place FROM kept) THEN 'duplicate' END"
)
# The target's last row, once it is there. What was begun behind it is left as it is: no resume
# takes it up again. With a fixed set of metadata nothing is behind: every order is settled.
_LAST = (
    f"last AS (SELECT min(place) AS place FROM (SELECT item * {SPAN} + {SPAN - 1} AS place"
    " FROM bounds UNION ALL SELECT max(place) FROM chosen"
    " WHERE (SELECT count(*) FROM chosen) = ?1 AND NOT EXISTS (SELECT 1 FROM items)))"
)


def _bound(most: int | None) -> int:
    return -1 if most is None else most


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``number print`` pairs with commas between them."""
    pairs = (pair.split() for pair in text.split(",") if pair)
    return tuple(sorted((int(number), int(mark)) for number, mark in pairs))


def _is_dropped(review: Review | None) -> bool:
    return review is not None and review.decision == "drop"


def _overruled(example: Example, reason: str | None, detail: str) -> Example:
    """Give *example* the fate it has among the others."""
    if reason is None:
        return example
    return msgspec.structs.replace(example, fate="filtered", reason=reason, detail=detail)


def _sums(rows: Iterator[tuple[Any, ...]]) -> Sums:
    kept = unfinished = came_in = 0
    reasons: dict[str, dict[str, int]] = {"filtered": {}, "failed": {}}
    for ending, reason, count in rows:
        came_in += count
        if ending == "kept":
            kept += count
        elif ending == "unfinished":
            unfinished += count
        else:
            reasons[ending][reason] = reasons[ending].get(reason, 0) + count
    return Sums(came_in, kept, reasons["filtered"], reasons["failed"], unfinished)


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


def _storable(text: str) -> str:
    """SQLite's text is UTF-8, which cannot hold lone surrogates: write them as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
