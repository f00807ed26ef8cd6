"""What all sessions of a run have finished, in one quick count: for displays of progress."""

from pathlib import Path

from msgspec import Struct

from .connection import ReadConnection

# As many as the view `kept` has, at a third of its cost: seeds and rows go through one sorter
# instead of a lookup of each row among the seeds.
_ROWS = """
SELECT count(*) FROM (
    SELECT 1 FROM (
        SELECT fingerprint, 0 AS is_seed FROM examples
        WHERE fate = 'kept' AND item <= (SELECT item FROM last_item)
            AND item NOT IN (SELECT item FROM excluded_items)
            AND fingerprint NOT IN (SELECT fingerprint FROM excluded_fingerprints)
            AND row_index NOT IN (SELECT row_index FROM near_duplicates)
        UNION ALL SELECT fingerprint, 1 FROM seed_fingerprints)
    GROUP BY fingerprint HAVING max(is_seed) = 0)
"""


class LedgerCounts(Struct, frozen=True):
    """How much of a run is finished.

    Attributes:
        rows: different rows kept, of which the dataset takes as many as it is to have.
        encoded_seeds: seeds whose metadata is known.
        failed_seeds: seeds that failed for good.
        items: metadata items of which a request is finished; in streaming mode, seeds.
        instructions: instructions that have their fate.
    """

    rows: int
    encoded_seeds: int
    failed_seeds: int
    items: int
    instructions: int


def count_ledger(path: Path) -> LedgerCounts:
    """Count what is finished in the ledger at *path*. Blocks: three seconds for a million rows.

    Raises:
        LedgerError, StorageError: it cannot be read.
    """
    connection = ReadConnection(path)
    try:
        [counts] = connection.rows(
            f"SELECT ({_ROWS}),"
            " (SELECT count(*) FROM seeds WHERE state = 'encoded'),"
            " (SELECT count(*) FROM seeds WHERE state = 'failed' AND NOT transient),"
            " (SELECT count(DISTINCT item) FROM requests WHERE done),"
            " (SELECT count(*) FROM examples WHERE fate <> 'failed' OR NOT transient)"
        )
    finally:
        connection.close()
    return LedgerCounts(*counts)
