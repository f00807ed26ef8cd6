"""Values within a record: parsing them, following a path to one, and reading its text."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from ....providers import json_codec
from .source import UnusableRecordError

_any_value = msgspec.json.Decoder(Any)


def parse_json(line: bytes) -> Any:
    """Parse a record.

    Raises:
        UnusableRecordError: it is not JSON in UTF-8.
    """
    try:
        line.decode()
        return json_codec.loads(line, _any_value)
    except UnicodeDecodeError as error:
        raise UnusableRecordError(describe_bad_byte(error)) from error
    except RecursionError as error:
        raise UnusableRecordError("not JSON: nested too deeply") from error
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise UnusableRecordError(f"not JSON: {reason}") from error


def describe_bad_byte(error: UnicodeDecodeError) -> str:
    return f"invalid UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record.

    Raises:
        UnusableRecordError: it is not an object.
    """
    if not isinstance(record, dict):
        raise UnusableRecordError(f"the record is {_kind(record)}, not an object")
    return cast("dict[str, Any]", record)


def value_at(fields: dict[str, Any], path: str) -> Any:
    """Return the value at *path*, or None. The name of a field may itself have dots."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step)
        elif isinstance(value, list) and step.isdecimal():
            items = cast("Sequence[Any]", value)
            value = items[int(step)] if int(step) < len(items) else None
        else:
            return None
    return value


def text_of(value: Any, field: str) -> str:
    """Return the text of a field; of a conversation, what its user says first.

    Raises:
        UnusableRecordError: it holds no text; the message names *field*.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _first_user_turn(cast("Sequence[Any]", value), field)
    raise UnusableRecordError(f"field {field!r} is {_kind(value)}, not text")


def list_names(names: Iterable[str]) -> str:
    """List field names for a message: the first dozen, shortened."""
    short = [name if len(name) <= 40 else f"{name[:40]}…" for name in names]
    more = f" and {len(short) - 12} more" if len(short) > 12 else ""
    return (", ".join(map(repr, short[:12])) or "no fields") + more


def _first_user_turn(turns: Sequence[Any], field: str) -> str:
    """Read a list of texts, of chat messages, or of ShareGPT turns."""
    for turn in turns:
        if isinstance(turn, str):
            return turn
        fields = cast("dict[str, Any]", turn) if isinstance(turn, dict) else {}
        if (fields.get("role") or fields.get("from")) in {"user", "human"}:
            return _content(fields.get("content", fields.get("value")), field)
    raise UnusableRecordError(f"field {field!r} is a list without a user's turn")


def _content(value: Any, field: str) -> str:
    """Read a message's content: text, or a list of parts that are all text."""
    if isinstance(value, str):
        return value
    parts: list[Any] = [
        cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
        for part in (cast("Sequence[Any]", value) if isinstance(value, list) else [None])
    ]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    raise UnusableRecordError(f"field {field!r}: the first user's turn is not text only")


_KINDS: Final = (
    (str, "a text"),
    (dict, "an object"),
    (list, "a list"),
    (bool, "a truth value"),
    (int | float, "a number"),
)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "of another kind")
