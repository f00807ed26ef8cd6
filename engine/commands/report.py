"""``codeclm report``: the summary and some transcripts as one HTML page."""

import argparse
from itertools import islice
from pathlib import Path

from ..disk.atomic import replace_file
from ..reporting.page import html
from .arguments import add_run_folder, natural_number
from .exit_status import ExitStatus
from .output import print_message
from .runs import open_run


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
    with open_run(args.folder) as reader:
        summary = reader.summary()
        examples = list(islice(reader.rows(), args.transcripts))
        texts = reader.seed_texts(examples)
        manifest = reader.folder.read_manifest()
    name = args.folder.resolve().name
    page = html(name, reader.config, summary, examples, texts, manifest)
    path = args.to or args.folder / "report.html"
    replace_file(path, page.encode("utf-8"))
    print_message(f"wrote {path}")
    return ExitStatus.DONE
