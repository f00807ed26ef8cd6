"""Human review: rows are written with two empty columns; the file comes back with decisions.

The file is JSON lines, or CSV for a spreadsheet. Models' text must not run there: a cell that a
spreadsheet would take for a formula gets an apostrophe in front, which reading removes again
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.errors import UserError
from ..data.files import read_input
from ..data.records import Example, Metadata
from ..data.seeds.delimited import delimiter_of
from ..disk.atomic import replacing
from ..store.schema import Review


class ReviewError(UserError):
    """A file of reviews cannot be used. The message names the file and the line."""


class ReviewRow(Struct, frozen=True):
    """One row of the file; the last two fields are the reviewer's."""

    id: str
    use_case: str
    skills: str
    instruction: str = ""
    response: str = ""
    decision: str = ""
    comment: str = ""


class Typed(NamedTuple):
    """What a person typed into a file, whether or not it can be imported."""

    decision: str
    comment: str


class _Decision(Struct, frozen=True):
    """The fields that are read back."""

    id: str
    decision: str | None = None
    comment: str | None = None


_decision = msgspec.json.Decoder(_Decision)
_COLUMNS = ReviewRow.__struct_fields__


Opinions = Mapping[str, Review | Typed]
"""What is known of a reviewer's opinions by the id of what they are about."""


def example_rows(examples: Iterable[Example], reviews: Opinions) -> Iterator[ReviewRow]:
    """Yield a row for each of *examples*, with the decision made before, if any."""
    for example in examples:
        response = example.response
        yield _row(
            example.id,
            example.metadata,
            reviews,
            instruction=example.instruction,
            response="" if response is None else response.text,
        )


def metadata_rows(items: Iterable[Metadata], reviews: Opinions) -> Iterator[ReviewRow]:
    """Yield a row for each of *items*, with the decision made before, if any."""
    return (_row(item.id, item, reviews) for item in items)


def _row(
    subject_id: str,
    metadata: Metadata,
    reviews: Opinions,
    *,
    instruction: str = "",
    response: str = "",
) -> ReviewRow:
    review = reviews.get(subject_id)
    decision, comment = ("", "") if review is None else (review.decision, review.comment)
    skills = ", ".join(metadata.skills)
    return ReviewRow(
        subject_id, metadata.use_case, skills, instruction, response, decision, comment
    )


# -- writing ----------------------------------------------------------------------------------


def write_reviews(rows: Iterable[ReviewRow], path: Path) -> int:
    """Write *rows* to *path*, as its suffix says, and return their number.

    Raises:
        ReviewError: *path* is neither JSON lines nor CSV.
        WriteError: it cannot be written.
    """
    header = _is_csv(path)
    lines = _csv(rows) if header else (json_codec.dumps(row) + b"\n" for row in rows)
    count = 0
    with replacing(path) as file:
        for line in lines:
            file.write(line)
            count += 1
    return count - header


def _is_csv(path: Path) -> bool:
    match path.suffix.lower():
        case ".csv":
            return True
        case ".jsonl":
            return False
        case _:
            raise ReviewError(f"{path}: name it .jsonl or .csv")


def _csv(rows: Iterable[ReviewRow]) -> Iterator[bytes]:
    """Yield the lines of a CSV file, with the byte order mark by which spreadsheets know UTF-8."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(_COLUMNS)
    yield _take(buffer).encode("utf-8-sig")
    for row in rows:
        writer.writerow([_guard(getattr(row, column)) for column in _COLUMNS])
        yield _take(buffer).encode("utf-8", "backslashreplace")


def _take(buffer: io.StringIO) -> str:
    """Return the content of *buffer* and empty it."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


_FORMULA = re.compile(r"[\s']*[=+\-@＝＋－＠\t\r\n]")  # noqa: RUF001  (Excel in CJK locales)
_GUARDED = re.compile(r"'(?=[\s']*[=+\-@＝＋－＠\t\r\n])")  # noqa: RUF001


def _guard(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


# -- reading ----------------------------------------------------------------------------------


def read_reviews(path: Path, ids: Iterable[str]) -> list[Review]:
    """Read the decisions about *ids*; rows without a decision are skipped.

    Raises:
        ReviewError: names the line with an unknown id, an unknown decision or no readable row; then
            no decision of the file is used.
    """
    known_ids = set(ids)
    reviews: dict[str, Review] = {}
    for where, row in _csv_rows(path) if _is_csv(path) else _json_rows(path):
        if row.id not in known_ids:
            raise ReviewError(f"{where}: id: {row.id!r} is not in this run")
        decision = (row.decision or "").strip().lower()
        if decision not in {"", "keep", "drop"}:
            raise ReviewError(
                f"{where}: decision: must be keep, drop or empty, got {row.decision!r}"
            )
        if row.id in reviews and reviews[row.id].decision != decision:
            raise ReviewError(f"{where}: id: {row.id!r} appears twice, with different decisions")
        if decision:
            reviews[row.id] = Review(row.id, cast("Any", decision), (row.comment or "").strip())
    return list(reviews.values())


def read_typed(path: Path, ids: Iterable[str]) -> dict[str, Typed]:
    """Return all that is typed into *path*, so that a new export of *ids* can keep it.

    Raises:
        ReviewError: *path* is no file of reviews of this run.
    """
    typed = dict[str, Typed]()
    known_ids = set(ids)
    for where, row in _csv_rows(path) if _is_csv(path) else _json_rows(path):
        if row.id not in known_ids:
            raise ReviewError(f"{where}: id: {row.id!r} is not in this run: choose another file")
        if row.decision or row.comment:
            typed[row.id] = Typed(row.decision or "", row.comment or "")
    return typed


def _json_rows(path: Path) -> Iterator[tuple[str, _Decision]]:
    for number, line in enumerate(_read(path).splitlines(), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", json_codec.loads(line, _decision)
            except msgspec.MsgspecError as error:
                raise ReviewError(f"{path}:{number}: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, _Decision]]:
    try:
        text = _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReviewError(f"{path}: not UTF-8: save it as CSV UTF-8") from error
    header = text.partition("\n")[0]
    csv.field_size_limit(2**31 - 1)
    rows = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=delimiter_of(header), strict=True
    )
    if not {"id", "decision"} <= set(rows.fieldnames or ()):
        raise ReviewError(f"{path}:1: needs the columns id and decision")
    line = rows.line_num
    try:
        for row in rows:
            cells = [row.get(name) or "" for name in _Decision.__struct_fields__]
            yield f"{path}:{line + 1}", _Decision(*map(_unguard, cells))
            line = rows.line_num
    except csv.Error as error:
        raise ReviewError(f"{path}:{line + 1}: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return read_input(path)
    except FileNotFoundError as error:
        raise ReviewError(
            f"{path}: no such file; write one with: codeclm review export RUN --to FILE"
        ) from error
    except OSError as error:
        raise ReviewError(f"{path}: cannot be read ({error.strerror})") from error
