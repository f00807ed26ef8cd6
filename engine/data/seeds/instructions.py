"""Find a record's instruction: by a field, a template, or the names that datasets use."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ....providers import json_codec
from .source import SeedError, SeedSource, UnusableRecordError
from .template import parse_template
from .values import fields_of, list_names, parse_json, text_of, value_at

USUAL_FIELDS: Final = (
    "instruction",
    "Instruction",
    "prompt",
    "question",
    "text",
    "turns",
    "messages",
    "conversations",
)
"""Tried in this order."""
_INPUT_FIELDS: Final = ("input", "instances")
"""The field that Alpaca and Self-Instruct put beside an instruction."""

MAX_STRATUM: Final = 200
"""Most characters of a value to stratify by: a category, not a text."""

ReadInstruction = Callable[[Any], str]
"""Returns the instruction of a record, or raises an UnusableRecordError."""


def instruction_reader(source: SeedSource) -> ReadInstruction:
    """Return the function that reads instructions as *source* says.

    Raises:
        SeedError: its settings do not go together, or its template is wrong.
    """
    if source.template is not None and source.field is not None:
        raise SeedError("a seed field and a seed template are given: choose one")
    if source.template is not None:
        return parse_template(source.template).fill
    return _read_usual if source.field is None else partial(_read_field, source.field)


def json_instruction_reader(read: ReadInstruction) -> Callable[[bytes], str]:
    """Return what *read* does for a record that is still JSON."""
    if read is _read_usual:
        return _read_usual_json
    return lambda line: read(parse_json(line))


def required_fields(source: SeedSource) -> list[str]:
    """Return the fields that every record must have; none if the usual names are tried."""
    if source.template is not None:
        placeholders = parse_template(source.template).placeholders
        return [placeholder.field for placeholder in placeholders if not placeholder.optional]
    return [] if source.field is None else [source.field]


def used_fields(source: SeedSource) -> set[str]:
    """Return the fields that may be read, with the first step of each that is a path."""
    if source.template is not None:
        names = [placeholder.field for placeholder in parse_template(source.template).placeholders]
    else:
        names = [*USUAL_FIELDS, *_INPUT_FIELDS] if source.field is None else [source.field]
    if source.stratify is not None:
        names.append(source.stratify)
    return {*names, *(name.split(".")[0] for name in names)}


def stratum_reader(source: SeedSource) -> ReadInstruction | None:
    """Return the function that reads the value to stratify by; None without one."""
    return None if source.stratify is None else partial(_read_stratum, source.stratify)


def _read_stratum(path: str, record: Any) -> str:
    """Return the value at *path* as text; empty if the record has none, or holds no fields."""
    record = parse_json(record) if isinstance(record, bytes) else record
    value = value_at(cast("dict[str, Any]", record), path) if isinstance(record, dict) else None
    if value is None:
        return ""
    text = value if isinstance(value, str) else json_codec.dumps(value).decode()
    return text[:MAX_STRATUM]


class _AlpacaRecord(Struct):
    """The most common record: decoding no more than this is twice as fast."""

    instruction: str
    input: str | None = None
    instances: Raw | UnsetType = UNSET


_alpaca_record = msgspec.json.Decoder(_AlpacaRecord)


def _read_usual_json(line: bytes) -> str:
    try:
        record = _alpaca_record.decode(line.decode())
    except (ValueError, RecursionError):
        return _read_usual(parse_json(line))
    if record.instances is UNSET:
        return _with_input(record.instruction, record.input)
    return _read_usual(parse_json(line))


def _read_usual(record: Any) -> str:
    if isinstance(record, str):
        return record
    fields = fields_of(record)
    for name in USUAL_FIELDS:
        value = fields.get(name)
        if value is not None:
            text = text_of(value, name)
            return _with_input(text, _input_of(fields)) if name == "instruction" else text
    raise UnusableRecordError(f"none of the usual fields; it has {list_names(fields)}")


def _with_input(instruction: str, input_text: str | None) -> str:
    if not instruction or instruction.isspace():
        raise UnusableRecordError("the instruction is empty")
    has_input = input_text is not None and input_text and not input_text.isspace()
    return f"{instruction}\n\n{input_text}" if has_input else instruction


def _input_of(fields: dict[str, Any]) -> str | None:
    value = fields.get("input")
    if value is not None:
        return text_of(value, "input")
    value = value_at(fields, "instances.0.input")
    return value if isinstance(value, str) else None


def _read_field(path: str, record: Any) -> str:
    fields = fields_of(record)
    value = value_at(fields, path)
    if value is None:
        raise UnusableRecordError(f"no field {path!r}; it has {list_names(fields)}")
    return text_of(value, path)
