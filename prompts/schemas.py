"""Pieces of the JSON schemas for structured replies.

Strings and arrays are bounded, and scores are an enumeration: grammars made from schemas
(llama.cpp's) hold a small model to these bounds, and to little else.
"""

from collections.abc import Sequence
from typing import Any, Final

from .prompt import JsonSchema

BOOLEAN: Final[JsonSchema] = {"type": "boolean"}

LONGEST_INSTRUCTION: Final = 1_900
"""Characters of an instruction in a structured reply.

Of the paper's test prompts 97 % are shorter. llama.cpp repeats a rule fewer than 2,000 times:
https://github.com/ggml-org/llama.cpp/issues/27087.
"""


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


def scores(first: int, last: int) -> JsonSchema:
    """Return the schema of a score from *first* to *last* in steps of a half."""
    values: list[Any] = [n / 2 if n % 2 else n // 2 for n in range(2 * first, 2 * last + 1)]
    return {"type": "number", "enum": values}


def instruction(original: str = "") -> JsonSchema:
    """Return the schema of a reply that is one instruction, perhaps a rewrite of *original*.

    A long original leaves no room below `LONGEST_INSTRUCTION`, so its rewrite is unbounded.
    """
    is_long = len(original) > LONGEST_INSTRUCTION // 2
    text: JsonSchema = {"type": "string", "minLength": 1}
    return object_of(instruction=text if is_long else string(LONGEST_INSTRUCTION))
