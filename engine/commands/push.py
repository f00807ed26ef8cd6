"""``codeclm push``: publish the dataset on the Hugging Face Hub."""

import argparse

from ..data.formats import EXPORTS
from ..reporting.runs import open_run
from ..training.publishing import Publication, publish
from .arguments import add_examples, add_json, add_run_folder, language, license_id
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument("repository", metavar="OWNER/NAME", help="the dataset on the Hub")
    parser.add_argument(
        "--public", action="store_true", help="let everybody read it (default: private)"
    )
    parser.add_argument(
        "--format",
        choices=EXPORTS.names(),
        default="alpaca",
        metavar="FORMAT",
        help=f"{', '.join(EXPORTS.names())} (default: alpaca)",
    )
    parser.add_argument(
        "--branch", default="main", metavar="NAME", help="where to commit (default: main)"
    )
    parser.add_argument("--message", metavar="TEXT", help="the commit's message")
    _add_card(parser)
    parser.add_argument(
        "--token-variable",
        default="HF_TOKEN",
        metavar="NAME",
        help="environment variable that holds a token that may write (default: HF_TOKEN)",
    )
    add_json(parser)
    add_examples(
        parser,
        "# private, until you say --public; run it again to continue or to update",
        "codeclm push runs/NAME me/my-data --license cc-by-4.0",
    )


def _add_card(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--license", type=license_id, metavar="ID", help="its id on the Hub, for the card"
    )
    parser.add_argument(
        "--language",
        type=language,
        default="en",
        metavar="CODE",
        help="the data's language, for the card (default: en)",
    )


def run(args: argparse.Namespace) -> int:
    request = Publication(
        args.repository,
        args.format,
        is_public=args.public,
        branch=args.branch,
        message=args.message,
        language=args.language,
        license=args.license,
        token_variable=args.token_variable,
    )
    with open_run(args.folder) as reader:
        published = publish(reader, request)
    if args.json:
        print_json(published)
    who = "private" if published.is_private else "public"
    print_message(f"{published.rows:,} rows are at {published.address} ({who})")
    return ExitStatus.DONE
