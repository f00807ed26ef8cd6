"""Make text from models, data and files safe to print: it must not control the terminal."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Escape control characters, direction marks and lone surrogates; keep newlines and tabs.

    Escaping twice is the same as escaping once.
    """
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Escape *text* as `printable` does, and put it on one line."""
    return printable(" ".join(text.split()))


def printable_json(text: str) -> str:
    """Escape what does not belong on a terminal within JSON, which stays the same JSON."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def row_count(rows: int, target: int | None = None) -> str:
    """Write how many rows there are, of how many: 1 row, 1 of 2,000 rows."""
    if target:
        return f"{rows:,} of {target:,} rows"
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"


def clock(seconds: float) -> str:
    """Return *seconds* as H:MM:SS, or M:SS below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
