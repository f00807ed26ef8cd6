"""``codeclm review``: hand rows to human reviewers, and read their decisions back."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from msgspec import Struct

from ..quality import review
from ..reporting.runs import RunReader, existing_run, open_run, resume_command
from ..store.reader import LedgerReader
from ..store.schema import Review, Subject
from ..store.writer import LedgerWriter
from .arguments import add_action, add_examples, add_force, add_json, add_run_folder
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_message


class Reviewed(Struct, frozen=True):
    """The decisions read from a file."""

    kept: int
    dropped: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(metavar="STEP", required=True)
    exporting = add_action(
        steps, "export", _export, "write rows with empty columns for decision and comment"
    )
    add_run_folder(exporting)
    exporting.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="file to write: .jsonl or .csv"
    )
    add_force(exporting)
    importing = add_action(steps, "import", _import, "read the decisions, keep or drop")
    add_run_folder(importing)
    importing.add_argument("file", type=Path, metavar="FILE", help="the exported file, filled in")
    add_examples(
        parser,
        "codeclm review export runs/big --to review.csv",
        "# once the column `decision` says keep or drop",
        "codeclm review import runs/big review.csv",
    )
    for parser_of_step in (exporting, importing):
        parser_of_step.add_argument(
            "--what",
            choices=("examples", "metadata"),
            default="examples",
            help="what is reviewed (default: examples)",
        )
        add_json(parser_of_step)


def run(args: argparse.Namespace) -> int:
    status: int = args.action(args)
    return status


def _export(args: argparse.Namespace) -> int:
    typed = dict[str, review.Typed]()
    with open_run(args.folder) as reader:
        reviews: dict[str, Review | review.Typed] = {**reader.ledger.reviews(args.what)}
        if args.to.is_file() and not args.force:
            typed = review.read_typed(args.to, _ids(reader.ledger, args.what))
            reviews |= typed
        rows = _rows(args.what, reader, reviews)
        count = review.write_reviews(rows, args.to)
    command = shlex.join(("codeclm", "review", "import", str(args.folder), str(args.to)))
    if args.json:
        print_json(Written(str(args.to), count))
    print_message(f"wrote {count:,} {args.what} to {args.to}; once decided: {command}")
    if typed:
        print_message(f"kept what was typed into it: {len(typed):,} rows")
    return ExitStatus.DONE


def _rows(subject: Subject, run: RunReader, reviews: review.Opinions) -> Iterator[review.ReviewRow]:
    match subject:
        case "examples":
            return review.example_rows(run.rows(), reviews)
        case "metadata":
            return review.metadata_rows((item for _, item in run.ledger.metadata()), reviews)
        case _:
            assert_never(subject)


def _import(args: argparse.Namespace) -> int:
    folder = existing_run(args.folder)
    with folder.locked():
        with LedgerWriter(folder.ledger) as writer:
            reviews = review.read_reviews(args.file, _ids(writer.reader, args.what))
            writer.record_reviews(args.what, reviews)
        folder.summary.unlink(missing_ok=True)  # it counts what may be dropped now
    dropped = sum(review.decision == "drop" for review in reviews)
    if args.json:
        print_json(Reviewed(len(reviews) - dropped, dropped))
    print_message(
        f"{shlex.quote(str(args.file))}: {len(reviews) - dropped:,} kept, {dropped:,} dropped"
    )
    print_message(
        f"to write the exports again and replace dropped rows: {resume_command(args.folder)}"
    )
    return ExitStatus.DONE


def _ids(ledger: LedgerReader, subject: Subject) -> set[str]:
    match subject:
        case "examples":
            return set(ledger.example_ids())
        case "metadata":
            return {item.id for _, item in ledger.metadata()}
        case _:
            assert_never(subject)
