"""Read tables in Markdown."""

import re


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


def column(rows: list[list[str]], heading: re.Pattern[str]) -> list[str]:
    """Return the cells below the only heading that is *heading*; nothing if there is no such."""
    columns = [at for at, cell in enumerate(rows[0]) if heading.fullmatch(cell)] if rows else []
    return [row[columns[0]] for row in rows[1:]] if len(columns) == 1 else []
