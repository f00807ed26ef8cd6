"""``codeclm contamination``: which rows share consecutive words with a test set's prompts."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ..config import ConfigError
from ..data.test_sets import TestSource, prompts_of, read_questions, texts_of
from ..quality.contamination import PromptIndex
from ..reporting.runs import open_run
from ..store.folder import Folder
from .arguments import add_examples, add_json, add_tests_folder, positive_integer
from .exit_status import ExitStatus
from .output import print_json, print_text


class RowOverlap(Struct, frozen=True):
    """A row, by its id or its place in the file, and the questions that it shares words with."""

    row: str
    questions: tuple[str, ...]


class Contamination(Struct, frozen=True):
    """The rows that overlap with each test set, of how many rows, by how many words."""

    rows: int
    ngram: int
    overlaps: dict[str, list[RowOverlap]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s FILE|RUN --against TEST [TEST …] [options]"
    parser.add_argument(
        "data",
        nargs="?",
        type=Path,
        metavar="FILE|RUN",
        help="a dataset in any format (.jsonl, .json, .csv, .parquet, …), or a run's folder",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        action="extend",
        required=True,
        metavar="TEST",
        help="test sets: vicuna, koala, …, or files; may be repeated",
    )
    add_tests_folder(parser)
    parser.add_argument(
        "--ngram",
        type=positive_integer,
        default=13,
        metavar="N",
        help="consecutive words that count as overlap (default: 13)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm contamination runs/big --against vicuna koala --tests data/tests",
        "codeclm contamination rows.jsonl --against mine.jsonl --ngram 8",
    )


def run(args: argparse.Namespace) -> int:
    if args.data is None:
        raise ConfigError(
            f"contamination: the dataset is missing (--against took {' '.join(args.against)}):"
            " put it first, as in: codeclm contamination FILE --against vicuna koala"
        )
    tests = {name: read_questions(TestSource(name, args.tests)) for name in args.against}
    index = PromptIndex(prompts_of(tests), args.ngram)
    overlaps: dict[str, list[RowOverlap]] = {test: [] for test in tests}
    count = 0
    for name, texts in _rows(args.data):
        count += 1
        for test, questions in _questions(index, texts).items():
            overlaps[test].append(RowOverlap(name, tuple(questions)))
    result = Contamination(count, args.ngram, overlaps)
    if args.json:
        print_json(result)
    else:
        print_text("\n".join(_lines(result)))
    return ExitStatus.DONE


def _questions(index: PromptIndex, texts: list[str]) -> dict[str, list[str]]:
    """Return the questions that any of *texts* overlaps with, by test set."""
    questions: dict[str, list[str]] = {}
    for overlap in index.overlaps(*texts):
        questions.setdefault(overlap.test_set, []).append(overlap.question)
    return questions


def _lines(result: Contamination) -> Iterator[str]:
    yield f"{result.rows:,} rows; overlap: {result.ngram} consecutive words"
    for test, rows in result.overlaps.items():
        yield f"  {test:<22} {len(rows):>6,} ({len(rows) / max(result.rows, 1):.2%})"
    for test, rows in result.overlaps.items():
        yield from (f"{row.row}: {test} {' '.join(row.questions)}" for row in rows)


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and texts of each row, of a run (those it keeps) or of any dataset."""
    if not Folder(path).config.exists():
        yield from texts_of(path)
        return
    with open_run(path) as reader:
        for example in reader.rows():
            answer = example.response
            yield example.id, [example.instruction, "" if answer is None else answer.text]
