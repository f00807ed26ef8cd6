"""``codeclm inspect``: one example in full, with every answer, score and call; or a list."""

import argparse
from collections.abc import Generator
from contextlib import closing
from itertools import islice

from ..data.records import Example
from ..reporting.runs import RunReader, open_run
from ..reporting.transcript import transcript
from ..store.folder import FolderError
from .arguments import add_examples, add_json, add_run_folder, non_negative, positive_integer
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument(
        "id", nargs="?", help="the example's id, or the beginning of it; without it, list examples"
    )
    listing = parser.add_argument_group("which examples to list")
    listing.add_argument("--fate", choices=("kept", "filtered", "failed"), help="with this fate")
    listing.add_argument("--reason", metavar="WORD", help="dropped for this reason, as in status")
    listing.add_argument("--winner", choices=("strong", "target"), help="won by this model")
    listing.add_argument(
        "--min-gap", type=non_negative, metavar="POINTS", help="with at least this gap, either way"
    )
    listing.add_argument("--search", metavar="TEXT", help="whose instruction or answer holds TEXT")
    listing.add_argument(
        "--limit",
        type=positive_integer,
        default=50,
        metavar="N",
        help="at most N examples (default: 50)",
    )
    add_json(parser)
    add_examples(
        parser,
        "# the first 50; then one of them in full",
        "codeclm inspect runs/big",
        "codeclm inspect runs/big 47fd3e80",
        "codeclm inspect runs/big --fate filtered --reason gap --min-gap 2",
    )


def run(args: argparse.Namespace) -> int:
    with open_run(args.folder) as reader:
        if args.id is None:
            return _list(reader, args)
        example = _find(reader, args)
        texts = reader.seed_texts([example], print_message)
    if args.json:
        print_json(example)
    else:
        print_text(transcript(example, texts))
    return ExitStatus.DONE


# -- one example ------------------------------------------------------------------------------


def _find(reader: RunReader, args: argparse.Namespace) -> Example:
    """Return the example that ``args.id`` names.

    Several may have one id: those whose instruction one request wrote twice, of which the dataset
    holds the first.
    """
    examples = reader.ledger.find(args.id)
    match sorted({example.id for example in examples}):
        case []:
            raise FolderError(f"{args.folder}: no example's id begins with {args.id!r}")
        case [_]:
            return next((one for one in examples if one.fate == "kept"), examples[0])
        case ids:
            raise FolderError(
                f"{args.folder}: {len(ids)} ids begin with {args.id!r}: {', '.join(ids[:5])}"
            )


# -- a list -----------------------------------------------------------------------------------


def _list(reader: RunReader, args: argparse.Namespace) -> int:
    with closing(_matching(reader, args)) as matching:
        examples = list(islice(matching, args.limit))
        more = next(matching, None) is not None
    for example in examples:
        if args.json:
            print_json(example)
        else:
            print_text(_line(example))
    if more:
        print_message(f"the first {args.limit:,}: --limit N shows more; --help names the filters")
    elif not examples:
        print_message("no example matches")
    return ExitStatus.DONE


def _matching(reader: RunReader, args: argparse.Namespace) -> Generator[Example]:
    return (example for example in reader.ledger.with_fates() if _matches(example, args))


def _matches(example: Example, args: argparse.Namespace) -> bool:
    return (
        args.fate in {None, example.fate}
        and args.reason in {None, example.reason, example.reason.replace("_", " ")}
        and args.winner in {None, example.winner}
        and (args.min_gap is None or abs(example.gap or 0.0) >= args.min_gap)
        and (args.search is None or _holds(example, args.search.casefold()))
    )


def _holds(example: Example, text: str) -> bool:
    texts = [example.instruction, *(i.instruction for i in example.iterations)]
    answers = (answer for i in example.iterations for answer in (i.strong, i.target))
    texts += [answer.text for answer in answers if answer is not None]
    return any(text in one.casefold() for one in texts)


_WIDTH = 72
"""Characters of an instruction in a list."""


def _line(example: Example) -> str:
    """Write one example as a line: id, what became of it, gap, the instruction's beginning."""
    fate = f"{example.fate}: {example.reason}" if example.reason else example.fate
    gap = "" if example.gap is None else f"{example.gap:+g}"
    text = " ".join(example.instruction.split())
    short = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
    return f"{example.id}  {fate:<24} {example.winner or '':<6} {gap:>5}  {short}"
