"""Tables of names and figures: as plain text, as Markdown, or drawn by rich on a terminal."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TextIO

from msgspec import Struct

from .terminal import printable


class Table(Struct, frozen=True):
    """The first column holds names, all others figures; ``note`` is printed below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def plain(table: Table) -> str:
    """Write *table* as aligned columns."""
    lines = [_printable_cells(row) for row in (table.head, *table.rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(table.head))]
    text = [table.title, *(_line(line, widths) for line in lines)]
    return "\n".join([*text, *([table.note] if table.note else [])]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = (
        cell.rjust(width) if n else cell.ljust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([name, *figures]).rstrip()


def markdown(table: Table) -> str:
    """Write *table* as a section of a Markdown page."""
    rule = ["|---", *["---:"] * (len(table.head) - 1)]
    lines = [f"### {table.title}", "", _markdown_row(table.head), "|".join(rule) + "|"]
    lines += map(_markdown_row, table.rows)
    return "\n".join([*lines, *(["", table.note] if table.note else [])]) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in _printable_cells(cells))
    return f"| {' | '.join(escaped)} |"


def _printable_cells(cells: Iterable[str]) -> tuple[str, ...]:
    return tuple(printable(cell).replace("\n", " ") for cell in cells)


def show(tables: Iterable[Table], stream: TextIO) -> None:
    """Write *tables*, drawn by rich where *stream* is a terminal and rich is installed."""
    use_rich = stream.isatty() and find_spec("rich") is not None
    for table in tables:
        if use_rich:
            _draw(table, stream)
        else:
            stream.write(plain(table) + "\n")


def _draw(table: Table, stream: TextIO) -> None:
    """Draw *table*; on a narrow terminal headings wrap, figures do not."""
    text: Any = import_module("rich.text").Text  # in plain strings, rich would look for markup
    console: Any = import_module("rich.console").Console(file=stream)
    box = import_module("rich.box").SIMPLE_HEAD
    table_class: Any = import_module("rich.table").Table
    grid = table_class(box=box, pad_edge=False, collapse_padding=True)
    lines = [_printable_cells(row) for row in table.rows]
    for n, name in enumerate(table.head):
        width = max((len(line[n]) for line in lines), default=1)
        grid.add_column(text(name), justify="right" if n else "left", min_width=width)
    for line in lines:
        grid.add_row(*map(text, line))
    console.print(text(table.title, "bold"), grid, text(table.note and f"{table.note}\n"), sep="")
