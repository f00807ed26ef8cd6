"""``codeclm contamination``: which rows share consecutive words with a test set's prompts."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..config import ConfigError
from ..data.test_sets import TestSource, prompts_of, read_questions, texts_of
from ..quality.contamination import PromptIndex
from ..reporting.runs import open_run
from ..store.folder import Folder
from .arguments import add_examples, add_tests_folder, positive_integer
from .exit_status import ExitStatus
from .output import print_text


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
    hits: dict[str, list[str]] = {test: [] for test in tests}
    count = 0
    for name, texts in _rows(args.data):
        count += 1
        for test, line in _overlaps(index, name, texts):
            hits[test].append(line)
    print_text(f"{count:,} rows; overlap: {args.ngram} consecutive words")
    for test, lines in hits.items():
        print_text(f"  {test:<22} {len(lines):>6,} ({len(lines) / max(count, 1):.2%})")
    for line in (line for lines in hits.values() for line in lines):
        print_text(line)
    return ExitStatus.DONE


def _overlaps(index: PromptIndex, name: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each test set that a row overlaps with, and a line that names the questions."""
    overlaps = index.overlaps(*texts)
    for test in dict.fromkeys(overlap.test_set for overlap in overlaps):
        questions = " ".join(o.question for o in overlaps if o.test_set == test)
        yield test, f"{name}: {test} {questions}"


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and texts of each row, of a run (those it keeps) or of any dataset."""
    if not Folder(path).config.exists():
        yield from texts_of(path)
        return
    with open_run(path) as reader:
        for example in reader.rows():
            answer = example.response
            yield example.id, [example.instruction, "" if answer is None else answer.text]
