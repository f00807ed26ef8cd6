"""Seed files become seeds: JSON lines, JSON, CSV, Parquet, Arrow, and folders of them.

Records come in the order of the files, one at a time; only a JSON array is read whole. A record
that is no seed is told, with its place and the reason, and the next one is read. Nothing is fetched
from a network. Knows no run and no model.
"""

import csv
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from hashlib import blake2b
from importlib import import_module
from itertools import chain, repeat
from itertools import count as counter
from json import JSONDecoder
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ..providers import wire
from .records import Seed, Unreadable, identity

MAX_LINE = 64 << 20
"""Bytes of one line that are held at most; a longer line is skipped to its end."""
MAX_FIELD = 16 << 20
"""Characters of one CSV field; what a quote left open can swallow."""

_KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_ABOUT_A_DATASET = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_FIELDS = (
    "instruction",
    "Instruction",
    "prompt",
    "question",
    "text",
    "turns",
    "messages",
    "conversations",
)
_BESIDE = ("input", "instances")


class SeedError(Exception):
    """A seed file as a whole cannot be used. The message names the file and what to do."""


class SeedSource(Struct, frozen=True):
    r"""Where seeds are read from, and which part of a record is the instruction.

    ``field`` is a path such as ``instances.0.input``. ``template`` joins several fields, as in
    ``"{instruction}\n{input}"``; ``{{`` and ``}}`` stand for braces. A placeholder alone on its
    line, the first one excepted, may be empty or missing; every other must hold text. With neither,
    each record's instruction is looked for under the names common datasets use. ``format`` is read
    off the file's name unless given.
    """

    paths: tuple[Path, ...]
    field: str | None = None
    template: str | None = None
    format: str | None = None
    max_seed_bytes: int = 1 << 20
    """An instruction longer than this, in UTF-8, is reported as unreadable."""


class _Unfit(Exception):  # noqa: N818 - a verdict on one record, told as Unreadable
    """This record is no seed, for the reason given."""


class _Slot(Struct, frozen=True):
    name: str
    optional: bool


class _Plain(Struct):
    """An Alpaca record, the most common one: decoding no more than this doubles the speed."""

    instruction: str
    input: str | None = None
    instances: Raw | UnsetType = UNSET


_Rows = Iterator[tuple[int, Any]]
_Pick = Callable[[Any], str]
_plain = msgspec.json.Decoder(_Plain)
_anything = msgspec.json.Decoder(Any)
_parts = msgspec.json.Decoder(list[Raw])


def read(source: SeedSource, *, skip: Container[int] = b"") -> Iterator[Seed | Unreadable]:
    """Read the records of *source*; positions count them from 0 over all files, blank ones not.

    Args:
        source: The files.
        skip: Finished records. Bytes or a bytearray hold a flag for each position, and may be too
            short; any other container holds the positions themselves.

    Raises:
        SeedError: at once if a file cannot be used, or while reading if it turns out damaged.
    """
    pick = _pick(source)
    return _read(source, _files(source), pick, _flags(skip))


def count(source: SeedSource) -> int:
    """How many records `read` would give, readable or not."""
    return sum(_length(path, kind, source) for path, kind in _files(source))


def digest(source: SeedSource) -> str:
    """Name the bytes of all files in 32 hex digits; where the files lie does not matter."""
    whole = blake2b(digest_size=16)
    block = memoryview(bytearray(1 << 20))
    for path, _ in _files(source):
        size = 0
        try:
            with path.open("rb", buffering=0) as file:
                while filled := file.readinto(block):
                    whole.update(block[:filled])
                    size += filled
        except OSError as error:
            raise SeedError(f"{path}: {error.strerror}") from error
        whole.update(size.to_bytes(8, "little"))
    return whole.hexdigest()


def _read(
    source: SeedSource, files: list[tuple[Path, str]], pick: _Pick, flags: Iterator[object]
) -> Iterator[Seed | Unreadable]:
    positions = counter()
    for path, kind in files:
        rows, mark = _rows(path, kind, source)
        take = partial(_take, _from_json(pick) if kind in {"jsonl", "json"} else pick)
        limit = source.max_seed_bytes
        # rows come first: zip then takes no position for the row that is not there
        for (number, row), position, finished in zip(rows, positions, flags, strict=False):
            if finished:
                continue
            try:
                instruction = take(row, limit)
            except _Unfit as fault:
                yield Unreadable(position, f"{path}{mark}{number}", str(fault))
            else:
                yield Seed(position, identity("seed", instruction), instruction)
    if next(positions) == 0:
        names = ", ".join(str(path) for path in source.paths)
        raise SeedError(f"{names}: holds no records; give a file with at least one instruction")


