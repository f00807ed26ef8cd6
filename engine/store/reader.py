"""What is in a ledger, for resumes and exports."""

import sqlite3
from array import array
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..calls.budget import Spending
from ..data.records import Example, Metadata, RequestOutcome
from ..disk.sqlite import StorageError, storage_error
from .schema import SPAN, Review, Subject

T = TypeVar("T")


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


class Reader:
    """Questions to the ledger's file; whoever opens it gives the connection."""

    _read_from: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self.path = path

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._read_from.execute(query, values)
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error

    def _one(self, query: str, *values: object) -> Any:
        for row in self._rows(query, *values):
            return row[0]
        return None

    def _decode(self, data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return json_codec.loads(data, decoder)
        except msgspec.MsgspecError as error:
            raise StorageError(
                f"{self.path}: a row in it is damaged ({error}): move the run's folder away and run"
                " again; answers already paid for are in the cache"
            ) from error

    def spending(self) -> list[Spending]:
        """Return what each session has paid for."""
        rows = self._rows("SELECT value FROM facts WHERE key LIKE 'spent/%' ORDER BY key")
        return [json_codec.loads(value.encode(), _spending) for (value,) in rows]

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

    def outcomes(self, per_draft: int = 1) -> dict[int, RequestOutcome]:
        """What finished orders came to, by place; *per_draft* examples of each instruction."""
        made: dict[int, list[tuple[int, str, int, int]]] = {}
        for item, place, fate, mark, basic in self._rows(
            f"SELECT item, place, CASE WHEN {_WANTED} THEN fate ELSE 'reviewed' END, print,"
            " basic_print FROM examples e ORDER BY place"
        ):
            made.setdefault(item, []).append((place, fate, mark, basic))
        found: dict[int, RequestOutcome] = {}
        for place, item, count, number in self._rows(
            "SELECT place, item, count, made FROM orders WHERE done = 1"
        ):
            first = item * SPAN + place % SPAN * per_draft
            behind = first + count * per_draft
            inside = [row for row in made.get(item, ()) if first <= row[0] < behind]
            found[place] = RequestOutcome(
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

    def kept(self, most: int | None = None) -> Generator[Example]:
        """Yield the dataset: what was kept, none twice, in seed order, at most the first *most*."""
        # Places are sorted alone: as a join SQLite would sort the stories with them.
        for (story,) in self._rows(
            "SELECT (SELECT story FROM stories s WHERE s.place = k.place)"
            " FROM (SELECT place FROM kept ORDER BY place LIMIT ?) k",
            bound(most),
        ):
            yield self._decode(story, _example)

    def find(self, name: str) -> list[Example]:
        """Return the examples whose id begins with *name*."""
        rows = self._rows(
            f"SELECT story, {DROPPED}, coalesce((SELECT detail FROM repeats r WHERE r.place ="
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


# Of examples `e`: whether no reviewer is against it, and why a kept one is no row.
_WANTED = "e.item NOT IN (SELECT item FROM barred) AND e.print NOT IN (SELECT print FROM unwanted)"
DROPPED = (
    "CASE WHEN e.fate <> 'kept' THEN NULL"
    " WHEN e.item > (SELECT item FROM bounds) THEN 'beyond_target'"
    " WHEN e.id IN (SELECT id FROM reviewed) OR e.item IN (SELECT item FROM barred)"
    "  THEN 'reviewed'"
    " WHEN e.print IN (SELECT print FROM originals) THEN 'copy_of_a_seed'"
    " WHEN e.place IN (SELECT place FROM repeats)"
    "  THEN (SELECT r.reason FROM repeats r WHERE r.place = e.place)"
    " WHEN e.place NOT IN (SELECT place FROM kept) THEN 'duplicate' END"
)


def bound(most: int | None) -> int:
    return -1 if most is None else most


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``number print`` pairs with commas between them."""
    pairs = (pair.split() for pair in text.split(",") if pair)
    return tuple(sorted((int(number), int(mark)) for number, mark in pairs))


def _overruled(example: Example, reason: str | None, detail: str) -> Example:
    """Give *example* the fate it has among the others."""
    if reason is None:
        return example
    return msgspec.structs.replace(example, fate="filtered", reason=reason, detail=detail)
