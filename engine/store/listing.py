"""All that became of a run, page by page: rows, dropped instructions, and what failed before.

An entry is an instruction, whatever its fate, or a seed or a request for instructions that failed
and left none. Entries are in the dataset's order and are read by their key, so that a page costs
the same wherever it is.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

from ..data.records import Example, Fate, Iteration, Winner
from .reader import LedgerReader, limit
from .schema import DROP_REASON, NEVER_REQUESTED, ROWS_PER_ITEM
from .totals import LAST_ROW, count_dataset

Kind = Literal["seed", "request", "instruction"]
"""What an entry is."""

EntryFate = Literal["kept", "filtered", "failed", "unfinished"]

FATES: tuple[EntryFate, ...] = get_args(EntryFate)

SEARCHED_AT_ONCE = 5_000
"""Entries whose texts one search reads before it hands out what matches: some 0.3 s."""


Key = Annotated[int, Meta(ge=-1, le=2**53 - 1)]
"""Of an entry; -1 is before all of them."""


class Entry(Struct, frozen=True):
    """A line of the listing.

    Attributes:
        key: puts entries in the dataset's order; below 2⁵³, so that JavaScript can hold it.
        id: the example's, the seed's, or the metadata item's position.
        round: the last round of an instruction; None for what failed before.
        stage: where a failed entry failed, if that is recorded.
        text: the beginning of the instruction, or why there is none.
    """

    key: int
    kind: Kind
    id: str
    fate: EntryFate
    reason: str
    winner: Winner | None
    round: int | None
    gap: float | None
    stage: str
    use_case: str
    text: str


class Filters(Struct, frozen=True):
    """Which entries to list; None and empty mean all.

    Attributes:
        search: text of the instruction, an answer, the use case, the skills or the id, in any case.
    """

    search: str = ""
    fate: EntryFate | None = None
    reason: str | None = None
    winner: Winner | None = None
    min_gap: float | None = None
    max_gap: float | None = None
    round: Annotated[int, Meta(ge=0, le=1000)] | None = None
    use_case: str | None = None
    stage: str | None = None


class Page(Struct, frozen=True):
    """Some entries.

    Attributes:
        after: where the next page begins; None if there are no more entries.
        read: how many entries were read to find these.
    """

    entries: tuple[Entry, ...]
    after: int | None
    read: int


class Flow(NamedTuple):
    """How many entries of one kind ended in one round with one fate."""

    kind: Kind
    round: int | None
    fate: EntryFate
    reason: str
    entries: int


Column = Literal["fate", "reason", "winner", "round", "use_case", "stage"]
COLUMNS: tuple[Column, ...] = get_args(Column)

_COLUMNS = (
    "key INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, fate TEXT NOT NULL,"
    " reason TEXT NOT NULL, winner TEXT, round INTEGER, gap REAL, stage TEXT NOT NULL,"
    " use_case TEXT NOT NULL, detail TEXT NOT NULL"
)
_KEYS_PER_ROW = 4
"""An instruction's key leaves room before it for its seed and its request."""

_FATE = (
    "CASE WHEN e.fate = 'failed' AND e.transient THEN"
    "   CASE WHEN e.row_index > (SELECT row_index FROM last) THEN 'filtered'"
    "    ELSE 'unfinished' END"
    "  WHEN e.fate <> 'kept' THEN e.fate"
    "  WHEN e.row_index IN (SELECT row_index FROM dataset) THEN 'kept' ELSE 'filtered' END"
)
_REASON = (
    "CASE WHEN e.fate = 'failed' AND e.transient"
    "   AND e.row_index > (SELECT row_index FROM last) THEN 'beyond_target'"
    "  WHEN e.fate <> 'kept' OR e.row_index IN (SELECT row_index FROM dataset) THEN e.reason"
    f"  ELSE coalesce({DROP_REASON}, 'beyond_target') END"
)
_DETAIL = "json_extract(CAST(t.example AS TEXT), '$.detail')"
_STAGE_OF = "CASE WHEN instr({0}, ': ') > 0 THEN substr({0}, 1, instr({0}, ': ') - 1) ELSE '' END"
"""SQL: the stage that the detail of a failure names."""

_USE_CASE = "coalesce((SELECT u.use_case FROM use_cases u WHERE u.item = {}), '')"