def _flags(skip: Container[int]) -> Iterator[object]:
    if isinstance(skip, bytes | bytearray):
        return chain(skip, repeat(0))
    return (position in skip for position in counter())


def _take(pick: _Pick, row: Any, limit: int) -> str:
    if isinstance(row, _Unfit):
        raise row
    text = pick(row)
    if not text or text.isspace():
        raise _Unfit("the instruction is empty")
    if len(text) * 4 > limit and (size := len(text.encode("utf-8", "surrogatepass"))) > limit:
        raise _Unfit(f"the instruction is too long: {size:,} bytes, {limit:,} are allowed")
    return text


# Which files


def _files(source: SeedSource) -> list[tuple[Path, str]]:
    _check_format(source.format)
    if not source.paths:
        raise SeedError("no seed file is given")
    return [
        file
        for path in source.paths
        for file in (
            _inside(path, source.format, frozenset())
            if stat.S_ISDIR(_stat(path).st_mode)
            else [_file(path, source.format)]
        )
    ]


def _check_format(name: str | None) -> None:
    known = dict.fromkeys(_KINDS.values())
    if name is not None and name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SeedError(f"seed format {name!r} is not one of {', '.join(known)}{hint}")


def _kind(path: Path) -> str | None:
    return _KINDS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def _file(path: Path, kind: str | None) -> tuple[Path, str]:
    state = _stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise SeedError(
            f"{path}: not a regular file; a run that is resumed reads its seeds again, "
            "so save them to a file first"
        )
    if state.st_size == 0:
        raise SeedError(f"{path}: the file is empty")
    kind = kind or _kind(path)
    if kind is None:
        raise SeedError(
            f"{path}: unknown kind of file; name it {', '.join(_KINDS)} (text also .gz), "
            "or say which format it has"
        )
    return path, kind


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError as error:
        if _kind(path) is None and not path.is_absolute() and len(path.parts) <= 2:
            raise SeedError(
                f"{path}: no such file or folder. Datasets are not fetched by name: download it "
                f"(hf download --repo-type dataset {path} --local-dir DIR) and give the folder"
            ) from error
        if re.match(r"\w+:/", str(path)):
            raise SeedError(
                f"{path}: addresses are not fetched; download the file and give its path"
            ) from error
        raise SeedError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise SeedError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _inside(
    folder: Path, kind: str | None, above: frozenset[tuple[int, int]]
) -> list[tuple[Path, str]]:
    found = list(_walk(folder, kind, above))
    if not found and not above:
        raise SeedError(f"{folder}: no seed file in it; looked for {', '.join(_KINDS)}")
    return found


def _walk(
    folder: Path, kind: str | None, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[Path, str]]:
    state = _stat(folder)
    here = (state.st_dev, state.st_ino)
    if here in above:
        raise SeedError(f"{folder}: the folder holds itself through a link; remove the link")
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, to sort by
    except OSError as error:
        raise SeedError(f"{folder}: {error.strerror}") from error
    for path in (folder / name for name in names if not name.startswith(".")):
        if path.is_dir():
            yield from _inside(path, kind, above | {here})
        elif (own := _kind(path)) and own == (kind or own) and path.name not in _ABOUT_A_DATASET:
            yield _file(path, own)


# What the rows of a file are


def _rows(path: Path, kind: str, source: SeedSource) -> tuple[_Rows, str]:
    """Give the rows of a file with their numbers, and the mark between its name and a number.

    Lines are counted from 1, records of arrays and columns from 0.
    """
    if kind == "json":
        return (_array(path), "#") if _is_array(path) else (_lines(path), ":")
    if kind == "jsonl":
        return _lines(path), ":"
    if kind in {"csv", "tsv"}:
        return _table(path, "\t" if kind == "tsv" else ",", source), ":"
    return _arrow_rows(path, kind, source), "#"


def _length(path: Path, kind: str, source: SeedSource) -> int:
    if kind == "parquet":
        with _arrow(path) as (pa, file), pa.parquet.ParquetFile(file) as table:
            return int(table.metadata.num_rows)
    return sum(1 for _ in _rows(path, kind, source)[0])


