"""A table of words and numbers, as plain text, as Markdown, or drawn by rich on a terminal."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TextIO

from msgspec import Struct

from .transcript import printable


class Table(Struct, frozen=True):
    """The first column holds names, all others figures; ``note`` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def plain(table: Table) -> str:
    lines = [_shown(row) for row in (table.head, *table.rows)]
    wide = [max(len(line[n]) for line in lines) for n in range(len(table.head))]
    text = [table.title, *(_line(line, wide) for line in lines)]
    return "\n".join([*text, *([table.note] if table.note else [])]) + "\n"


def _line(cells: Sequence[str], wide: Sequence[int]) -> str:
    name, *figures = (
        cell.rjust(width) if n else cell.ljust(width)
        for n, (cell, width) in enumerate(zip(cells, wide, strict=True))
    )
    return "  ".join([name, *figures]).rstrip()


def markdown(table: Table) -> str:
    bars = ["|---", *["---:"] * (len(table.head) - 1)]
    lines = [f"### {table.title}", "", _bars(table.head), "|".join(bars) + "|"]
    lines += map(_bars, table.rows)
    return "\n".join([*lines, *(["", table.note] if table.note else [])]) + "\n"


def _bars(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in _shown(cells))
    return f"| {' | '.join(escaped)} |"


def _shown(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(printable(cell).replace("\n", " ") for cell in cells)


def show(tables: Iterable[Table], stream: TextIO) -> None:
    """Write *tables*: with rules where *stream* is a terminal and rich is installed."""
    drawn = stream.isatty() and find_spec("rich") is not None
    for table in tables:
        if drawn:
            _draw(table, stream)
        else:
            stream.write(plain(table) + "\n")


def _draw(table: Table, stream: TextIO) -> None:
    """Let heads wrap where the terminal is narrow, figures never."""
    text: Any = import_module("rich.text").Text  # markup in a name is no markup
    console: Any = import_module("rich.console").Console(file=stream)
    box = import_module("rich.box").SIMPLE_HEAD
    make: Any = import_module("rich.table").Table
    drawn = make(box=box, pad_edge=False, collapse_padding=True)
    lines = [_shown(row) for row in table.rows]
    for n, name in enumerate(table.head):
        wide = max((len(line[n]) for line in lines), default=1)
        drawn.add_column(text(name), justify="right" if n else "left", min_width=wide)
    for line in lines:
        drawn.add_row(*map(text, line))
    console.print(text(table.title, "bold"), drawn, text(table.note and f"{table.note}\n"), sep="")
