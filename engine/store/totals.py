"""Counts over a run: fates of seeds and instructions, gaps, rows by winner and iteration."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ..data.judge import RoundScores
from .connection import ReadConnection
from .coverage import Coverage, measure_coverage
from .reader import LedgerReader, limit
from .schema import DROP_REASON, NEVER_REQUESTED, NO_LAST_ITEM, ROWS_PER_ITEM


class Totals(Struct, frozen=True):
    """Number of input items and their fates, by reason.

    Raises:
        ValueError: the fates do not add up to *input*: a bug, or a damaged ledger.
    """

    input: int
    kept: int
    filtered: dict[str, int]
    failed: dict[str, int]
    unfinished: int = 0
    """Left for `resume`: the run was stopped, or the failure was transient."""

    def __post_init__(self) -> None:
        fates = (
            self.kept + sum(self.filtered.values()) + sum(self.failed.values()) + self.unfinished
        )
        if fates != self.input:
            raise ValueError(f"totals do not add up: {self.input} items in, {fates} counted")


class ScoredRounds(NamedTuple):
    """The rounds of one instruction in which both answers were scored.

    Attributes:
        first: Number of the first such round, from 1.
        gaps: Strong score minus target score, by round.
        scores: The judge's, by round; the means of several judges.
        by_judge: Each judge's own by round, in the order of their names, where there are several.
        item: The instruction's metadata item.
        is_selected: Whether the last round selected it.
    """

    first: int
    gaps: list[float]
    scores: list[RoundScores]
    by_judge: list[tuple[RoundScores, ...]]
    item: int
    is_selected: bool


class FailedItem(NamedTuple):
    item: str
    reason: str
    detail: str


class OverlappingInstruction(NamedTuple):
    """An instruction that shares words with a test set, and whether it is in the dataset."""

    test_set: str
    example_id: str
    is_row: bool


@contextmanager
def count_dataset(
    ledger: LedgerReader, target_rows: int | None = None
) -> Generator["DatasetCounts"]:
    """Count a snapshot of *ledger*, whose first *target_rows* rows are the dataset.

    Blocks: finding the dataset's rows takes seconds for a million of them.

    Raises:
        StorageError: the ledger cannot be read.
    """
    with ledger.connection.snapshot():
        yield DatasetCounts(ledger.connection, target_rows)


class DatasetCounts:
    """Counts over a snapshot of a ledger; see `count_dataset`."""

    def __init__(self, connection: ReadConnection, target_rows: int | None) -> None:
        self._connection = connection
        self._limit = limit(target_rows)
        connection.materialise(
            "dataset", "SELECT row_index FROM kept ORDER BY row_index LIMIT ?", self._limit
        )

    def seeds(self) -> Totals:
        """Count the fates of seeds. A seed is kept if an instruction made from it is.

        Those that a stopped session had not begun are unfinished.
        A seed that is shown as a demonstration counts for the first request that shows it.
        """
        beyond = f"coalesce(s.item, s.position) > (SELECT row_index / {ROWS_PER_ITEM} FROM last)"
        rows = self._connection.rows(
            f"WITH {LAST_ROW},"
            f" kept_items AS (SELECT DISTINCT row_index / {ROWS_PER_ITEM} AS item FROM dataset),"
            " requested AS (SELECT item, max(done) AS done, max(instructions) AS instructions,"
            "  max(reason) AS reason FROM requests GROUP BY item)"
            " SELECT CASE WHEN s.state = 'failed' AND NOT s.transient THEN 'failed'"
            "  WHEN s.item IN (SELECT item FROM kept_items) THEN 'kept'"
            f"  WHEN r.reason IN {NEVER_REQUESTED} THEN 'filtered'"
            "  WHEN r.done AND r.instructions = 0 THEN 'failed'"
            "  WHEN s.state = 'pooled' AND s.item IS NULL THEN 'filtered'"
            f"  WHEN {beyond} THEN 'filtered'"
            "  WHEN s.state = 'failed' OR coalesce(r.done, 0) = 0 THEN 'unfinished'"
            "  ELSE 'filtered' END,"
            " CASE WHEN s.state = 'failed' AND NOT s.transient THEN s.reason"
            "  WHEN r.done AND r.instructions = 0 THEN r.reason"
            "  WHEN s.state = 'pooled' AND s.item IS NULL THEN 'never_shown'"
            f"  WHEN {beyond} THEN 'beyond_target'"
            "  ELSE 'no_instruction_kept' END, count(*)"
            " FROM seeds s LEFT JOIN requested r ON r.item = s.item GROUP BY 1, 2",
            self._limit,
        )
        not_begun = self._not_begun()
        total = self._connection.value("SELECT count(*) FROM seeds") + not_begun
        return self._totals(total, [*rows, ("unfinished", "", not_begun)])

    def _not_begun(self) -> int:
        """Count the seeds that have a share of the rows and were not begun yet."""
        return int(
            self._connection.value(
                "SELECT max(0, coalesce((SELECT CAST(value AS INTEGER) FROM facts"
                "  WHERE key = 'dealt'), 0) - (SELECT count(*) FROM seeds))"
                f" * ((SELECT item FROM last_item) = {NO_LAST_ITEM})"
            )
        )

    def instructions(self) -> Totals:
        """Count the fates of instructions."""
        rows = self._connection.rows(
            f"WITH {LAST_ROW} SELECT CASE WHEN fate = 'failed' AND transient THEN"
            "   CASE WHEN row_index > (SELECT row_index FROM last) THEN 'filtered'"
            "    ELSE 'unfinished' END"
            "  WHEN fate <> 'kept' THEN fate"
            "  WHEN row_index IN (SELECT row_index FROM dataset) THEN 'kept' ELSE 'filtered' END,"
            " CASE WHEN fate = 'failed' AND transient THEN 'beyond_target'"
            "  WHEN fate <> 'kept' THEN reason"
            "  WHEN row_index IN (SELECT row_index FROM dataset) THEN reason"
            f"  ELSE coalesce({DROP_REASON}, 'beyond_target') END, count(*) FROM examples e"
            " GROUP BY 1, 2",
            self._limit,
        )
        under_way = self.under_way()
        total = self._connection.value("SELECT count(*) FROM examples") + under_way
        return self._totals(total, [*rows, ("unfinished", "", under_way)])

    def under_way(self) -> int:
        """Count the instructions that were written and have no fate yet."""
        return int(
            self._connection.value(
                "SELECT coalesce(sum(max(0, r.instructions - (SELECT count(*) FROM examples e"
                "  WHERE e.row_index >= r.first_example"
                f"   AND e.row_index < (r.item + 1) * {ROWS_PER_ITEM}))), 0)"
                " FROM requests r WHERE NOT r.done AND r.first_example IS NOT NULL"
                "  AND r.item <= (SELECT item FROM last_item)"
            )
        )

    def rows_by(self, column: Literal["winner", "iteration", "reason"]) -> dict[Any, int]:
        """Count the dataset's rows by the values of *column*."""
        return dict(
            self._connection.rows(
                f"SELECT {column}, count(*) FROM examples"
                " JOIN dataset USING (row_index) GROUP BY 1 ORDER BY 1"
            )
        )

    def refusals(self) -> int:
        """Count the dataset's rows whose answer reads like a refusal."""
        return int(
            self._connection.value(
                "SELECT count(*) FROM examples JOIN dataset USING (row_index) WHERE refuses"
            )
        )

    def overlaps(self) -> Iterator[OverlappingInstruction]:
        """Yield rows that overlap with a test set, and instructions dropped because they do."""
        for test_set, example_id, is_row in self._connection.rows(
            "SELECT test_set, id, row_index IN (SELECT row_index FROM dataset)"
            " FROM overlaps JOIN examples USING (row_index)"
            " WHERE reason = 'contaminated' OR row_index IN (SELECT row_index FROM dataset)"
            " ORDER BY test_set, row_index"
        ):
            yield OverlappingInstruction(test_set, example_id, bool(is_row))

    def coverage(self) -> Coverage | None:
        """Compare the rows with the seeds; None for a run without seeds."""
        return measure_coverage(self._connection)

    def predicted_calls(self, chunk: int, calls_per_round: int = 4) -> int:
        """Return the calls that these counts take without retries (docs/algorithm.md §3.7).

        One call for each encoded seed, two for each metadata item (decode and rubrics; one more for
        every further *chunk* of instructions), *calls_per_round* for each scored round (two
        answers, and a scoring of each order), one for each rewrite.
        """
        encoded = self._connection.value("SELECT count(*) FROM seeds WHERE state = 'encoded'")
        chunks, items = next(
            self._connection.rows(
                "SELECT coalesce(sum((count + ?1 - 1) / ?1), 0), count(DISTINCT item)"
                " FROM requests WHERE instructions > 0",
                chunk,
            )
        )
        rounds, rewrites = next(
            self._connection.rows(
                "SELECT coalesce(sum(length(gaps) - length(replace(gaps, ',', '')) + 1), 0),"
                " coalesce(sum(iteration - 1), 0) FROM examples WHERE gaps <> ''"
            )
        )
        return int(encoded + chunks + items + calls_per_round * rounds + rewrites)

    def _totals(self, total: int, rows: Iterable[tuple[Any, ...]]) -> Totals:
        try:
            return _totals(total, rows)
        except ValueError as error:
            raise self._connection.damaged(error) from error

    def scored_rounds(self) -> Iterator[ScoredRounds]:
        """Yield the scored rounds of each instruction that has any, in seed order."""
        for item, last, is_selected, gap_text, score_text in self._connection.rows(
            "SELECT item, iteration, winner IS NOT NULL AND reason NOT LIKE 'leftover%', gaps,"
            " scores FROM examples WHERE gaps <> '' ORDER BY row_index"
        ):
            try:
                gaps = [float(gap) for gap in gap_text.split(",")]
                scores = [_round_scores(text) for text in score_text.split(",")]
            except ValueError as error:
                raise self._connection.damaged(error) from error
            first = last - len(gaps) + 1
            means, own = [mean for mean, *_ in scores], [tuple(own) for _, *own in scores]
            yield ScoredRounds(first, gaps, means, own, item, bool(is_selected))


