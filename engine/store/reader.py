"""Read a ledger: for sessions that resume, and for everything that uses a run's rows."""

from array import array
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
from msgspec import Struct

from ..calls.spending import Spending, stored_spending
from ..data.records import Example, Metadata, RequestOutcome
from ..disk.sqlite import StorageError
from .connection import ReadConnection
from .schema import (
    DROP_REASON,
    NEVER_REQUESTED,
    NOT_EXCLUDED,
    ROWS_PER_ITEM,
    Review,
    Subject,
    row_index,
)


class _InstructionText(Struct, frozen=True):
    instruction: str


class _ExampleText(Struct, frozen=True):
    """An example without the fields that take long to decode."""

    id: str
    basic_instruction: str
    iterations: tuple[_InstructionText, ...] = ()

    @property
    def instruction(self) -> str:
        return self.iterations[-1].instruction if self.iterations else self.basic_instruction


_example_text = msgspec.json.Decoder(_ExampleText)
_metadata = msgspec.json.Decoder(Metadata)
_example = msgspec.json.Decoder(Example)
_grants = msgspec.json.Decoder(list[tuple[int, int, int]])
_spending = msgspec.json.Decoder(Spending)


class FinishedItem(NamedTuple):
    """A seed, or a request behind the last seed, with nothing left to do.

    Attributes:
        position: The item's.
        instructions: Number of instructions made from it.
        kept: Number and fingerprint of each instruction that its stages kept.
        fingerprint: The seed's own; None without a readable seed.
    """

    position: int
    instructions: int
    kept: tuple[tuple[int, int], ...]
    fingerprint: int | None


class RequestProgress(NamedTuple):
    """What has been asked of a metadata item and is finished.

    Attributes:
        item: Its position.
        requested: How many instructions were requested.
        has_empty: Whether a request gave none.
    """

    item: int
    requested: int
    has_empty: bool


class KeptText(NamedTuple):
    """The instruction of a row that its stages kept."""

    row_index: int
    id: str
    instruction: str


