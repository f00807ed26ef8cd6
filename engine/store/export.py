"""Kept examples become training files: alpaca, sharegpt, messages, preference.

A file is replaced atomically. The same examples give the same bytes. Rows are written as they
come, so that memory does not grow. Knows no ledger.

Rows hold an id and what trainers read, all with the same columns of the same types. Further text
columns are dropped by trainers, but a nested one that is null or empty at first makes loaders that
guess types from JSON stumble: metadata is therefore written only where asked for.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ...providers import json_codec
from ..data.errors import UserError
from ..data.records import Answer, Example, Origin, Winner, identity
from ..disk.atomic import replacing

FORMATS = ("alpaca", "sharegpt", "messages", "preference")
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet")
_GROUP = 4096
"""Rows of one Parquet row group: what is held in memory, and what a reader reads at once."""


class ExportError(UserError):
    """The file cannot be written. The message says why and what to do; an older file is whole."""


class Turn(Struct, frozen=True, rename={"speaker": "from"}):
    speaker: Literal["human", "gpt"]
    value: str


class Message(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str


class Lineage(Struct, frozen=True):
    """How a row came about. ``iteration`` counts from 1, ``gap`` is None where nothing scored."""

    use_case: str
    skills: tuple[str, ...]
    seed_ids: tuple[str, ...]
    iteration: int
    gap: float | None
    winner: Winner | None
    origin: Origin


class Row(Struct, frozen=True, kw_only=True):
    """What every row begins with: the example's id."""

    id: str


class Alpaca(Row, frozen=True, kw_only=True):
    instruction: str
    input: str = ""
    output: str
    metadata: Lineage | UnsetType = UNSET


class ShareGPT(Row, frozen=True, kw_only=True):
    conversations: tuple[Turn, Turn]
    metadata: Lineage | UnsetType = UNSET


class Messages(Row, frozen=True, kw_only=True):
    messages: tuple[Message, Message]
    metadata: Lineage | UnsetType = UNSET


class Preference(Row, frozen=True, kw_only=True):
    """The winner's answer over the other's. Ratings are mean scores over both orders, 0 to 10."""

    prompt: tuple[Message]
    chosen: tuple[Message]
    rejected: tuple[Message]
    chosen_rating: float | None
    rejected_rating: float | None
    chosen_model: str
    rejected_model: str
    prompt_id: str
    metadata: Lineage | UnsetType = UNSET


_Writer = Callable[[Iterator[Row], IO[bytes]], int]


def rows(
    examples: Iterable[Example],
    *,
    format: str,  # noqa: A002 - the word users know
    strong_model: str,
    target_model: str,
    with_metadata: bool = False,
) -> Iterator[Row]:
    """Give the row of each kept example, in their order; others are passed over.

    Raises:
        ExportError: for an unknown format, or at an example that lacks an answer it needs.
    """
    _check_format(format)
    models: dict[Winner, str] = {"strong": strong_model, "target": target_model}
    kept = (example for example in examples if example.fate == "kept")
    return (_row(example, format, models, with_metadata=with_metadata) for example in kept)


def write(
    examples: Iterable[Example],
    path: Path,
    *,
    format: str,  # noqa: A002 - the word users know
    strong_model: str,
    target_model: str,
    with_metadata: bool = False,
    on_replaced: Callable[[str], object] = lambda _id: None,
) -> int:
    """Write the kept ones of *examples* to *path*, as its suffix says, and count the rows.

    JSON keeps every text as it is. Parquet cannot hold half an emoji (a lone surrogate): it becomes
    U+FFFD, and *on_replaced* is called with the id of the row.

    Raises:
        ExportError, WriteError: *path* is left as it was before.
    """
    given = rows(
        examples,
        format=format,
        strong_model=strong_model,
        target_model=target_model,
        with_metadata=with_metadata,
    )
    writer = _writer(path, format, with_metadata=with_metadata, on_replaced=on_replaced)
    with replacing(path) as file:
        return writer(given, file)


def _check_format(name: str) -> None:
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ExportError(f"export format {name!r} is not one of {', '.join(FORMATS)}{hint}")


# What a row says


def _row(
    example: Example,
    layout: str,
    models: dict[Winner, str],
    *,
    with_metadata: bool,
) -> Row:
    winner = example.winner or "strong"
    question, answer = example.instruction, _answer(example, winner).text
    metadata = _lineage(example) if with_metadata else UNSET
    if layout == "alpaca":
        return Alpaca(id=example.id, metadata=metadata, instruction=question, output=answer)
    if layout == "sharegpt":
        turns = Turn("human", question), Turn("gpt", answer)
        return ShareGPT(id=example.id, metadata=metadata, conversations=turns)
    if layout == "messages":
        messages = Message("user", question), Message("assistant", answer)
        return Messages(id=example.id, metadata=metadata, messages=messages)
    loser: Winner = "target" if winner == "strong" else "strong"
    return Preference(
        id=example.id,
        metadata=metadata,
        prompt=(Message("user", question),),
        chosen=(Message("assistant", answer),),
        rejected=(Message("assistant", _answer(example, loser).text),),
        chosen_rating=_rating(example, winner),
        rejected_rating=_rating(example, loser),
        chosen_model=models[winner],
        rejected_model=models[loser],
        prompt_id=identity("prompt", question),
    )