class Listing:
    """The entries of a ledger as they were when the listing was made.

    Making one takes some five seconds for a million instructions; it lies in a temporary file.
    """

    def __init__(self, ledger: LedgerReader, target_rows: int | None) -> None:
        """List the entries of *ledger*, whose first *target_rows* rows are the dataset. Blocks.

        Raises:
            StorageError: the ledger cannot be read.
        """
        self._ledger = ledger
        self._connection = ledger.connection
        with count_dataset(ledger, target_rows):
            self._make_use_cases()
            self._connection.materialise("listing", _QUERY, limit(target_rows), columns=_COLUMNS)
        self.count = int(self._connection.value("SELECT count(*) FROM listing"))
        self.instructions = int(
            self._connection.value("SELECT count(*) FROM listing WHERE kind = 'instruction'")
        )

    def _make_use_cases(self) -> None:
        text = "json_extract(CAST(metadata AS TEXT), '$.use_case')"
        self._connection.materialise(
            "use_cases",
            f"SELECT position, coalesce({text}, '') FROM items"
            f" UNION ALL SELECT item, max(coalesce({text}, '')) FROM seeds"
            "  WHERE item IS NOT NULL AND metadata IS NOT NULL"
            "   AND NOT EXISTS (SELECT 1 FROM items) GROUP BY item",
            columns="item INTEGER PRIMARY KEY, use_case TEXT NOT NULL",
        )

    # -- pages ----------------------------------------------------------------------------------

    def page(
        self,
        filters: Filters,
        *,
        after: int = -1,
        size: int = 50,
        searched: int = SEARCHED_AT_ONCE,
    ) -> Page:
        """Return the next entries that pass *filters*, at most *size*.

        Args:
            filters: which entries.
            after: the key behind which the page begins.
            size: the most entries to return.
            searched: the most entries whose texts are read: after a search the page may be short,
                even empty, and yet not the last.

        Raises:
            StorageError: the ledger cannot be read.
        """
        most = searched if filters.search else size
        condition, values = _condition(filters)
        entries, count, last = list[Entry](), 0, after
        query = f"key > ? AND {condition} ORDER BY key LIMIT ?"
        for row in self._rows(query, after, *values, most):
            count, last = count + 1, row.key
            if not filters.search or self._matches(row, filters.search):
                entries.append(self._entry(row))
                if len(entries) == size:
                    break
        is_last = count < most and len(entries) < size
        return Page(tuple(entries), None if is_last else last, count)

    def sample(self, count: int, *, instructions: bool = False) -> Iterator[Entry]:
        """Yield *count* entries, spread evenly over all of them; all if there are no more.

        Args:
            count: how many.
            instructions: whether to leave out what failed before there was an instruction.
        """
        kind = "kind = 'instruction'" if instructions else "1"
        total = self.instructions if instructions else self.count
        for row in self._rows(
            f"key IN (SELECT key FROM (SELECT key, row_number() OVER (ORDER BY key) AS n"
            f"  FROM listing WHERE {kind}) WHERE n * ?1 / ?2 > (n - 1) * ?1 / ?2) ORDER BY key",
            min(count, total),
            max(1, total),
        ):
            yield self._entry(row)

    def entry(self, key: int) -> Entry | None:
        """Return the entry with *key*; None if there is none."""
        return next((self._entry(row) for row in self._rows("key = ?", key)), None)

    def detail(self, key: int) -> str:
        """Return the sentence that explains the fate of the entry with *key*."""
        return str(self._connection.value("SELECT detail FROM listing WHERE key = ?", key) or "")

    def example(self, entry: Entry) -> Example | None:
        """Return the instruction's history, with its fate in the dataset."""
        data = self._data(entry.key) if entry.kind == "instruction" else None
        if data is None:
            return None
        example = self._connection.decode(data, _example)
        fate: Fate = "failed" if entry.fate == "unfinished" else entry.fate
        detail = self._drop_detail(entry) or example.detail
        return msgspec.structs.replace(example, fate=fate, reason=entry.reason, detail=detail)

    def _drop_detail(self, entry: Entry) -> str | None:
        detail: str | None = self._connection.value(
            "SELECT coalesce((SELECT detail FROM near_duplicates WHERE row_index = ?1),"
            " (SELECT comment FROM dropped_reviews WHERE id = ?2))",
            entry.key // _KEYS_PER_ROW,
            entry.id,
        )
        return detail

    # -- counts ---------------------------------------------------------------------------------

    def choices(self, column: Column, most: int = 200) -> dict[str, int]:
        """Return the values of *column* with the number of their entries, the frequent first."""
        return {
            str(value): count
            for value, count in self._connection.rows(
                f"SELECT {column}, count(*) FROM listing WHERE coalesce({column}, '') <> ''"
                " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
                most,
            )
        }

    def flows(self) -> list[Flow]:
        """Return how many entries took each way from seed to fate."""
        rows = self._connection.rows(
            "SELECT kind, round, fate, reason, count(*) FROM listing GROUP BY 1, 2, 3, 4"
            " ORDER BY 1, 2, 5 DESC"
        )
        return [Flow(*row) for row in rows]

    # -- reading --------------------------------------------------------------------------------

    def _rows(self, condition: str, *values: object) -> Iterator["_Row"]:
        rows = self._connection.rows(f"SELECT * FROM listing WHERE {condition}", *values)
        return (_Row(*row) for row in rows)

    def _data(self, key: int) -> bytes | None:
        data: bytes | None = self._connection.value(
            "SELECT example FROM transcripts WHERE row_index = ?", key // _KEYS_PER_ROW
        )
        return data

    def _entry(self, row: "_Row") -> Entry:
        data = self._data(row.key) if row.kind == "instruction" else None
        text = row.detail if data is None else self._connection.decode(data, _texts).instruction
        return Entry(*row[:-1], text[:_SHOWN])

    def _matches(self, row: "_Row", search: str) -> bool:
        needle = search.casefold()
        if needle in row.id or needle in row.detail.casefold():
            return True
        data = self._data(row.key) if row.kind == "instruction" else None
        if data is None or (_is_plain(needle) and needle.encode() not in data.lower()):
            return False
        return self._connection.decode(data, _texts).hold(needle)


