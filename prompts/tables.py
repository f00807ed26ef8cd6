"""Read the rows of a table in Markdown."""

import re
from typing import Final

from .languages import words

_ITEM: Final = re.compile(rf"[*_]{{0,3}}{words('item')}s?[*_]{{0,3}}", re.IGNORECASE)


def rows_of(lines: list[str]) -> list[list[str]]:
    """Return the cells of the table in *lines*, its heading first; nothing if there is none."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in lines
        if line.lstrip().startswith("|")
    ]
    if len(rows) < 3 or set("".join(rows[1])) - set("-: ") or not "".join(rows[1]):
        return []
    width = len(rows[0])
    return [rows[0], *rows[2:]] if all(len(row) == width for row in rows) else []


def from_table(lines: list[str]) -> list[str]:
    """Return the instructions in a table: the column with such a heading, or the last of two."""
    rows = rows_of(lines)
    if not rows:
        return []
    columns = [at for at, cell in enumerate(rows[0]) if _ITEM.fullmatch(cell)]
    if not columns and len(rows[0]) == 2 and all(row[0].isdigit() for row in rows[1:]):
        columns = [1]
    return [row[columns[0]] for row in rows[1:]] if len(columns) == 1 else []
