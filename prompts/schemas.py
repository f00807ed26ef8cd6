"""The shape of a structured reply, stage by stage, as JSON schema.

Strings and arrays are bounded, and scores are an enumeration of integers: grammars made from
schemas (llama.cpp's) hold a small model to these, and to little else.
"""

from collections.abc import Sequence
from typing import Any

from .templates import Stage


def schema_for(
    stage: Stage, *, number: int = 4, use_cases: Sequence[str] = (), skills: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Give the schema of *stage*'s reply; None for `respond`, whose reply is free.

    *number* counts instructions, or rubrics and actions; *use_cases* and *skills* are the allowed
    ones for `encode`.
    """
    match stage:
        case "encode":
            return _object(
                use_case=_one_of(use_cases) if use_cases else _text(60),
                skills=_list(_one_of(skills) if skills else _text(40), 1, 3),
            )
        case "decode":
            return _object(instructions=_list(_text(600), number, number))
        case "rubrics":
            lines = _list(_text(240), number, number)
            return _object(rubrics=lines, actions=lines)
        case "invent":
            return _object(instructions=_list(_text(600), 1, number))
        case "improve" | "grow" | "deepen" | "complicate" | "broaden":
            return _object(instruction=_text(2_000))
        case "score":
            return _object(assistant_1=_SCORE, assistant_2=_SCORE)
        case "judge":
            return _object(assistant_1=_SCORE, assistant_2=_SCORE, explanation=_text(1_200))
        case "plausible":
            return _object(plausible={"type": "boolean"})
        case "rate":
            return _object(score={"type": "integer", "enum": list(range(6))})
        case "equal":
            return _object(equal={"type": "boolean"})
        case "respond":
            return None


_SCORE: dict[str, Any] = {"type": "integer", "enum": list(range(1, 11))}


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _one_of(names: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


def _list(items: dict[str, Any], fewest: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": fewest, "maxItems": most}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
