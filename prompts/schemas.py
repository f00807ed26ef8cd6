"""Pieces of the JSON schemas for structured replies.

Strings and arrays are bounded, and scores are an enumeration of integers: grammars made from
schemas (llama.cpp's) hold a small model to these bounds, and to little else.
"""

from collections.abc import Sequence
from typing import Any, Final

from .prompt import JsonSchema

BOOLEAN: Final[JsonSchema] = {"type": "boolean"}


def object_of(**properties: JsonSchema) -> JsonSchema:
    """Return the schema of an object with exactly these *properties*."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(items: JsonSchema, at_least: int, at_most: int) -> JsonSchema:
    return {"type": "array", "items": items, "minItems": at_least, "maxItems": at_most}


def string(at_most: int) -> JsonSchema:
    """Return the schema of a non-empty string of *at_most* characters."""
    return {"type": "string", "minLength": 1, "maxLength": at_most}


def one_of(values: Sequence[str]) -> JsonSchema:
    return {"type": "string", "enum": list(values)}


def integer(first: int, last: int) -> JsonSchema:
    """Return the schema of an integer from *first* to *last*."""
    values: list[Any] = list(range(first, last + 1))
    return {"type": "integer", "enum": values}


def instruction() -> JsonSchema:
    """Return the schema of a reply that is one rewritten instruction."""
    return object_of(instruction=string(2_000))
