"""The ledger's tables and views, their rows, and the statements that fill them."""

from typing import Any, Literal, NamedTuple

VERSION = 5
"""Version of the tables, kept in ``PRAGMA user_version``; raise it whenever they change."""

ROWS_PER_ITEM = 1_000_000
"""Upper bound of the instructions that one metadata item makes."""

MOST_ITEMS = 2**31
"""Upper bound of positions. Beyond it a ledger is damaged: nobody has so many seeds."""

NO_LAST_ITEM = 2**40
"""A position behind every metadata item: no target has been reached yet."""

NEVER_REQUESTED = ("no_quota", "reviewed")
"""Reasons for which nothing is requested of a metadata item."""


def row_index(position: int, number: int) -> int:
    """Return the index that puts all rows in the dataset's order.

    Args:
        position: The metadata item's.
        number: The instruction's, among those of its item, from 0.
    """
    assert 0 <= number < ROWS_PER_ITEM, f"item {position}: instruction {number} has no index"
    return position * ROWS_PER_ITEM + number


# `items` are metadata items. `item` is the position of one; in streaming mode a seed's position is
# its item's. The fate of a row among the others is not stored but worked out by the views, so that
# it never depends on which row came first.
SCHEMA = f"""
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE seeds (
    position INTEGER PRIMARY KEY CHECK (position BETWEEN 0 AND {MOST_ITEMS}), id TEXT,
    state TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, transient INTEGER NOT NULL, fingerprint INTEGER, item INTEGER,
    metadata BLOB, stratum TEXT NOT NULL) STRICT;
CREATE TABLE items (
    position INTEGER PRIMARY KEY CHECK (position BETWEEN 0 AND {MOST_ITEMS}),
    metadata BLOB NOT NULL) STRICT;
CREATE TABLE requests (
    first_row INTEGER PRIMARY KEY,
    item INTEGER NOT NULL CHECK (item BETWEEN 0 AND {MOST_ITEMS}), count INTEGER NOT NULL,
    instructions INTEGER NOT NULL, done INTEGER NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, first_example INTEGER) STRICT;
CREATE TABLE examples (
    row_index INTEGER PRIMARY KEY,
    item INTEGER NOT NULL CHECK (item BETWEEN 0 AND {MOST_ITEMS}), id TEXT NOT NULL,
    fate TEXT NOT NULL,
    reason TEXT NOT NULL, transient INTEGER NOT NULL, fingerprint INTEGER NOT NULL,
    basic_fingerprint INTEGER NOT NULL, winner TEXT, iteration INTEGER NOT NULL, gap REAL,
    gaps TEXT NOT NULL, scores TEXT NOT NULL,
    refuses INTEGER NOT NULL) STRICT;
CREATE TABLE transcripts (row_index INTEGER PRIMARY KEY, example BLOB NOT NULL) STRICT;
CREATE TABLE near_duplicate_decisions (
    row_index INTEGER PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT NULL,
    final INTEGER NOT NULL) STRICT;
CREATE TABLE overlaps (
    row_index INTEGER NOT NULL, test_set TEXT NOT NULL, questions TEXT NOT NULL,
    PRIMARY KEY (row_index, test_set)) STRICT;
CREATE TABLE reviews (
    subject TEXT NOT NULL, id TEXT NOT NULL, decision TEXT NOT NULL, comment TEXT NOT NULL,
    fingerprint INTEGER, PRIMARY KEY (subject, id)) STRICT;
CREATE TABLE excluded_items (item INTEGER PRIMARY KEY) STRICT;
CREATE VIEW last_item AS
    SELECT coalesce(min(CAST(value AS INTEGER)), {NO_LAST_ITEM}) AS item
    FROM facts WHERE key = 'last_item';
CREATE VIEW seed_fingerprints AS
    SELECT fingerprint FROM seeds
    WHERE fingerprint IS NOT NULL AND position <= (SELECT item FROM last_item);
CREATE VIEW near_duplicates AS
    SELECT row_index, reason, detail FROM near_duplicate_decisions WHERE reason <> '';
CREATE VIEW dropped_reviews AS
    SELECT id, comment FROM reviews WHERE subject = 'examples' AND decision = 'drop';
CREATE VIEW excluded_fingerprints AS
    SELECT fingerprint FROM reviews
    WHERE subject = 'examples' AND decision = 'drop' AND fingerprint IS NOT NULL;
CREATE VIEW kept AS
    SELECT min(row_index) AS row_index FROM examples
    WHERE fate = 'kept' AND item <= (SELECT item FROM last_item)
        AND item NOT IN (SELECT item FROM excluded_items)
        AND fingerprint NOT IN (SELECT fingerprint FROM seed_fingerprints)
        AND fingerprint NOT IN (SELECT fingerprint FROM excluded_fingerprints)
        AND row_index NOT IN (SELECT row_index FROM near_duplicates)
    GROUP BY fingerprint;
"""

