"""Tables of names and figures: as plain text, as Markdown, or drawn by rich on a terminal."""

from collections.abc import Iterable, Sequence
from typing import TextIO

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
    """Write *tables*, drawn by rich where *stream* is a terminal."""
    for table in tables:
        if stream.isatty():
            _draw(table, stream)
        else:
            stream.write(plain(table) + "\n")


def _draw(table: Table, stream: TextIO) -> None:
    """Draw *table*; on a narrow terminal headings wrap, figures do not."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  (only a terminal needs rich)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as Grid  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415  (in plain strings, rich would look for markup)

    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    lines = [_printable_cells(row) for row in table.rows]
    for n, name in enumerate(table.head):
        width = max((len(line[n]) for line in lines), default=1)
        grid.add_column(Text(name), justify="right" if n else "left", min_width=width)
    for line in lines:
        grid.add_row(*map(Text, line))
    note = Text(table.note and f"{table.note}\n")
    Console(file=stream).print(Text(table.title, "bold"), grid, note, sep="")