class LedgerReader:
    """A run's ledger, open for reading; a session may be writing it at the same time.

    Every method raises `StorageError` if the file cannot be read. Generators read as they go.
    """

    def __init__(self, path: Path) -> None:
        """Open the ledger at *path*. Blocks.

        Raises:
            LedgerError: the file is missing, no ledger, or of another version.
            StorageError: it cannot be read.
        """
        self.path = path
        self.connection = ReadConnection(path)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- the dataset --------------------------------------------------------------------------

    def kept(self, target_rows: int | None = None) -> Generator[Example]:
        """Yield the dataset: no instruction twice, in seed order, at most *target_rows*."""
        # Row indexes are sorted alone: in a join SQLite would sort the transcripts with them.
        for (data,) in self.connection.rows(
            "SELECT (SELECT example FROM transcripts t WHERE t.row_index = k.row_index)"
            " FROM (SELECT row_index FROM kept ORDER BY row_index LIMIT ?) k",
            limit(target_rows),
        ):
            yield self.connection.decode(data, _example)

    def examples(self) -> Iterator[Example]:
        """Yield every example, whatever its fate, in seed order."""
        for (data,) in self.connection.rows("SELECT example FROM transcripts ORDER BY row_index"):
            yield self.connection.decode(data, _example)

    def example_ids(self) -> Iterator[str]:
        return (example_id for (example_id,) in self.connection.rows("SELECT id FROM examples"))

    def find(self, prefix: str) -> list[Example]:
        """Return the examples whose id begins with *prefix*, with their fate in the dataset."""
        return list(self._with_fates(" WHERE substr(id, 1, ?) = ?", len(prefix), prefix))

    def example_at(self, position: int, number: int) -> Example | None:
        """Return an item's instruction by its number, with its fate in the dataset."""
        if not 0 <= number < ROWS_PER_ITEM:
            return None
        at = row_index(position, number)
        return next(self._with_fates(" WHERE e.row_index = ?", at), None)

    def with_fates(self) -> Iterator[Example]:
        """Yield every example with its fate in the dataset, in seed order."""
        return self._with_fates(" ORDER BY row_index")

    def _with_fates(self, condition: str, *values: int | str) -> Iterator[Example]:
        rows = self.connection.rows(
            f"SELECT example, {DROP_REASON}, coalesce("
            "  (SELECT detail FROM near_duplicates n WHERE n.row_index = e.row_index),"
            "  (SELECT comment FROM dropped_reviews d WHERE d.id = e.id), '')"
            f" FROM examples e JOIN transcripts USING (row_index){condition}",
            *values,
        )
        for data, reason, detail in rows:
            yield _with_drop_reason(self.connection.decode(data, _example), reason, detail)

    # -- what a resumed session needs ---------------------------------------------------------

    def spending(self, cache: Path) -> dict[str, Spending]:
        """Return what each session has paid for, by the session's name.

        Args:
            cache: the file that holds the answers. It knows the last moments of a session that was
                killed; where it cannot be read, the ledger's own account is used alone.
        """
        rows = self.connection.rows(
            "SELECT substr(key, 7), value FROM facts WHERE key LIKE 'spent/%' ORDER BY key"
        )
        sessions = {name: self.connection.decode(value.encode(), _spending) for name, value in rows}
        with suppress(StorageError):
            for name, stored in stored_spending(cache, list(sessions)).items():
                sessions[name].complete(stored)
        return sessions

    def finished_seeds(self) -> bytearray:
        """Return a byte for each seed up to the last finished one: 1 if nothing is left to do.

        Only where each seed is its own metadata item.
        """
        finished = bytearray()
        # One query, so that a file that is being written cannot change in between.
        for (position,) in self.connection.rows(
            "SELECT position FROM seeds WHERE state = 'failed' AND NOT transient"
            " UNION ALL SELECT item FROM requests WHERE done"
        ):
            if position >= len(finished):
                finished.extend(bytes(position + 1 - len(finished)))
            finished[position] = 1
        return finished

    def encoded_metadata(self) -> dict[int, Metadata]:
        """Return the metadata of encoded seeds by the seed's position."""
        rows = self.connection.rows(
            "SELECT position, metadata FROM seeds WHERE metadata IS NOT NULL"
        )
        return {position: self.connection.decode(data, _metadata) for position, data in rows}

    def failed_seeds(self) -> set[int]:
        """Return the positions of seeds that failed for good."""
        rows = self.connection.rows(
            "SELECT position FROM seeds WHERE state = 'failed' AND NOT transient"
        )
        return {position for (position,) in rows}

    def is_untouched(self) -> bool:
        """Return whether the run has nothing yet: no seed read, nothing requested."""
        [(count,)] = self.connection.rows(
            "SELECT (SELECT count(*) FROM seeds) + (SELECT count(*) FROM items)"
            " + (SELECT count(*) FROM requests) + (SELECT count(*) FROM examples)"
        )
        return not count

    def has_failures(self) -> bool:
        """Return whether anything failed for good that a model was asked about."""
        [(count,)] = self.connection.rows(
            "SELECT (SELECT count(*) FROM seeds"
            "  WHERE state = 'failed' AND reason <> 'unreadable_record')"
            " + (SELECT count(*) FROM requests"
            f"  WHERE reason <> '' AND reason NOT IN {NEVER_REQUESTED})"
            " + (SELECT count(*) FROM examples WHERE fate = 'failed')"
        )
        return bool(count)

    def request_outcomes(self, rows_per_draft: int = 1) -> dict[int, RequestOutcome]:
        """Return the outcomes of finished requests, by the index of their first row.

        Args:
            rows_per_draft: Number of examples made of each instruction.
        """
        examples: dict[int, list[tuple[int, str, int, int]]] = {}
        for item, *example in self.connection.rows(
            f"SELECT item, row_index, CASE WHEN {NOT_EXCLUDED} THEN fate ELSE 'reviewed' END,"
            " fingerprint, basic_fingerprint FROM examples e ORDER BY row_index"
        ):
            examples.setdefault(item, []).append(tuple(example))
        outcomes: dict[int, RequestOutcome] = {}
        for first_row, item, count, instructions in self.connection.rows(
            "SELECT first_row, item, count, instructions FROM requests WHERE done"
        ):
            if not 0 <= count <= ROWS_PER_ITEM:
                raise self.connection.damaged(ValueError(f"a request for {count} instructions"))
            start = item * ROWS_PER_ITEM + first_row % ROWS_PER_ITEM * rows_per_draft
            rows = range(start, start + count * rows_per_draft)
            of_request = [example for example in examples.get(item, ()) if example[0] in rows]
            outcomes[first_row] = RequestOutcome(
                instructions,
                tuple(
                    (index % ROWS_PER_ITEM, fingerprint)
                    for index, fate, fingerprint, _ in of_request
                    if fate == "kept"
                ),
                tuple(basic_fingerprint for *_, basic_fingerprint in of_request),
                count,
            )
        return outcomes

    def finished_items(self) -> Iterator[FinishedItem]:
        """Yield finished seeds, and finished requests behind the last seed, by position."""
        for position, instructions, kept, fingerprint in self.connection.rows(
            "SELECT p.position, coalesce(r.instructions, 0),"
            f" group_concat((e.row_index % {ROWS_PER_ITEM}) || ' ' || e.fingerprint), s.fingerprint"
            " FROM (SELECT position FROM seeds UNION SELECT item FROM requests) p"
            " LEFT JOIN seeds s ON s.position = p.position"
            " LEFT JOIN requests r ON r.item = p.position AND r.done"
            " LEFT JOIN examples e ON e.item = p.position AND e.fate = 'kept'"
            f" AND {NOT_EXCLUDED}"
            " WHERE r.done OR (s.state = 'failed' AND NOT s.transient)"
            " GROUP BY p.position ORDER BY p.position"
        ):
            yield FinishedItem(position, instructions, _number_pairs(kept or ""), fingerprint)

    def request_progress(self, unit: int) -> Iterator[RequestProgress]:
        """Yield what has been asked of each metadata item, in full units, and is finished."""
        for row in self.connection.rows(
            "SELECT item, sum((count + ?1 - 1) / ?1 * ?1), max(instructions = 0)"
            " FROM requests WHERE done GROUP BY item",
            unit,
        ):
            yield RequestProgress(*row)

    def kept_of_finished(self, rows_per_draft: int) -> Iterator[tuple[int, int]]:
        """Yield each metadata item and how many rows its stages kept, of finished requests."""
        yield from self.connection.rows(
            "SELECT e.item, count(*) FROM examples e JOIN"
            "  (SELECT item, max(first_row + count) AS last FROM requests WHERE done GROUP BY item)"
            "  r ON r.item = e.item"
            f" WHERE e.fate = 'kept' AND {NOT_EXCLUDED}"
            f"  AND e.row_index % {ROWS_PER_ITEM} < r.last % {ROWS_PER_ITEM} * ?"
            " GROUP BY e.item",
            rows_per_draft,
        )

    def basic_fingerprints(self, item: int, before: int) -> frozenset[int]:
        """Return the fingerprints of an item's basic instructions whose rows are below *before*."""
        first = row_index(item, 0)
        rows = self.connection.rows(
            "SELECT basic_fingerprint FROM examples WHERE row_index >= ? AND row_index < ?",
            first,
            first + before,
        )
        return frozenset(fingerprint for (fingerprint,) in rows)

    def rows_by_item(self) -> dict[int, int]:
        """Return how many different rows each metadata item has."""
        return dict(
            self.connection.rows(
                f"SELECT row_index / {ROWS_PER_ITEM}, count(*) FROM kept GROUP BY 1"
            )
        )

    def distinct_candidates(self) -> Iterator[tuple[int, int]]:
        """Yield index and fingerprint of rows that their stages kept, in seed order.

        Those that a reviewer excludes, or that copy a seed, are left out.
        """
        yield from self.connection.rows(
            "SELECT row_index, fingerprint FROM examples e"
            f" WHERE fate = 'kept' AND {NOT_EXCLUDED}"
            "  AND fingerprint NOT IN (SELECT fingerprint FROM seed_fingerprints)"
            " ORDER BY row_index"
        )

    def grants(self) -> Iterator[tuple[int, int, int]]:
        """Yield what was asked in place of what seeds could not deliver: position, start, count."""
        for (text,) in self.connection.rows("SELECT value FROM facts WHERE key LIKE 'grants/%'"):
            yield from self.connection.decode(text.encode(), _grants)

    def near_duplicate_decisions(self) -> "tuple[array[int], set[int]]":
        """Return the rows with a final decision, sorted, and those among them that are dropped."""
        decided = self.connection.rows(
            "SELECT row_index FROM near_duplicate_decisions WHERE final ORDER BY row_index"
        )
        dropped = self.connection.rows("SELECT row_index FROM near_duplicates")
        return array("q", (index for (index,) in decided)), {index for (index,) in dropped}

    def kept_texts(self) -> Iterator[KeptText]:
        """Yield the instructions of all rows that their stages kept, in seed order."""
        for index, data in self.connection.rows(
            "SELECT row_index, example FROM examples JOIN transcripts USING (row_index)"
            " WHERE fate = 'kept' ORDER BY row_index"
        ):
            example = self.connection.decode(data, _example_text)
            yield KeptText(index, example.id, example.instruction)

    def excluded_fingerprints(self) -> set[int]:
        """Return the fingerprints of rows that a reviewer dropped: no new row may have one."""
        rows = self.connection.rows("SELECT fingerprint FROM excluded_fingerprints")
        return {fingerprint for (fingerprint,) in rows}

    # -- seeds, metadata and reviews ----------------------------------------------------------

    def metadata(self) -> Iterator[tuple[int, Metadata]]:
        """Yield position and content of each metadata item that instructions are made from."""
        for position, data in self.connection.rows(
            "SELECT position, metadata FROM items UNION ALL"
            " SELECT item, metadata FROM seeds WHERE item IS NOT NULL AND metadata IS NOT NULL"
            "  AND NOT EXISTS (SELECT 1 FROM items) ORDER BY 1"
        ):
            yield position, self.connection.decode(data, _metadata)

    def reviews(self, subject: Subject) -> dict[str, Review]:
        """Return reviewers' decisions by the id of their subject."""
        rows = self.connection.rows(
            "SELECT id, decision, comment FROM reviews WHERE subject = ?", subject
        )
        return {row[0]: Review(*row) for row in rows}

    def seed_position(self, seed_id: str) -> int | None:
        """Return the first position of the seed *seed_id* in the seed files."""
        position: int | None = self.connection.value(
            "SELECT min(position) FROM seeds WHERE id = ?", seed_id
        )
        return position


def limit(target_rows: int | None) -> int:
    """Return *target_rows* as SQL's LIMIT: -1 means all."""
    return -1 if target_rows is None else target_rows


def _number_pairs(text: str) -> tuple[tuple[int, int], ...]:
    """Parse ``number fingerprint`` pairs separated by commas."""
    pairs = (pair.split() for pair in text.split(",") if pair)
    return tuple(sorted((int(number), int(fingerprint)) for number, fingerprint in pairs))


def _with_drop_reason(example: Example, reason: str | None, detail: str) -> Example:
    """Give *example* the fate that it has among the other rows."""
    if reason is None:
        return example
    return msgspec.structs.replace(example, fate="filtered", reason=reason, detail=detail)
