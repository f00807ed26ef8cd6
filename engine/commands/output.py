"""Print results on stdout and messages on stderr, both escaped."""

import sys
from typing import Any

from ...providers import json_codec
from ..reporting.terminal import printable, printable_json


def print_text(text: str) -> None:
    """Print *text* on stdout; it ends with one newline whether or not it has one."""
    print(printable(text.removesuffix("\n")))


def print_json(value: Any) -> None:
    """Print *value*, a struct or what JSON can hold, as one line on stdout."""
    print(printable_json(json_codec.dumps(value).decode()))


def print_message(message: str) -> None:
    """Tell the user something that is not part of the result, on stderr."""
    print(f"codeclm: {printable(message)}", file=sys.stderr, flush=True)


def seeds_used(count: int, limit: int | None) -> str:
    """Say how many of *count* seeds a run uses."""
    return f"{count:,}" if limit is None or limit >= count else f"{limit:,} of {count:,}"
