"""``codeclm report``: the summary and some transcripts as one HTML page."""

import argparse
from itertools import islice
from pathlib import Path

from ..disk.atomic import WriteError, check_replaceable, replace_file
from ..reporting.page import html
from ..reporting.runs import open_run
from .arguments import add_examples, add_force, add_json, add_run_folder, natural_number
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="file to write (default: report.html in the run's folder)",
    )
    add_force(parser)
    parser.add_argument(
        "--transcripts",
        type=natural_number,
        default=20,
        metavar="N",
        help="how many examples to show in full (default: 20)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm report runs/big",
        "codeclm report runs/big --to big.html --transcripts 100",
    )


def _check_target(path: Path, *, force: bool) -> None:
    if path.suffix.lower() not in {".html", ".htm"} and (path.is_file() or not path.exists()):
        raise WriteError(f"{path}: a report is an HTML page: name it .html")
    check_replaceable(path, force=force)


def run(args: argparse.Namespace) -> int:
    if args.to is not None:
        _check_target(args.to, force=args.force)
    with open_run(args.folder) as reader:
        summary = reader.summary()
        examples = list(islice(reader.rows(), args.transcripts))
        texts = reader.seed_texts(examples, print_message)
        manifest = reader.folder.read_manifest()
    name = args.folder.resolve().name
    page = html(name, reader.config, summary, examples, texts, manifest)
    path = args.to or args.folder / "report.html"
    replace_file(path, page.encode("utf-8"), private=args.to is None)
    if args.json:
        print_json(Written(str(path), len(examples)))
    else:
        print_message(f"wrote {path}")
    return ExitStatus.DONE
