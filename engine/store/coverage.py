"""How evenly the rows cover the seeds: by seed, use case, skill, language, and a chosen field."""

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from ..data.intervals import total_variation
from .connection import ReadConnection
from .schema import ROWS_PER_ITEM


class SelectedSeeds(Struct, frozen=True):
    """What a run's seeds are: their number, and the values of the field to stratify by."""

    seeds: int
    field: str = ""
    strata: dict[str, int] = {}


class Coverage(Struct, frozen=True):
    """How evenly the rows of a dataset cover the seeds.

    Attributes:
        seeds: used by the run, unreadable ones included.
        with_row: seeds from which a row comes; None where rows come from several seeds.
        distance: total variation between seeds and rows, by seed, use case, skill, language, or the
            field to stratify by: 0 if rows are spread like seeds, 1 if they have nothing in common.
        values: how many values of each have a row, and how many the seeds have.
    """

    seeds: int
    with_row: int | None
    distance: dict[str, float]
    values: dict[str, tuple[int, int]]


Tallies = tuple[Mapping[str, int], Mapping[str, int]]
"""Counts by value: of the seeds, and of the rows."""


class _Metadata(Struct, frozen=True):
    use_case: str
    skills: tuple[str, ...] = ()
    language: str = ""


_metadata = msgspec.json.Decoder(_Metadata)
_selection = msgspec.json.Decoder(SelectedSeeds)


def measure_coverage(connection: ReadConnection) -> Coverage | None:
    """Compare the rows of the table ``dataset`` with the seeds; None for a run without seeds.

    Blocks: seconds for a million seeds.
    """
    facts = list(connection.rows("SELECT value FROM facts WHERE key = 'selection'"))
    if not facts:
        return None
    selection = connection.decode(facts[0][0].encode(), _selection)
    rows = _rows_by_item(connection)
    tallies: dict[str, Tallies] = dict(_metadata_tallies(connection, rows))
    with_row = None
    if _has_own_rows(connection):
        with_row = len(rows)
        if selection.strata:
            tallies[selection.field] = (selection.strata, _rows_by_stratum(connection, rows))
    distance = {
        name: value
        for name, (seeds, of_rows) in tallies.items()
        if (value := total_variation(seeds, of_rows)) is not None
    }
    if with_row is not None and rows:
        distance = {"seed": _distance_by_seed(rows, selection.seeds), **distance}
    values = {
        name: (sum(value in of_rows for value in seeds), len(seeds))
        for name, (seeds, of_rows) in tallies.items()
    }
    return Coverage(selection.seeds, with_row, distance, values)


def metadata_tallies(connection: ReadConnection) -> dict[str, Tallies]:
    """Count use cases and skills, of the seeds and of the rows of the table ``dataset``. Blocks."""
    return dict(_metadata_tallies(connection, _rows_by_item(connection)))


def _rows_by_item(connection: ReadConnection) -> dict[int, int]:
    return dict(
        connection.rows(f"SELECT row_index / {ROWS_PER_ITEM}, count(*) FROM dataset GROUP BY 1")
    )


def _has_own_rows(connection: ReadConnection) -> bool:
    """Whether each row comes from one seed: not from a mixed set, nor from a pool."""
    return not connection.value(
        "SELECT EXISTS (SELECT 1 FROM items)"
        " OR EXISTS (SELECT 1 FROM seeds WHERE state = 'pooled' LIMIT 1)"
    )


def _distance_by_seed(rows: Mapping[int, int], seeds: int) -> float:
    total = sum(rows.values())
    without = max(0, seeds - len(rows)) / seeds
    return 0.5 * (sum(abs(count / total - 1 / seeds) for count in rows.values()) + without)


def _rows_by_stratum(connection: ReadConnection, rows: Mapping[int, int]) -> Counter[str]:
    tally = Counter[str]()
    for item, stratum in connection.rows("SELECT item, stratum FROM seeds WHERE item IS NOT NULL"):
        if item in rows:
            tally[stratum] += rows[item]
    return tally


def _metadata_tallies(
    connection: ReadConnection, rows: Mapping[int, int]
) -> Iterator[tuple[str, Tallies]]:
    """Yield use cases, skills and languages of the encoded seeds, and of the rows."""
    use_cases, skills = (Counter[str](), Counter[str]()), (Counter[str](), Counter[str]())
    languages = Counter[str](), Counter[str]()
    for (data,) in connection.rows("SELECT metadata FROM seeds WHERE metadata IS NOT NULL"):
        metadata = connection.decode(data, _metadata)
        use_cases[0][metadata.use_case] += 1
        skills[0].update(metadata.skills)
        languages[0][metadata.language or "not known"] += 1
    for item, data in connection.rows(
        "SELECT position, metadata FROM items UNION ALL SELECT item, metadata FROM seeds"
        " WHERE item IS NOT NULL AND metadata IS NOT NULL AND NOT EXISTS (SELECT 1 FROM items)"
    ):
        if item in rows:
            metadata = connection.decode(data, _metadata)
            use_cases[1][metadata.use_case] += rows[item]
            skills[1].update(dict.fromkeys(metadata.skills, rows[item]))
            languages[1][metadata.language or "not known"] += rows[item]
    if any(use_cases[0]):
        yield "use case", use_cases
        yield "skill", skills
    if set(languages[0]) - {"not known"}:
        yield "language", languages
