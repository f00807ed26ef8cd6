"""Review by people: rows go out to a file with two empty columns, and their decisions come back.

JSON lines, or CSV for a spreadsheet. What models wrote must not run there: a cell that a
spreadsheet would take for a formula gets an apostrophe in front, which is taken off again.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.errors import UserError
from ..data.records import Example, Metadata
from ..data.seeds.formats import delimiter_of
from ..disk.atomic import replacing
from ..store.schema import Review


class ReviewError(UserError):
    """A file of reviews can't be used. The message names the file and the line."""


class Columns(Struct, frozen=True):
    """One row as a person sees it."""

    id: str
    use_case: str
    skills: str
    instruction: str = ""
    response: str = ""
    decision: str = ""
    comment: str = ""


class _Decided(Struct, frozen=True):
    """What is read back; the other columns are for the eye."""

    id: str
    decision: str | None = None
    comment: str | None = None


_decided = msgspec.json.Decoder(_Decided)


def of_examples(examples: Iterable[Example], said: Mapping[str, Review]) -> Iterator[Columns]:
    for example in examples:
        answer = example.response
        yield _columns(
            example.id,
            example.metadata,
            said,
            instruction=example.instruction,
            response="" if answer is None else answer.text,
        )


def of_metadata(items: Iterable[Metadata], said: Mapping[str, Review]) -> Iterator[Columns]:
    return (_columns(item.id, item, said) for item in items)


def _columns(
    name: str,
    metadata: Metadata,
    said: Mapping[str, Review],
    *,
    instruction: str = "",
    response: str = "",
) -> Columns:
    before = said.get(name)
    decision, comment = ("", "") if before is None else (before.decision, before.comment)
    skills = ", ".join(metadata.skills)
    return Columns(name, metadata.use_case, skills, instruction, response, decision, comment)


# -- writing ----------------------------------------------------------------------------------


def write(rows: Iterable[Columns], path: Path) -> int:
    """Write *rows* to *path*, as its suffix says, and count them.

    Raises:
        ReviewError: *path* is neither JSON lines nor CSV.
        WriteError: it cannot be written.
    """
    count = 0
    lines = _csv(rows) if _is_csv(path) else (json_codec.dumps(row) + b"\n" for row in rows)
    with replacing(path) as file:
        for line in lines:
            file.write(line)
            count += 1
    return count - _is_csv(path)


def _is_csv(path: Path) -> bool:
    kind = path.suffix.lower()
    if kind not in {".csv", ".jsonl"}:
        raise ReviewError(f"{path}: name it .jsonl or .csv")
    return kind == ".csv"


def _csv(rows: Iterable[Columns]) -> Iterator[bytes]:
    """Give the lines of a CSV file, with the mark by which spreadsheets know UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(Columns.__struct_fields__)
    yield _taken(out).encode("utf-8-sig")
    for row in rows:
        writer.writerow([_guarded(getattr(row, name)) for name in Columns.__struct_fields__])
        yield _taken(out).encode("utf-8", "backslashreplace")


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


_FORMULA = re.compile(r"\s*'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'(?=\s*'*[=+\-@\t\r\n])")


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


# -- reading ----------------------------------------------------------------------------------


def read(path: Path, known: Iterable[str]) -> list[Review]:
    """Read decisions about the ids in *known*; rows without one are passed over.

    Raises:
        ReviewError: naming the line with an unknown id, a bad decision, or no readable row; then
            none of the file counts.
    """
    ids = set(known)
    found: dict[str, Review] = {}
    for where, row in _csv_rows(path) if _is_csv(path) else _json_rows(path):
        if row.id not in ids:
            raise ReviewError(f"{where}: id: {row.id!r} is not in this run")
        decision = (row.decision or "").strip().lower()
        if decision not in {"", "keep", "drop"}:
            raise ReviewError(
                f"{where}: decision: {row.decision!r}: write keep or drop, or nothing"
            )
        if row.id in found and found[row.id].decision != decision:
            raise ReviewError(f"{where}: id: {row.id!r} is there twice with different decisions")
        if decision in {"keep", "drop"}:
            found[row.id] = Review(row.id, cast("Any", decision), (row.comment or "").strip())
    return list(found.values())


def _json_rows(path: Path) -> Iterator[tuple[str, _Decided]]:
    for number, line in enumerate(_bytes(path).splitlines(), 1):
        if line.strip():
            try:
                yield f"{path}:{number}", json_codec.loads(line, _decided)
            except msgspec.MsgspecError as error:
                raise ReviewError(f"{path}:{number}: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, _Decided]]:
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReviewError(f"{path}: it is not UTF-8: save it as CSV UTF-8") from error
    header = text.partition("\n")[0]
    csv.field_size_limit(2**31 - 1)
    rows = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=delimiter_of(header), strict=True
    )
    if not {"id", "decision"} <= set(rows.fieldnames or ()):
        raise ReviewError(f"{path}:1: it has no columns id and decision")
    line = rows.line_num
    try:
        for row in rows:
            cells = [row.get(name) or "" for name in ("id", "decision", "comment")]
            yield f"{path}:{line + 1}", _Decided(*map(_unguarded, cells))
            line = rows.line_num
    except csv.Error as error:
        raise ReviewError(f"{path}:{line + 1}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReviewError(f"{path}: {error.strerror}") from error
