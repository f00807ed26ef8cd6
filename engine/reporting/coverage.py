"""How evenly rows cover the seeds, as text."""

from collections.abc import Iterator

from ..store.coverage import Coverage
from .terminal import printable


def coverage_lines(coverage: Coverage | None) -> list[str]:
    """Say how evenly rows cover the seeds; nothing for a run without seeds or rows."""
    return [] if coverage is None or not coverage.distance else ["", *_lines(coverage)]


def _lines(coverage: Coverage) -> Iterator[str]:
    if coverage.with_row is not None:
        yield f"seeds with a row: {coverage.with_row:,} of {coverage.seeds:,}"
    yield f"{'rows against seeds':<30} distance  values with a row"
    for name, distance in coverage.distance.items():
        of_values = coverage.values.get(name)
        values = "" if of_values is None else f"{of_values[0]:,} of {of_values[1]:,}"
        yield f"  {printable(name)[:26]:<28} {distance:>8.2f}  {values}".rstrip()
    yield "distance: total variation, 0 if rows are spread like the seeds, at most 1"