_SHOWN = 240
"""Characters of an instruction in the listing."""


def _is_plain(text: str) -> bool:
    """Whether *text* stands in JSON as it is: then a look at the bytes can rule a row out."""
    return text.isascii() and text.replace(" ", "").isalnum()


class _Row(NamedTuple):
    key: int
    kind: Kind
    id: str
    fate: EntryFate
    reason: str
    winner: Winner | None
    round: int | None
    gap: float | None
    stage: str
    use_case: str
    detail: str


class _Metadata(Struct, frozen=True):
    use_case: str = ""
    skills: tuple[str, ...] = ()


class _Texts(Struct, frozen=True):
    """The parts of an example that a search reads."""

    basic_instruction: str
    metadata: _Metadata = _Metadata()
    iterations: tuple[Iteration, ...] = ()
    detail: str = ""

    @property
    def instruction(self) -> str:
        return self.iterations[-1].instruction if self.iterations else self.basic_instruction

    def hold(self, needle: str) -> bool:
        return any(needle in text.casefold() for text in self._texts())

    def _texts(self) -> Iterator[str]:
        yield from (self.basic_instruction, self.detail, self.metadata.use_case)
        yield from self.metadata.skills
        for iteration in self.iterations:
            yield iteration.instruction
            for answer in (iteration.strong, iteration.target):
                if answer is not None:
                    yield answer.text


_texts = msgspec.json.Decoder(_Texts)
_example = msgspec.json.Decoder(Example)


def _condition(filters: Filters) -> tuple[str, Sequence[object]]:
    tests: list[tuple[str, object]] = [
        (f"{column} = ?", getattr(filters, column)) for column in COLUMNS
    ]
    tests += [("gap >= ?", filters.min_gap), ("gap <= ?", filters.max_gap)]
    used = [(test, value) for test, value in tests if value is not None]
    return " AND ".join(["1", *(test for test, _ in used)]), [value for _, value in used]


_QUERY = (
    f"WITH {LAST_ROW}"
    f" SELECT e.row_index * {_KEYS_PER_ROW} + 2, 'instruction', e.id, {_FATE}, {_REASON},"
    "  e.winner, e.iteration, e.gap,"
    f"  CASE WHEN e.fate = 'failed' THEN coalesce((SELECT {_STAGE_OF.format(_DETAIL)}"
    "    FROM transcripts t WHERE t.row_index = e.row_index), '') ELSE '' END,"
    f"  {_USE_CASE.format('e.item')}, '' FROM examples e"
    f" UNION ALL SELECT r.first_row * {_KEYS_PER_ROW} + 1, 'request', 'item ' || r.item,"
    "  CASE WHEN r.done THEN 'failed' ELSE 'unfinished' END, r.reason, NULL, NULL, NULL,"
    f"  {_STAGE_OF.format('r.detail')}, {_USE_CASE.format('r.item')}, r.detail FROM requests r"
    f"  WHERE r.instructions = 0 AND r.reason NOT IN {('', *NEVER_REQUESTED)}"
    f" UNION ALL SELECT s.position * {ROWS_PER_ITEM * _KEYS_PER_ROW}, 'seed',"
    "  coalesce(s.id, 'seed ' || s.position),"
    "  CASE WHEN s.transient THEN 'unfinished' ELSE 'failed' END, s.reason, NULL, NULL, NULL,"
    f"  {_STAGE_OF.format('s.detail')}, '', s.detail FROM seeds s WHERE s.state = 'failed'"
    " ORDER BY 1"
)