@contextmanager
def _opened(path: Path) -> Generator[io.BufferedReader]:
    """Open a text file behind its byte order mark, unpacked if it is packed."""
    try:
        with io.BufferedReader(path.open("rb", buffering=0), 1 << 18) as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: io.BufferedReader[Any] = raw
            if packed:
                file = io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 18)
            if file.peek(3)[:3] == b"\xef\xbb\xbf":
                file.read(3)
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SeedError(f"{path}: damaged gzip file ({error}); fetch or pack it again") from error
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror or error}") from error


def _finish(file: io.BufferedReader, line: bytes) -> bool:
    """Skip to the end of the line whose beginning is *line*; False if it was whole."""
    if len(line) < MAX_LINE or line.endswith(b"\n"):
        return False
    while line and not line.endswith(b"\n"):
        line = file.readline(1 << 20)
    return True


def _lines(path: Path) -> _Rows:
    with _opened(path) as file:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE), b""), 1):
            if line.isspace():
                continue
            if len(line) >= MAX_LINE and _finish(file, line):
                yield number, _Unfit(f"the line is too long: over {MAX_LINE:,} bytes")
            else:
                yield number, line


def _is_array(path: Path) -> bool:
    """Tell a JSON array from JSON lines, which are often named .json too."""
    with _opened(path) as file:
        lines = iter(partial(file.readline, MAX_LINE), b"")
        first = next((line for line in lines if not line.isspace()), b"")
    if first.lstrip().startswith(b"["):
        return True
    try:
        _json(first)
    except _Unfit as error:
        raise SeedError(
            f"{path}: neither a JSON array of records nor JSON lines ({error}); "
            "name it .jsonl if only its first line is bad"
        ) from error
    return False


def _array(path: Path) -> _Rows:
    with _opened(path) as file:
        data = file.read()
    try:
        rows: Iterable[bytes] = map(bytes, _parts.decode(data))
    except (msgspec.DecodeError, RecursionError):
        rows = _split(path, data)
    yield from enumerate(rows)


def _split(path: Path, data: bytes) -> Iterator[bytes]:
    """Cut an array where the fast decoder refuses a part of it, so that only that part is lost."""
    text = data.decode("utf-8", "surrogateescape")
    decode = JSONDecoder().raw_decode
    gap = re.compile(r"[ \t\r\n]*")
    place = _after(gap, text, text.index("[") + 1)
    while not text.startswith("]", place):
        try:
            _, end = decode(text, place)
        except (ValueError, RecursionError) as error:
            raise SeedError(f"{path}: not a JSON array ({error})") from error
        yield text[place:end].encode("utf-8", "surrogateescape")
        place = _after(gap, text, end)
        if text.startswith(",", place):
            place = _after(gap, text, place + 1)
        elif not text.startswith("]", place):
            raise SeedError(f"{path}: not a JSON array (character {place}: expected , or ])")


def _after(gap: re.Pattern[str], text: str, place: int) -> int:
    match = gap.match(text, place)
    return match.end() if match else place


def _texts(file: io.BufferedReader) -> Iterator[str]:
    for line in iter(partial(file.readline, MAX_LINE), b""):
        _finish(file, line)  # what is left of it is more than a field may hold
        yield line.decode("utf-8", "surrogateescape")


