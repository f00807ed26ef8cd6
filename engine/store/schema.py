"""The ledger's tables and views, and what a row of each is."""

from typing import Any, Literal, NamedTuple

VERSION = 2
"""Of the tables; raised whenever they change."""

SPAN = 1_000_000
"""Most instructions one metadata item can make: places are ``position * SPAN + number``."""

NO_END = 2**40
"""Beyond the last metadata item: no target is reached yet."""

NEVER_ASKED = ("no_quota", "reviewed")
"""Why a metadata item was to make nothing."""

SCHEMA = f"""
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
    print INTEGER, PRIMARY KEY (what, id));
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
    SELECT print FROM reviews
    WHERE what = 'examples' AND decision = 'drop' AND print IS NOT NULL;
CREATE VIEW IF NOT EXISTS kept AS
    SELECT min(place) AS place FROM examples
    WHERE fate = 'kept' AND item <= (SELECT item FROM bounds)
        AND item NOT IN (SELECT item FROM barred)
        AND print NOT IN (SELECT print FROM originals)
        AND print NOT IN (SELECT print FROM unwanted)
        AND place NOT IN (SELECT place FROM repeats)
    GROUP BY print;
"""

INSERT = {
    "facts": "INSERT OR REPLACE INTO facts VALUES (?, ?)",
    "seeds": "INSERT OR REPLACE INTO seeds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "links": "UPDATE seeds SET item = ? WHERE position = ?",  # after the rows they change
    "items": "INSERT OR REPLACE INTO items VALUES (?, ?)",
    "orders": "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)",
    "examples": f"INSERT OR REPLACE INTO examples VALUES ({', '.join('?' * 14)})",
    "stories": "INSERT OR REPLACE INTO stories VALUES (?, ?)",
    "sifted": "INSERT OR REPLACE INTO sifted VALUES (?, ?, ?, ?)",
    "overlaps": "INSERT OR REPLACE INTO overlaps VALUES (?, ?, ?)",
    "reviews": (
        "INSERT OR REPLACE INTO reviews VALUES (?1, ?2, ?3, ?4,"
        " coalesce((SELECT max(print) FROM examples WHERE id = ?2),"
        "  (SELECT print FROM reviews WHERE what = ?1 AND id = ?2)))"
    ),
    "barred": "INSERT OR REPLACE INTO barred VALUES (?)",
}

Subject = Literal["examples", "metadata"]
"""What a review is of."""


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


def storable(text: str) -> str:
    """SQLite's text is UTF-8, which cannot hold lone surrogates: write them as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
