"""review, contamination: people's decisions on a run, and what any file has of test sets."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Verbs, add_folder, add_verb, open_run, positive
from .status import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..store.reader import LedgerReader
    from ..store.schema import Subject

WHAT = ("examples", "metadata")


def add(verbs: Verbs) -> None:
    _add_review(verbs)
    _add_contamination(verbs)


def _add_review(verbs: Verbs) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "review", help="give rows to people, and take their decisions back"
    )
    steps = parser.add_subparsers(metavar="STEP", required=True)
    out = add_verb(steps, "export", _export, "write rows with empty columns decision and comment")
    add_folder(out)
    out.add_argument("--what", choices=WHAT, default="examples", help="default: examples")
    out.add_argument("--to", type=Path, required=True, metavar="FILE", help=".jsonl or .csv")
    back = add_verb(steps, "import", _import, "read decisions (keep, drop) back into the run")
    add_folder(back)
    back.add_argument("file", type=Path, help="the file, filled in")
    back.add_argument("--what", choices=WHAT, default="examples", help="default: examples")


def _add_contamination(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "contamination", _contamination, "what a dataset shares with test sets"
    )
    parser.usage = (
        "codeclm contamination FILE|RUN --against TEST [TEST …] [--tests DIR] [--ngram N]"
    )
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
        help="vicuna, koala, …, or files; also several times",
    )
    parser.add_argument(
        "--tests", type=Path, default=Path(), metavar="DIR", help="folder of the known test sets"
    )
    parser.add_argument("--ngram", type=positive, default=13, metavar="N", help="words in a row")


def _export(args: argparse.Namespace) -> int:
    from ..quality import review

    config, ledger = open_run(args.folder)
    try:
        said = ledger.reviews(args.what)
        if args.what == "examples":
            rows = review.of_examples(ledger.kept(config.target_rows), said)
        else:
            rows = review.of_metadata((item for _, item in ledger.metadata()), said)
        count = review.write(rows, args.to)
    finally:
        ledger.close()
    print(f"wrote {count:,} {args.what} to {args.to}", file=sys.stderr)
    return DONE


def _import(args: argparse.Namespace) -> int:
    from ..quality import review
    from ..store.folder import Folder
    from ..store.writer import LedgerWriter

    _, ledger = open_run(args.folder)
    ledger.close()
    folder = Folder(args.folder)
    with folder.locked():
        with LedgerWriter(folder.ledger) as writer:
            said = review.read(args.file, _ids(writer.reader, args.what))
            writer.record_reviews(args.what, said)
        folder.summary.unlink(missing_ok=True)  # it counts what may be dropped now
    dropped = sum(each.decision == "drop" for each in said)
    print(f"{len(said) - dropped:,} kept, {dropped:,} dropped by {args.file}", file=sys.stderr)
    print(
        f"codeclm: `codeclm resume {args.folder}` writes the exports anew, and makes up for what"
        " is missing",
        file=sys.stderr,
    )
    return DONE


def _ids(ledger: "LedgerReader", what: "Subject") -> set[str]:
    if what == "examples":
        return set(ledger.example_ids())
    return {item.id for _, item in ledger.metadata()}


def _contamination(args: argparse.Namespace) -> int:
    from ..config import ConfigError
    from ..data import test_sets as testsets
    from ..quality.contamination import Overlap

    if args.data is None:
        raise ConfigError(
            f"contamination: of what? --against took {' '.join(args.against)}: write the dataset"
            " first, as in: codeclm contamination FILE --against vicuna koala"
        )
    tests = {n: testsets.read(testsets.TestSource(n, args.tests)) for n in args.against}
    overlap = Overlap(testsets.prompts(tests), args.ngram)
    found: dict[str, list[str]] = {test: [] for test in tests}
    count = 0
    for where, texts in _texts(args.data):
        count += 1
        hits = overlap.hits(*texts)
        for test in dict.fromkeys(hit.test for hit in hits):
            questions = " ".join(hit.question for hit in hits if hit.test == test)
            found[test].append(f"{where}: {test} {questions}")
    print(f"{count:,} records; overlap: {args.ngram} words in a row")
    for test, lines in found.items():
        print(f"  {test:<22} {len(lines):>6,} ({len(lines) / max(count, 1):.2%})")
    for line in (line for lines in found.values() for line in lines):
        print(line)
    return DONE


def _texts(path: Path) -> "Iterator[tuple[str, list[str]]]":
    """Yield place and texts of each row, of a run (those it keeps) or of any dataset."""
    from ..data import test_sets as testsets
    from ..store.folder import Folder

    if not Folder(path).config.exists():
        yield from testsets.texts(path)
        return
    config, ledger = open_run(path)
    try:
        for example in ledger.kept(config.target_rows):
            answer = example.response
            yield example.id, [example.instruction, "" if answer is None else answer.text]
    finally:
        ledger.close()
