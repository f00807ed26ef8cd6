"""What a run has come to, counted: sums that add up, gaps, rows by winner and round."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..disk.sqlite import storage_error
from .reader import DROPPED, Reader, bound
from .schema import NEVER_ASKED, SPAN


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


class Counter(Reader):
    """Counts over the dataset, the first rows as they stand now."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._chosen: tuple[int, int | None] | None = None

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """Count one state of a ledger that is being written."""
        try:
            self._read_from.execute("BEGIN")
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        try:
            yield
        finally:
            self._read_from.execute("COMMIT")

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
            bound(most),
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
            f"  ELSE coalesce({DROPPED}, 'beyond_target') END, count(*) FROM examples e"
            " GROUP BY 1, 2",
            bound(most),
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
                "INSERT INTO chosen SELECT place FROM kept ORDER BY place LIMIT ?", (bound(most),)
            )
            connection.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise storage_error(self.path, error) from error
        self._chosen = state


# The target's last row, once it is there. What was begun behind it is left as it is: no resume
# takes it up again. With a fixed set of metadata nothing is behind: every order is settled.
_LAST = (
    f"last AS (SELECT min(place) AS place FROM (SELECT item * {SPAN} + {SPAN - 1} AS place"
    " FROM bounds UNION ALL SELECT max(place) FROM chosen"
    " WHERE (SELECT count(*) FROM chosen) = ?1 AND NOT EXISTS (SELECT 1 FROM items)))"
)


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
