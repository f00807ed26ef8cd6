"""``codeclm report``: the summary and some transcripts as one HTML page."""

import argparse
from itertools import islice
from pathlib import Path

from ..disk.atomic import replace_file
from ..reporting.page import html
from ..store.folder import Folder
from .arguments import add_run_folder, natural_number
from .exit_status import ExitStatus
from .folders import current_summary, open_run, seed_texts
from .output import print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="file to write (default: report.html in the run's folder)",
    )
    parser.add_argument(
        "--transcripts",
        type=natural_number,
        default=20,
        metavar="N",
        help="how many examples to show in full (default: 20)",
    )


def run(args: argparse.Namespace) -> int:
    with open_run(args.folder) as open_folder:
        config, ledger = open_folder
        summary = current_summary(args.folder, open_folder)
        examples = list(islice(ledger.kept(config.target_rows), args.transcripts))
        texts = seed_texts(open_folder, examples)
    manifest = Folder(args.folder).read_manifest()
    page = html(args.folder.resolve().name, config, summary, examples, texts, manifest)
    path = args.to or args.folder / "report.html"
    replace_file(path, page.encode("utf-8"))
    print_message(f"wrote {path}")
    return ExitStatus.DONE
