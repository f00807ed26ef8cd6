"""SQLite files from someone else: what they hold is compared, and never run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .commands import codeclm, write_seeds

MODELS = ("--strong", "scripted/strong", "--target", "scripted/target")
RUN = ("run", "--seeds", "seeds.jsonl", *MODELS, "--per-metadata", "1", "--display", "none")
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_seeds(tmp_path, 3)
    done = codeclm(*RUN, "--out", "r", cwd=tmp_path)
    assert done.returncode in {0, 3}, done.stderr
    return tmp_path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP VIEW kept", f"CREATE VIEW kept AS {ENDLESS} AS row_index FROM n"),
        ("CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM facts; END",),
        ("DROP TABLE overlaps",),
    ],
)
def test_a_ledger_with_other_tables_is_refused(home: Path, statements: tuple[str, ...]) -> None:
    change(home / "r" / "ledger.sqlite", *statements)
    for line in (("status", "r"), ("report", "r"), ("resume", "r"), ("calibrate", "r")):
        done = codeclm(*line, cwd=home)

        assert done.returncode == 2, done.stderr
        assert "its tables are not those of codeclm" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE TRIGGER t AFTER INSERT ON Cache BEGIN {ENDLESS} FROM n; END",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO Settings VALUES ('disk', 'x')",
        "INSERT INTO Settings VALUES ('disk_fetch', 'x')",
    ],
)
def test_a_cache_with_more_than_answers_is_refused(home: Path, statement: str) -> None:
    change(home / "cache" / "cache.db", statement)
    for line in ((*RUN, "--out", "other"), ("cache", "stats"), ("cache", "verify")):
        done = codeclm(*line, cwd=home)

        assert done.returncode == 1, done.stderr
        assert "cache.db: not made by codeclm" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transcripts",
        "UPDATE transcripts SET example = x'00'",
        "UPDATE transcripts SET example = x'ff'",
        "UPDATE facts SET value = 'junk' WHERE key LIKE 'spent/%'",
        "UPDATE examples SET gaps = 'not numbers'",
        "UPDATE examples SET fate = 'other'",
        "UPDATE requests SET count = 4611686018427387904",
        "UPDATE requests SET item = 2000000000",
        "UPDATE seeds SET metadata = x'00'",
    ],
)
def test_damaged_rows_are_one_line(home: Path, statement: str) -> None:
    change(home / "r" / "ledger.sqlite", statement)
    for line in (
        ("status", "r"),
        ("report", "r"),
        ("export", "r", "--to", "x.jsonl"),
        ("review", "export", "r", "--to", "x.csv"),
        ("calibrate", "r"),
        ("resume", "r", "--display", "none"),
    ):
        done = codeclm(*line, cwd=home)

        assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transcripts SET example = 'text'",
        "UPDATE seeds SET position = 'x'",
        "UPDATE seeds SET position = -1 WHERE position = 0",
        "UPDATE seeds SET position = 9000000000000000000 WHERE position = 0",
        "UPDATE examples SET item = 9000000000000000000",
    ],
)
def test_a_ledger_takes_no_value_of_another_kind(home: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        change(home / "r" / "ledger.sqlite", statement)


def test_a_damaged_request_of_a_fixed_set_is_one_line(tmp_path: Path) -> None:
    write_seeds(tmp_path, 3)
    line = (*RUN[:7], "--augment-to", "4", "-n", "4", "--out", "r", "--display", "none")
    assert codeclm(*line, cwd=tmp_path).returncode in {0, 3}
    change(tmp_path / "r" / "ledger.sqlite", "UPDATE requests SET count = -5")

    done = codeclm("resume", "r", cwd=tmp_path)

    assert done.returncode == 1
    assert "a row is damaged (a request for -5 instructions)" in done.stderr
    assert "Traceback" not in done.stderr