def _round_scores(text: str) -> list[RoundScores]:
    """Return the mean scores of one round, then each judge's own."""
    points = list(map(float, text.split()))
    if not points or len(points) % 4:
        raise ValueError(f"scores of a round: {text!r:.80}")
    return [
        RoundScores((points[n], points[n + 1]), (points[n + 2], points[n + 3]))
        for n in range(0, len(points), 4)
    ]


def failed_items(ledger: LedgerReader, count: int = 20) -> list[FailedItem]:
    """Return the first *count* items that failed: seeds, then metadata, then instructions."""
    rows = ledger.connection.rows(
        "SELECT * FROM (SELECT 'seed ' || position, reason, detail FROM seeds"
        " WHERE state = 'failed' ORDER BY position LIMIT ?1)"
        " UNION ALL SELECT * FROM (SELECT 'metadata ' || item, reason, detail FROM requests"
        f" WHERE reason NOT IN {('', *NEVER_REQUESTED)} ORDER BY first_row LIMIT ?1)"
        " UNION ALL SELECT * FROM (SELECT 'instruction ' || id, reason, ''"
        " FROM examples WHERE fate = 'failed' ORDER BY row_index LIMIT ?1) LIMIT ?1",
        count,
    )
    return [FailedItem(*row) for row in rows]


# The dataset's last row once the target is reached; what was begun behind it is beyond the target,
# and no session resumes it. A fixed set of metadata has no such row: every request is settled.
LAST_ROW = (
    "last AS (SELECT min(row_index) AS row_index FROM ("
    f"SELECT item * {ROWS_PER_ITEM} + {ROWS_PER_ITEM - 1} AS row_index FROM last_item"
    " UNION ALL SELECT max(row_index) FROM dataset"
    " WHERE (SELECT count(*) FROM dataset) = ?1 AND NOT EXISTS (SELECT 1 FROM items)))"
)


def _totals(total: int, rows: Iterable[tuple[Any, ...]]) -> Totals:
    counts = Counter[str]()
    reasons: dict[str, dict[str, int]] = {"filtered": {}, "failed": {}}
    for fate, reason, count in rows:
        counts[fate] += count
        if fate in reasons:
            reasons[fate][reason] = count
    return Totals(
        total, counts["kept"], reasons["filtered"], reasons["failed"], counts["unfinished"]
    )