def _table(path: Path, delimiter: str, source: SeedSource) -> _Rows:
    csv.field_size_limit(MAX_FIELD)  # for the whole process: the csv module knows no other way
    with _opened(path) as file:
        reader = csv.reader(_texts(file), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            number = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if header is None:
                    raise SeedError(f"{path}: the header cannot be read ({error})") from error
                yield number, _Unfit(f"not CSV: {error}")
                continue
            if row and header is None:
                header = _header(path, row, source)
            elif row and header is not None:
                yield number, _record(header, row)


def _header(path: Path, row: list[str], source: SeedSource) -> list[str]:
    names = [name.strip() for name in row]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SeedError(f"{path}: column {twice[0]!r} is there twice; rename one")
    _check_columns(path, names, source)
    return names


def _record(header: list[str], row: list[str]) -> dict[str, str] | _Unfit:
    if len(row) != len(header):
        return _Unfit(f"the row has {len(row)} fields, the header {len(header)}")
    try:
        "".join(row).encode()
    except UnicodeEncodeError as error:  # surrogateescape has kept the byte
        return _Unfit(f"invalid UTF-8: byte 0x{ord(error.object[error.start]) - 0xDC00:02x}")
    return dict(zip(header, row, strict=True))


def _check_columns(path: Path, names: Sequence[str], source: SeedSource) -> None:
    def there(wanted: str) -> bool:
        return wanted in names or wanted.split(".", 1)[0] in names

    required = _required(source)
    missing = [name for name in required if not there(name)]
    if missing or (not required and not any(map(there, _FIELDS))):
        what = f"column {missing[0]!r}" if missing else "column known to hold instructions"
        raise SeedError(f"{path}: no {what}; it has {_names(names)}: choose one as the seed field")


@contextmanager
def _arrow(path: Path) -> Generator[tuple[Any, Any]]:
    try:
        pa: Any = import_module("pyarrow")
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise SeedError(
            f'{path}: reading it needs pyarrow: pip install "codeclm[parquet]"'
        ) from error
    try:
        with path.open("rb") as file:
            yield pa, file
    except (pa.ArrowException, OSError) as error:
        raise SeedError(f"{path}: cannot be read ({error})") from error


def _arrow_rows(path: Path, kind: str, source: SeedSource) -> _Rows:
    with _arrow(path) as (pa, file):
        names, batches = (_parquet if kind == "parquet" else _shards)(pa, file, source)
        _check_columns(path, names, source)
        yield from enumerate(chain.from_iterable(map(_dicts, batches)))


def _parquet(pa: Any, file: Any, source: SeedSource) -> tuple[list[str], Iterator[Any]]:
    table = pa.parquet.ParquetFile(file)
    names: list[str] = table.schema_arrow.names
    wanted = _wanted(source)
    columns = [name for name in names if name in wanted]
    # small batches, because one record may be a megabyte
    return names, table.iter_batches(batch_size=256, columns=columns, use_threads=False)


def _shards(pa: Any, file: Any, source: SeedSource) -> tuple[list[str], Iterator[Any]]:
    """Read what the datasets library leaves on disk: the stream form, in older files the other."""
    if file.read(6) == b"ARROW1":
        file.seek(0)
        table = pa.ipc.open_file(file)
        batches = (table.get_batch(number) for number in range(table.num_record_batches))
    else:
        file.seek(0)
        table = pa.ipc.open_stream(file)
        batches = iter(table)
    columns = [name for name in table.schema.names if name in _wanted(source)]
    return table.schema.names, (batch.select(columns) for batch in batches)


def _dicts(batch: Any) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield _Unfit(_bad_byte(error))


# What a record says


def _from_json(pick: _Pick) -> _Pick:
    if pick is _usual:
        return _usual_json
    return lambda line: pick(_json(line))


def _usual_json(line: bytes) -> str:
    try:
        record = _plain.decode(line.decode())
    except (ValueError, RecursionError):
        return _usual(_json(line))
    if record.instances is UNSET:
        return _joined(record.instruction, record.input)
    return _usual(_json(line))


def _json(line: bytes) -> Any:
    try:
        line.decode()
        return wire.loads(line, _anything)
    except UnicodeDecodeError as error:
        raise _Unfit(_bad_byte(error)) from error
    except RecursionError as error:
        raise _Unfit("not JSON: nested too deeply") from error
    except msgspec.DecodeError as error:
        raise _Unfit(f"not JSON: {str(error).removeprefix('JSON is malformed: ')}") from error


def _bad_byte(error: UnicodeDecodeError) -> str:
    return f"invalid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def _pick(source: SeedSource) -> _Pick:
    if source.template is not None and source.field is not None:
        raise SeedError("a seed field and a seed template are given; choose one")
    if source.template is not None:
        return partial(_filled, _pieces(source.template))
    return _usual if source.field is None else partial(_chosen, source.field)


def _required(source: SeedSource) -> list[str]:
    if source.template is not None:
        return [slot.name for slot in _slots(source.template) if not slot.optional]
    return [] if source.field is None else [source.field]


def _wanted(source: SeedSource) -> set[str]:
    if source.template is not None:
        names = [slot.name for slot in _slots(source.template)]
    else:
        names = [*_FIELDS, *_BESIDE] if source.field is None else [source.field]
    return {*names, *(name.split(".")[0] for name in names)}


def _usual(record: Any) -> str:
    if isinstance(record, str):
        return record
    fields = _object(record)
    for name in _FIELDS:
        value = fields.get(name)
        if value is not None:
            text = _text(value, name)
            return _joined(text, _input(fields)) if name == "instruction" else text
    raise _Unfit(f"none of the usual fields; it has {_names(fields)}")


def _joined(instruction: str, beside: str | None) -> str:
    if not instruction or instruction.isspace():
        raise _Unfit("the instruction is empty")
    return f"{instruction}\n\n{beside}" if beside and not beside.isspace() else instruction


def _input(fields: dict[str, Any]) -> str | None:
    value = fields.get("input")
    if value is not None:
        return _text(value, "input")
    value = _at(fields, "instances.0.input")
    return value if isinstance(value, str) else None


def _chosen(path: str, record: Any) -> str:
    fields = _object(record)
    value = _at(fields, path)
    if value is None:
        raise _Unfit(f"no field {path!r}; it has {_names(fields)}")
    return _text(value, path)


def _object(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise _Unfit(f"the record is {_sort(record)}, not an object")
    return cast("dict[str, Any]", record)


def _at(fields: dict[str, Any], path: str) -> Any:
    """Look up *path*; None where there is nothing. A name that holds dots is found as it is."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for part in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(part)
        elif isinstance(value, list) and part.isdecimal():
            items = cast("Sequence[Any]", value)
            value = items[int(part)] if int(part) < len(items) else None
        else:
            return None
    return value


def _text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _first_turn(cast("Sequence[Any]", value), name)
    raise _Unfit(f"field {name!r} is {_sort(value)}, not text")


def _first_turn(turns: Sequence[Any], name: str) -> str:
    """Give what the user says first: in a list of texts, of messages, or of ShareGPT turns."""
    for turn in turns:
        if isinstance(turn, str):
            return turn
        fields = cast("dict[str, Any]", turn) if isinstance(turn, dict) else {}
        if (fields.get("role") or fields.get("from")) in {"user", "human"}:
            return _content(fields.get("content", fields.get("value")), name)
    raise _Unfit(f"field {name!r} is a list without a user's turn")


def _content(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    parts: list[Any] = [
        cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
        for part in (cast("Sequence[Any]", value) if isinstance(value, list) else [None])
    ]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    raise _Unfit(f"field {name!r}: the first user's turn is not text only")


_SORTS = ((str, "a text"), (dict, "an object"), (list, "a list"), (bool, "a truth value"))


def _sort(value: object) -> str:
    if value is None:
        return "null"
    names = (name for kind, name in _SORTS if isinstance(value, kind))
    return next(names, "a number" if isinstance(value, int | float) else "of another kind")


def _names(fields: Iterable[str]) -> str:
    names = [name if len(name) <= 40 else f"{name[:40]}…" for name in fields]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return (", ".join(map(repr, names[:12])) or "no fields") + more


# Templates


_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def _pieces(template: str) -> list[str | _Slot]:
    """Take a template apart. Line ends at its end, which config files add, are dropped."""
    template = template.rstrip("\r\n")
    pieces: list[str | _Slot] = []
    literal, place = "", 0
    for token in _TOKEN.finditer(template):
        literal += template[place : token.start()]
        place = token.end()
        name = token[1]
        if name is None and len(token[0]) == 1:
            raise SeedError(
                f"seed template: a lone {token[0]} at character {token.start()}; double it"
            )
        if name is None:
            literal += token[0][0]
            continue
        if not name.strip():
            raise SeedError(f"seed template: no field name in {token[0]} at {token.start()}")
        alone = literal.endswith("\n") and template[place : place + 1] in {"", "\n", "\r"}
        pieces += [literal, _Slot(name.strip(), optional=bool(pieces) and alone)]
        literal = ""
    if not pieces:
        raise SeedError("seed template: it names no field; write one as {instruction}")
    return [*pieces, literal]


def _slots(template: str) -> list[_Slot]:
    return [piece for piece in _pieces(template) if isinstance(piece, _Slot)]


def _filled(pieces: list[str | _Slot], record: Any) -> str:
    fields = _object(record)
    texts = [piece if isinstance(piece, str) else _filling(fields, piece) for piece in pieces]
    end = len(texts)
    # from the end: nothing, an optional slot left empty, and the line ends before it
    while end > 2 and not texts[end - 1] and _is_optional(pieces[end - 2]) and not texts[end - 2]:
        end -= 2
        texts[end - 1] = texts[end - 1].rstrip("\r\n")
    return "".join(texts[:end])


def _is_optional(piece: str | _Slot) -> bool:
    return isinstance(piece, _Slot) and piece.optional


def _filling(fields: dict[str, Any], slot: _Slot) -> str:
    value = _at(fields, slot.name)
    if value is None and not slot.optional:
        raise _Unfit(f"no field {slot.name!r}; it has {_names(fields)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    text = "" if value is None else _text(value, slot.name)
    if text and not text.isspace():
        return text
    if not slot.optional:
        raise _Unfit(f"field {slot.name!r} is empty")
    return ""