NOT_EXCLUDED = (
    "e.item NOT IN (SELECT item FROM excluded_items)"
    " AND e.fingerprint NOT IN (SELECT fingerprint FROM excluded_fingerprints)"
)
"""SQL: whether no reviewer excludes an example ``e``."""

DROP_REASON = (
    "CASE WHEN e.fate <> 'kept' THEN NULL"
    " WHEN e.item > (SELECT item FROM last_item) THEN 'beyond_target'"
    " WHEN e.id IN (SELECT id FROM dropped_reviews)"
    "  OR e.item IN (SELECT item FROM excluded_items) THEN 'reviewed'"
    " WHEN e.fingerprint IN (SELECT fingerprint FROM seed_fingerprints) THEN 'copy_of_a_seed'"
    " WHEN e.row_index IN (SELECT row_index FROM near_duplicates)"
    "  THEN (SELECT n.reason FROM near_duplicates n WHERE n.row_index = e.row_index)"
    " WHEN e.row_index NOT IN (SELECT row_index FROM kept) THEN 'duplicate' END"
)
"""SQL: why an example ``e`` that its own stages kept is not in the dataset; NULL if it is."""

INSERT = {
    "facts": "INSERT OR REPLACE INTO facts VALUES (?, ?)",
    "seeds": f"INSERT OR REPLACE INTO seeds VALUES ({', '.join('?' * 10)})",
    "links": "UPDATE seeds SET item = ? WHERE position = ?",  # behind the rows that it changes
    "items": "INSERT OR REPLACE INTO items VALUES (?, ?)",
    "requests": f"INSERT OR REPLACE INTO requests VALUES ({', '.join('?' * 8)})",
    "examples": f"INSERT OR REPLACE INTO examples VALUES ({', '.join('?' * 14)})",
    "transcripts": "INSERT OR REPLACE INTO transcripts VALUES (?, ?)",
    "near_duplicate_decisions": (
        "INSERT OR REPLACE INTO near_duplicate_decisions VALUES (?, ?, ?, ?)"
    ),
    "overlaps": "INSERT OR REPLACE INTO overlaps VALUES (?, ?, ?)",
    "reviews": (
        "INSERT OR REPLACE INTO reviews VALUES (?1, ?2, ?3, ?4,"
        " coalesce((SELECT max(fingerprint) FROM examples WHERE id = ?2),"
        "  (SELECT fingerprint FROM reviews WHERE subject = ?1 AND id = ?2)))"
    ),
    "excluded_items": "INSERT OR REPLACE INTO excluded_items VALUES (?)",
}
"""By table, in the order in which a group is written."""

Subject = Literal["examples", "metadata"]
"""What a review is about."""


class Row(NamedTuple):
    """The parameters of one statement of `INSERT`."""

    table: str
    values: tuple[Any, ...]


class NearDuplicateDecision(NamedTuple):
    """A row compared with the seeds and the rows before it; ``reason`` is empty if it is new.

    A decision that is not ``final`` was made before the row's turn; the next session makes it anew.
    """

    row_index: int
    reason: str
    detail: str
    final: bool


class Review(NamedTuple):
    """What a person decided about an example or a metadata item."""

    id: str
    decision: Literal["keep", "drop"]
    comment: str


def storable(text: str) -> str:
    """Escape lone surrogates: SQLite's text is UTF-8, which cannot hold them."""
    return text.encode("utf-8", "backslashreplace").decode()
