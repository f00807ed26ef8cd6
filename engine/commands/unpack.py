"""``codeclm unpack``: a run's folder from what ``codeclm pack`` made."""

import argparse
from pathlib import Path

from ..reporting.runs import resume_command
from ..store.unpack import unpack
from .arguments import add_examples, add_json, positive_integer
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what `codeclm pack` wrote")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="the run's new folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="put the answers into this cache, for all runs that use it: only if you trust the"
        " file (default: a cache in the new folder)",
    )
    parser.add_argument(
        "--max-size",
        type=positive_integer,
        default=64,
        metavar="GB",
        help="refuse a file that unpacks to more (default: 64)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm unpack big.codeclm.tar.gz",
        "codeclm unpack big.codeclm.tar.gz --to runs/moved",
    )


def run(args: argparse.Namespace) -> int:
    made = unpack(args.file, to=args.to, cache=args.cache, most_bytes=args.max_size * 10**9)
    if made.lost:
        print_message(
            f"{args.file}: lacks answers that the run has paid for: to go on would pay again for"
            f" {made.lost}; pack the run with the cache that has them, or resume with --pay-again"
        )
    if args.json:
        print_json(Written(str(made.folder), made.answers))
    print_message(
        f"wrote {made.folder}: {made.answers:,} answers are in {made.cache}; to continue:"
        f" {resume_command(made.folder)}"
    )
    return ExitStatus.DONE
