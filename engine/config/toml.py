"""Write settings as TOML; the standard library only reads it."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(settings: Struct) -> str:
    """Return *settings* as TOML, without defaults. API keys are never among them."""
    return "".join(_tables(msgspec.to_builtins(settings), ""))


def toml_value(value: Any) -> str:
    """Return *value* as it is written after ``key =``."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return f"{{ {', '.join(f'{_key(k)} = {toml_value(v)}' for k, v in table.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, cast('list[Any]', value)))}]"
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _tables(tree: Mapping[str, Any], prefix: str) -> list[str]:
    """Return the lines of *tree*: plain values first, as TOML wants them, then its tables."""
    plain = {k: v for k, v in tree.items() if not isinstance(v, dict) and v is not None}
    lines = [f"{_key(k)} = {toml_value(v)}\n" for k, v in plain.items()]
    for name, table in tree.items():
        if isinstance(table, dict) and (table or prefix):
            inner = cast("dict[str, Any]", table)
            lines += [f"\n[{prefix}{_key(name)}]\n", *_tables(inner, f"{prefix}{_key(name)}.")]
    return lines


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _string(name)


def _string(text: str) -> str:
    # JSON's quoting is TOML's, except that TOML wants DEL escaped and characters beyond U+FFFF not.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
