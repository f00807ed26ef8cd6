"""The tables of a comparison, for the terminal and for ``report.md``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..reporting.tables import Table
from .dataset import Dataset
from .judging import Cell
from .metrics import MAX_COMPARED, OVERLAP_WORDS, Spread
from .result import ComparisonResult
from .settings import UNTUNED

ABSENT = "-"


def comparison_tables(result: ComparisonResult) -> Iterator[Table]:
    """Yield every table that *result* has data for."""
    datasets = result.plain_datasets
    yield _cost_table(datasets)
    filtered = [dataset for dataset in datasets if dataset.rounds]
    if filtered:
        rounds = sorted({number for dataset in filtered for number in dataset.rounds})
        yield _selection_table(filtered, rounds)
        yield _round_table(filtered, rounds)
    yield _diversity_table(datasets)
    yield _length_table(datasets)
    if any(dataset.overlap for dataset in datasets):
        yield _overlap_table(datasets)
    for judge in dict.fromkeys(cell.judge for cell in result.cells):
        yield from _judge_tables(result, judge)
    for key, swept in result.sweeps.items():
        yield _sweep_table(result, key, swept)


# -- of the datasets --------------------------------------------------------------------------


def _cost_table(datasets: Sequence[Dataset]) -> Table:
    priced = any(dataset.standalone.money is not None for dataset in datasets)
    head = ["cost", "rows", "seeds used", "calls", "per row", "tokens in", "tokens out"]
    head += [*(["money"] if priced else []), "paid here", "from cache"]
    note = (
        "calls, tokens: behind its instructions, with an empty cache;\n"
        "paid here: without what an earlier recipe had already paid for"
    )
    rows = tuple(_cost_row(dataset, priced=priced) for dataset in datasets)
    return Table("Cost", tuple(head), rows, note)


def _cost_row(dataset: Dataset, *, priced: bool) -> tuple[str, ...]:
    cost = dataset.standalone
    missing = f" of {dataset.target_rows:,}" if dataset.rows < dataset.target_rows else ""
    return (
        dataset.name,
        f"{dataset.rows:,}{missing}",
        f"{dataset.seeds_used:,} of {dataset.seeds:,}" if dataset.seeds else ABSENT,
        f"{cost.calls:,}",
        f"{cost.calls / dataset.rows:.1f}" if dataset.rows else ABSENT,
        f"{cost.prompt_tokens:,}",
        f"{cost.completion_tokens:,}",
        *([ABSENT if cost.money is None else f"{cost.money:.4f}"] if priced else []),
        f"{dataset.paid.calls:,}",
        f"{dataset.reused:,}",
    )


def _selection_table(datasets: Sequence[Dataset], rounds: Sequence[int]) -> Table:
    return Table(
        "Instructions selected, of those scored in each round",
        ("selection", *(f"round {n}" for n in rounds), "overall", "strong won", "target won"),
        tuple(_selection_row(dataset, rounds) for dataset in datasets),
        "overall: of all instructions scored; strong, target won: whose answer the rows hold",
    )


def _selection_row(dataset: Dataset, rounds: Sequence[int]) -> tuple[str, ...]:
    counts = [dataset.rounds.get(n) for n in rounds]
    rates = [r.selected / r.scored if r is not None and r.scored else None for r in counts]
    total = sum(dataset.winners.values())
    won = [dataset.winners.get(who, 0) / total if total else None for who in ("strong", "target")]
    return (dataset.name, *map(_percent, (*rates, dataset.selection_rate, *won)))


def _round_table(datasets: Sequence[Dataset], rounds: Sequence[int]) -> Table:
    return Table(
        "Rows by the round that selected them",
        ("share of rows", *(f"round {n}" for n in rounds)),
        tuple((d.name, *map(_percent, d.shares_by_round(rounds))) for d in datasets),
    )


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.1%}"


_DIVERSITY = (
    "diversity",
    "distinct-1",
    "distinct-2",
    "distinct-3",
    "self-similarity",
    "use cases, bits",
    "skills, bits",
)


def _diversity_table(datasets: Sequence[Dataset]) -> Table:
    return Table(
        "Diversity of the instructions",
        _DIVERSITY,
        tuple(map(_diversity_row, datasets)),
        "self-similarity: mean, over rows, of the highest ROUGE-L with any other; of at most"
        f" {MAX_COMPARED} rows",
    )


def _diversity_row(dataset: Dataset) -> tuple[str, ...]:
    diversity = dataset.diversity
    figures = (
        diversity.distinct_1,
        diversity.distinct_2,
        diversity.distinct_3,
        diversity.self_similarity,
        diversity.use_case_bits,
        diversity.skill_bits,
    )
    return (dataset.name, *map(_three_decimals, figures))


def _three_decimals(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def _length_table(datasets: Sequence[Dataset]) -> Table:
    columns = [
        f"{text} {percentile}"
        for text in ("instruction", "response")
        for percentile in ("p10", "median", "p90")
    ]
    return Table(
        "Length in words: 10 % are shorter than p10, 10 % longer than p90",
        ("length", *columns),
        tuple(
            (d.name, *_spread(d.instruction_words), *_spread(d.response_words)) for d in datasets
        ),
    )


def _spread(spread: Spread | None) -> tuple[str, str, str]:
    if spread is None:
        return ABSENT, ABSENT, ABSENT
    return f"{spread.p10:.0f}", f"{spread.median:.0f}", f"{spread.p90:.0f}"


def _overlap_table(datasets: Sequence[Dataset]) -> Table:
    tests = list(dict.fromkeys(test for dataset in datasets for test in dataset.overlap))
    return Table(
        f"Rows that share {OVERLAP_WORDS} consecutive words with a test prompt",
        ("overlap", *tests),
        tuple((d.name, *(f"{d.overlap[test].rows:,}" for test in tests)) for d in datasets),
    )


# -- of the judges ----------------------------------------------------------------------------


def _judge_tables(result: ComparisonResult, judge: str) -> Iterator[Table]:
    """Yield the tables of one judge: recipes by test sets."""
    cells = {(c.recipe, c.test): c for c in result.cells if c.judge == judge}
    tests = list(dict.fromkeys(test for _, test in cells))
    names = [UNTUNED, *(dataset.name for dataset in result.plain_datasets)]
    names = [name for name in names if any((name, test) in cells for test in tests)]
    if not names:
        return

    def table(title: str, cell_text: Callable[[Cell], str], note: str = "") -> Table:
        rows = (
            (
                name,
                *(
                    cell_text(cells[name, test]) if (name, test) in cells else ABSENT
                    for test in tests
                ),
            )
            for name in names
        )
        return Table(f"{title}; judge: {judge}", ("method", *tests), tuple(rows), note)

    row_cells = [cell for (name, _), cell in cells.items() if name in names]
    yield table("CRR in per cent (paper Table 1)", _crr_text, _invalid_note(row_cells))
    yield table("Wins / ties / losses (paper Table 5)", _counts_text)
    if any(cell.unseen is not None for cell in row_cells):
        yield table("CRR on the prompts that were not seeds", _unseen_text)
    if any(cell.difference is not None or cell.unpaired for cell in row_cells):
        yield table(
            f"CRR minus {result.baseline}'s, in points (paired 95 % interval)",
            _difference_text,
            "over prompts taken alike: other draws of the judge and other training runs are not in"
            " the interval",
        )


def _crr_text(cell: Cell) -> str:
    return "none" if cell.crr is None else f"{cell.crr:.2f}"


def _counts_text(cell: Cell) -> str:
    counts = cell.counts
    return f"{counts.wins} / {counts.ties + counts.invalid} / {counts.losses}"


def _unseen_text(cell: Cell) -> str:
    counts = cell.unseen
    return ABSENT if counts is None else f"{counts.crr:.2f} of {counts.total}"


def _difference_text(cell: Cell) -> str:
    if cell.difference is None:
        return "not paired" if cell.unpaired else ABSENT
    points = cell.difference.points
    return f"{points.mean:+.2f} ({points.low:+.2f} to {points.high:+.2f})"


def _invalid_note(cells: Sequence[Cell]) -> str:
    invalid = sum(cell.counts.invalid for cell in cells)
    total = sum(cell.counts.total for cell in cells)
    none = "; none: more than 2 % in that cell" if any(cell.crr is None for cell in cells) else ""
    return f"{invalid:,} of {total:,} verdicts are invalid and count as ties{none}"


# -- of the sweeps ----------------------------------------------------------------------------


def _sweep_table(result: ComparisonResult, key: str, datasets: Sequence[Dataset]) -> Table:
    judge_tests = result.judge_tests(datasets)
    head = (
        "recipe",
        key,
        *([] if key == "rows" else ["rows"]),
        "calls",
        "selected",
        "rows of round 1",
        "distinct-2",
        "self-similarity",
        *(f"CRR {test} ({judge})" for judge, test in judge_tests),
    )
    rows = tuple(_sweep_row(result, key, dataset, judge_tests) for dataset in datasets)
    return Table(f"Sweep of {key}", head, rows)


def _sweep_row(
    result: ComparisonResult, key: str, dataset: Dataset, judge_tests: Iterable[tuple[str, str]]
) -> tuple[str, ...]:
    cells = [result.find_cell(judge, test, dataset.name) for judge, test in judge_tests]
    return (
        dataset.recipe,
        _value_text(dataset.sweep_value),
        *([] if key == "rows" else [f"{dataset.rows:,}"]),
        f"{dataset.standalone.calls:,}",
        _percent(dataset.selection_rate),
        _percent(dataset.shares_by_round([1])[0] if dataset.rounds else None),
        _three_decimals(dataset.diversity.distinct_2),
        _three_decimals(dataset.diversity.self_similarity),
        *(ABSENT if cell is None else _crr_text(cell) for cell in cells),
    )


def _value_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
