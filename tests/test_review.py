"""Review by people: out to a file, and back."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codeclm.engine.quality.review import ReviewError, ReviewRow, read_reviews, write_reviews
from codeclm.engine.store.schema import Review

from .commands import codeclm, write_seeds

Rows = list[dict[str, str]]


def read_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edit(path: Path, change: Callable[[int, dict[str, Any]], None]) -> Path:
    """Fill a file in as a person would."""
    if path.suffix == ".csv":
        rows: Rows = read_csv(path)
        for number, row in enumerate(rows):
            change(number, row)
        write_csv(path, rows)
    else:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for number, row in enumerate(lines):
            change(number, row)
        path.write_text("".join(json.dumps(row) + "\n" for row in lines), "utf-8")
    return path


# -- the file ---------------------------------------------------------------------------------

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
cells = st.text(st.sampled_from("=+-@'\t\r\n ,;\"aé"), max_size=8)


@given(text=cells, comment=cells)
@example(text="", comment="' =")
def test_no_cell_is_a_formula_and_every_comment_comes_back(text: str, comment: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        row = ReviewRow("id1", text, text, text, text, "keep", comment)
        write_reviews([row], path)
        (found,) = read_csv(path)
        (back,) = read_reviews(path, ["id1"])

    assert not any(cell.lstrip().startswith(FORMULA) for cell in found.values())
    assert not any(cell.startswith(FORMULA) for cell in found.values())
    assert back == Review("id1", "keep", comment.strip())


def test_texts_that_are_no_whole_unicode_can_be_reviewed(tmp_path: Path) -> None:
    for name in ("r.csv", "r.jsonl"):
        write_reviews(
            [ReviewRow("id1", "a", "b", "half \ud83d", "\0", "drop", "")], tmp_path / name
        )

        assert read_reviews(tmp_path / name, ["id1"]) == [Review("id1", "drop", "")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", "id,decision\na,keep\nzz,drop\n", "r.csv:3: id: 'zz' is not in this run"),
        ("r.csv", 'id,comment,decision\na,"two\nlines",keep\nb,,maybe\n', "r.csv:4: decision"),
        ("r.csv", "id;decision\na;keep\nb;x\n", "r.csv:3: decision"),
        ("r.csv", "id,comment\na,b\n", "r.csv:1: needs the columns id and decision"),
        ("r.csv", "id,decision\na,keep\na,drop\n", "r.csv:3: id: 'a' appears twice"),
        ("r.jsonl", '{"id":"a","decision":"keep"}\n\n{"id":1}\n', "r.jsonl:3: "),
        (
            "r.jsonl",
            '{"id":"a","decision":"no"}\n',
            "r.jsonl:1: decision: must be keep, drop or empty, got 'no'",
        ),
        ("r.xlsx", "", "name it .jsonl or .csv"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")

    with pytest.raises(ReviewError) as caught:
        read_reviews(path, ["a", "b"])

    assert said in str(caught.value)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_what_a_spreadsheet_saves_with_other_marks_is_read(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    lines = ['id,"of use, or not",decision,comment', 'a,x,keep,"so, yes; fine"', "b,y,drop,"]
    table = list(csv.reader(lines))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(table)

    assert read_reviews(path, ["a", "b"]) == [
        Review("a", "keep", "so, yes; fine"),
        Review("b", "drop", ""),
    ]


# -- a run ------------------------------------------------------------------------------------

ROLES = ("--strong", "scripted/strong", "--target", "scripted/target", "--threshold", "1")


def rows_of(folder: Path) -> list[str]:
    lines = (folder / "run" / "alpaca.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("name", ["review.csv", "review.jsonl"])
@pytest.mark.parametrize("mode", [("--per-metadata", "3"), ("--augment-to", "8")])
def test_rows_that_a_person_drops_are_left_out_and_made_up_for(
    tmp_path: Path, mode: tuple[str, ...], name: str
) -> None:
    write_seeds(tmp_path, 12)
    codeclm(
        *("run", "--seeds", "seeds.jsonl", "-o", "run", "-n", "20"), *ROLES, *mode, cwd=tmp_path
    )
    before = rows_of(tmp_path)
    codeclm("review", "export", "run", "--to", name, cwd=tmp_path)

    def decide(number: int, row: dict[str, Any]) -> None:
        row["decision"] = "drop" if number < 4 else "KEEP" if number < 6 else ""

    edit(tmp_path / name, decide)
    told = codeclm("review", "import", "run", name, cwd=tmp_path)
    codeclm("export", "run", "--to", "now.jsonl", cwd=tmp_path)
    now = [json.loads(x)["id"] for x in (tmp_path / "now.jsonl").read_text("utf-8").splitlines()]
    resumed = codeclm("resume", "run", cwd=tmp_path)

    assert "2 kept, 4 dropped" in told.stderr
    assert not set(now) & set(before[:4])
    assert set(before[4:]) <= set(now)
    assert resumed.returncode == 0, resumed.stderr
    assert "finished: 20 of 20 rows" in resumed.stdout
    assert "4 filtered (reviewed)" in resumed.stdout
    assert len(rows_of(tmp_path)) == 20
    assert not set(rows_of(tmp_path)) & set(before[:4])


@pytest.mark.parametrize("mode", [(), ("--augment-to", "8", "-n", "24")])
def test_nothing_is_made_of_metadata_that_a_person_drops(
    tmp_path: Path, mode: tuple[str, ...]
) -> None:
    write_seeds(tmp_path, 6)
    started = ("run", "--seeds", "seeds.jsonl", "-o", "run", *ROLES, *mode, "--max-concurrent", "1")
    stopped = codeclm(*started, "--max-calls", "40", cwd=tmp_path)
    codeclm("review", "export", "run", "--what", "metadata", "--to", "m.jsonl", cwd=tmp_path)
    edit(tmp_path / "m.jsonl", lambda n, row: row.update(decision="drop" if n % 3 == 1 else "keep"))
    items = [json.loads(x) for x in (tmp_path / "m.jsonl").read_text("utf-8").splitlines()]
    codeclm("review", "import", "run", "m.jsonl", "--what", "metadata", cwd=tmp_path)
    done = codeclm("resume", "run", "--set", "budget.calls=100000", "--json", cwd=tmp_path)
    codeclm(
        *("export", "run", "--with-metadata", "--to", "x.jsonl"),
        cwd=tmp_path,
    )

    assert stopped.returncode == 4
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    seeds, made = summary["seeds"], summary["instructions"]
    for sums in (seeds, made):
        ended = sums["kept"] + sum(sums["filtered"].values()) + sum(sums["failed"].values())
        assert sums["input"] == ended
    dropped = {item["use_case"] + item["skills"] for item in items if item["decision"] == "drop"}
    rows = [json.loads(x) for x in (tmp_path / "x.jsonl").read_text("utf-8").splitlines()]
    assert dropped
    assert not dropped & {
        row["metadata"]["use_case"] + ", ".join(row["metadata"]["skills"]) for row in rows
    }
    if mode:
        assert summary["rows"] == 24


def test_what_a_person_dropped_stays_out_of_a_run_that_begins_anew(tmp_path: Path) -> None:
    """Its rows are made up for as well: the decision does not hang on the rows that were."""
    write_seeds(tmp_path, 12)
    line = ("run", "--seeds", "seeds.jsonl", "-o", "run", "-n", "20", *ROLES)
    codeclm(*line, cwd=tmp_path)
    before = rows_of(tmp_path)
    codeclm("review", "export", "run", "--to", "review.jsonl", cwd=tmp_path)
    edit(
        tmp_path / "review.jsonl",
        lambda number, row: row.update(decision="drop" if number < 4 else ""),
    )
    codeclm("review", "import", "run", "review.jsonl", cwd=tmp_path)
    done = codeclm(*line, "--set", "filter.keep_cut_off=false", "--allow-change", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows_of(tmp_path)) == 20
    assert not set(rows_of(tmp_path)) & set(before[:4])
