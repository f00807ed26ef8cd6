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


def without_keywords(schema: Mapping[str, Any], unsupported: frozenset[str]) -> dict[str, Any]:
    """Return *schema* without the keywords *unsupported*, which its descriptions tell the model.

    A ``minItems`` above 1 goes with ``maxItems``.
    """
    result: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, value in schema.items():
        is_many = name == "minItems" and "maxItems" in unsupported and value > 1
        if name in unsupported or is_many:
            bounds[name] = value
        elif name == "properties":
            inner = cast("dict[str, dict[str, Any]]", value)
            result[name] = {key: without_keywords(item, unsupported) for key, item in inner.items()}
        elif name == "items":
            result[name] = without_keywords(value, unsupported)
        elif name in {"anyOf", "allOf", "oneOf"}:
            result[name] = [without_keywords(item, unsupported) for item in value]
        else:
            result[name] = value
    if bounds:
        text = ", ".join(f"{name}: {value}" for name, value in bounds.items())
        result["description"] = f"{schema.get('description', '')} {{{text}}}".lstrip()
    return result


def is_strict(schema: object) -> bool:
    """Whether OpenAI takes *schema* as strict: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(is_strict, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return True
    node = cast("dict[str, Any]", schema)
    if isinstance(properties := node.get("properties"), dict):
        names = set(cast("dict[str, Any]", properties))
        if node.get("additionalProperties") is not False or names != set(node.get("required", ())):
            return False
    return all(map(is_strict, node.values()))