def _answer(example: Example, winner: Winner) -> Answer:
    answer = example.answer(winner)
    if answer is None:
        other: Winner = "target" if winner == "strong" else "strong"
        hint = "; alpaca, sharegpt and messages need only one" if example.answer(other) else ""
        raise ExportError(f"example {example.id}: no answer of the {winner} model{hint}")
    return answer


def _rating(example: Example, winner: Winner) -> float | None:
    judgements = example.iterations[-1].judgements if example.iterations else None
    if judgements is None:
        return None
    one, other = judgements
    scores = (one.strong, other.strong) if winner == "strong" else (one.target, other.target)
    return sum(scores) / 2


def _lineage(example: Example) -> Lineage:
    metadata = example.metadata
    return Lineage(
        use_case=metadata.use_case,
        skills=metadata.skills,
        seed_ids=metadata.seed_ids,
        iteration=example.iterations[-1].number if example.iterations else 1,
        gap=example.gap,
        winner=example.winner,
        origin=metadata.origin,
    )


# How a file is written


def _writer(
    path: Path,
    layout: str,
    *,
    with_metadata: bool,
    on_replaced: Callable[[str], object],
) -> _Writer:
    name = path.name.lower()
    if name.endswith(".jsonl"):
        return _lines
    if name.endswith(".jsonl.gz"):
        return _packed
    if name.endswith(".json"):
        return _array
    if name.endswith(".parquet"):
        return _parquet(path, layout, with_metadata=with_metadata, on_replaced=on_replaced)
    raise ExportError(f"{path}: unknown kind of file; name it {', '.join(SUFFIXES)}")


def _lines(given: Iterator[Row], file: IO[bytes]) -> int:
    count = 0
    for row in given:
        file.write(json_codec.dumps(row) + b"\n")
        count += 1
    return count


def _packed(given: Iterator[Row], file: IO[bytes]) -> int:
    # no name and no time in its header: the same rows, the same bytes
    with gzip.GzipFile("", "wb", 6, fileobj=file, mtime=0) as packed:
        return _lines(given, cast("IO[bytes]", packed))


def _array(given: Iterator[Row], file: IO[bytes]) -> int:
    count = 0
    for row in given:
        file.write((b",\n" if count else b"[\n") + json_codec.dumps(row))
        count += 1
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def _parquet(
    path: Path,
    layout: str,
    *,
    with_metadata: bool,
    on_replaced: Callable[[str], object],
) -> _Writer:
    try:
        pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ExportError(
            f'{path}: writing it needs pyarrow: pip install "codeclm[parquet]"; or name it .jsonl'
        ) from error
    schema = _schema(pa, layout, with_metadata=with_metadata)

    def write_groups(given: Iterator[Row], file: IO[bytes]) -> int:
        count = 0
        with pq.ParquetWriter(file, schema, compression="zstd") as table:
            while group := [msgspec.to_builtins(row) for row in islice(given, _GROUP)]:
                table.write_batch(_batch(pa, schema, group, on_replaced))
                count += len(group)
        return count

    return write_groups


def _schema(pa: Any, layout: str, *, with_metadata: bool) -> Any:
    text, score = pa.string(), pa.float64()
    turns = pa.list_(pa.struct([("from", text), ("value", text)]))
    messages = pa.list_(pa.struct([("role", text), ("content", text)]))
    columns: dict[str, list[tuple[str, Any]]] = {
        "alpaca": [("instruction", text), ("input", text), ("output", text)],
        "sharegpt": [("conversations", turns)],
        "messages": [("messages", messages)],
        "preference": [
            *[(name, messages) for name in ("prompt", "chosen", "rejected")],
            *[(name, score) for name in ("chosen_rating", "rejected_rating")],
            *[(name, text) for name in ("chosen_model", "rejected_model", "prompt_id")],
        ],
    }
    lineage = [
        ("use_case", text),
        ("skills", pa.list_(text)),
        ("seed_ids", pa.list_(text)),
        ("iteration", pa.int64()),
        ("gap", score),
        ("winner", text),
        ("origin", text),
    ]
    last = [("metadata", pa.struct(lineage))] if with_metadata else []
    return pa.schema([("id", text), *columns[layout], *last])


def _batch(
    pa: Any, schema: Any, group: list[dict[str, Any]], on_replaced: Callable[[str], object]
) -> Any:
    try:
        return pa.RecordBatch.from_pylist(group, schema=schema)
    except UnicodeEncodeError:
        whole = [_whole(row) for row in group]
    for before, after in zip(group, whole, strict=True):
        if before != after:
            on_replaced(before["id"])
    return pa.RecordBatch.from_pylist(whole, schema=schema)


def _whole(value: Any) -> Any:
    """Replace lone surrogates by U+FFFD in every text of *value*."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _whole(field) for name, field in fields.items()}
    if isinstance(value, list | tuple):
        items = [_whole(item) for item in cast("Sequence[Any]", value)]
        return tuple(items) if isinstance(value, tuple) else items
    return value
