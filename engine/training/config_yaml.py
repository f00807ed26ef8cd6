"""Write the YAML that trainers read."""

from collections.abc import Iterator
from typing import Any

import msgspec


def config_yaml(comment: str, values: dict[str, Any]) -> str:
    """Write *values* below *comment*, so that YAML 1.1 and 1.2 read the same."""
    lines = [f"# {line}".rstrip() for line in comment.strip().splitlines()]
    return "\n".join([*lines, *_lines(values, "")]) + "\n"


def _lines(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                first, *rest = _lines(item, f"{indent}    ")  # pyright: ignore[reportUnknownArgumentType]
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        # YAML 1.1 reads 1e-05 as a string: a float needs a point.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"
    return msgspec.json.encode(value).decode()  # JSON's strings, numbers and booleans are YAML's
