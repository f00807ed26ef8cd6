"""What a record says: the field or the template that makes it an instruction."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ....providers import json_codec
from .source import SeedError, SeedSource, Unfit

FIELDS = (
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


class _Slot(Struct, frozen=True):
    name: str
    optional: bool


class _Plain(Struct):
    """An Alpaca record, the most common one: decoding no more than this doubles the speed."""

    instruction: str
    input: str | None = None
    instances: Raw | UnsetType = UNSET


Pick = Callable[[Any], str]
_plain = msgspec.json.Decoder(_Plain)
_anything = msgspec.json.Decoder(Any)


def from_json(pick: Pick) -> Pick:
    if pick is _usual:
        return _usual_json
    return lambda line: pick(parse(line))


def _usual_json(line: bytes) -> str:
    try:
        record = _plain.decode(line.decode())
    except (ValueError, RecursionError):
        return _usual(parse(line))
    if record.instances is UNSET:
        return _joined(record.instruction, record.input)
    return _usual(parse(line))


def parse(line: bytes) -> Any:
    try:
        line.decode()
        return json_codec.loads(line, _anything)
    except UnicodeDecodeError as error:
        raise Unfit(bad_byte(error)) from error
    except RecursionError as error:
        raise Unfit("not JSON: nested too deeply") from error
    except msgspec.DecodeError as error:
        raise Unfit(f"not JSON: {str(error).removeprefix('JSON is malformed: ')}") from error


def bad_byte(error: UnicodeDecodeError) -> str:
    return f"invalid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def picker(source: SeedSource) -> Pick:
    if source.template is not None and source.field is not None:
        raise SeedError("a seed field and a seed template are given; choose one")
    if source.template is not None:
        return partial(_filled, _pieces(source.template))
    return _usual if source.field is None else partial(_chosen, source.field)


def required_fields(source: SeedSource) -> list[str]:
    if source.template is not None:
        return [slot.name for slot in _slots(source.template) if not slot.optional]
    return [] if source.field is None else [source.field]


def wanted_fields(source: SeedSource) -> set[str]:
    if source.template is not None:
        names = [slot.name for slot in _slots(source.template)]
    else:
        names = [*FIELDS, *_BESIDE] if source.field is None else [source.field]
    return {*names, *(name.split(".")[0] for name in names)}


def _usual(record: Any) -> str:
    if isinstance(record, str):
        return record
    fields = _object(record)
    for name in FIELDS:
        value = fields.get(name)
        if value is not None:
            text = _text(value, name)
            return _joined(text, _input(fields)) if name == "instruction" else text
    raise Unfit(f"none of the usual fields; it has {listed(fields)}")


def _joined(instruction: str, beside: str | None) -> str:
    if not instruction or instruction.isspace():
        raise Unfit("the instruction is empty")
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
        raise Unfit(f"no field {path!r}; it has {listed(fields)}")
    return _text(value, path)


def _object(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise Unfit(f"the record is {_sort(record)}, not an object")
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
    raise Unfit(f"field {name!r} is {_sort(value)}, not text")


def _first_turn(turns: Sequence[Any], name: str) -> str:
    """Give what the user says first: in a list of texts, of messages, or of ShareGPT turns."""
    for turn in turns:
        if isinstance(turn, str):
            return turn
        fields = cast("dict[str, Any]", turn) if isinstance(turn, dict) else {}
        if (fields.get("role") or fields.get("from")) in {"user", "human"}:
            return _content(fields.get("content", fields.get("value")), name)
    raise Unfit(f"field {name!r} is a list without a user's turn")


def _content(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    parts: list[Any] = [
        cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
        for part in (cast("Sequence[Any]", value) if isinstance(value, list) else [None])
    ]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    raise Unfit(f"field {name!r}: the first user's turn is not text only")


_SORTS = ((str, "a text"), (dict, "an object"), (list, "a list"), (bool, "a truth value"))


def _sort(value: object) -> str:
    if value is None:
        return "null"
    names = (name for kind, name in _SORTS if isinstance(value, kind))
    return next(names, "a number" if isinstance(value, int | float) else "of another kind")


def listed(fields: Iterable[str]) -> str:
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
        raise Unfit(f"no field {slot.name!r}; it has {listed(fields)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    text = "" if value is None else _text(value, slot.name)
    if text and not text.isspace():
        return text
    if not slot.optional:
        raise Unfit(f"field {slot.name!r} is empty")
    return ""
