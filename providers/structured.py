"""JSON schemas as vendors take them: none takes all of JSON Schema."""

from collections.abc import Mapping
from typing import Any, Final, cast

CLAUDE_DROPS: Final = frozenset(
    {"maxItems", "maximum", "exclusiveMaximum", "maxLength", "minimum", "exclusiveMinimum"}
    | {"minLength", "multipleOf", "pattern", "uniqueItems"}
)
"""platform.claude.com, "JSON Schema limitations"; minItems may be 0 or 1."""

GEMINI_DROPS: Final = frozenset({"minLength", "maxLength", "pattern", "uniqueItems", "multipleOf"})
"""ai.google.dev, ``responseJsonSchema``: what is not in its list."""


def without_keywords(schema: Mapping[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    """Return *schema* without the keywords *dropped*, which its descriptions tell the model.

    A ``minItems`` above 1 goes with ``maxItems``.
    """
    kept: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in schema.items():
        is_many = name == "minItems" and "maxItems" in dropped and value > 1
        if name in dropped or is_many:
            told[name] = value
        elif name == "properties":
            inner = cast("dict[str, dict[str, Any]]", value)
            kept[name] = {key: without_keywords(each, dropped) for key, each in inner.items()}
        elif name == "items":
            kept[name] = without_keywords(value, dropped)
        elif name in {"anyOf", "allOf", "oneOf"}:
            kept[name] = [without_keywords(each, dropped) for each in value]
        else:
            kept[name] = value
    if told:
        bounds = ", ".join(f"{name}: {value}" for name, value in told.items())
        kept["description"] = f"{schema.get('description', '')} {{{bounds}}}".lstrip()
    return kept


def is_strict(schema: object) -> bool:
    """Whether OpenAI takes *schema* as strict: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(is_strict, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return True
    node = cast("dict[str, Any]", schema)
    if isinstance(properties := node.get("properties"), dict):
        named = set(cast("dict[str, Any]", properties))
        if node.get("additionalProperties") is not False or named != set(node.get("required", ())):
            return False
    return all(map(is_strict, node.values()))
