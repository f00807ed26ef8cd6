"""``codeclm report``: the page of `codeclm view` as one file that loads nothing."""

import argparse
from pathlib import Path

from ..disk.atomic import WriteError, check_replaceable, replace_file
from ..reporting.runs import existing_run
from ..view.page_file import NO_PLOTTING, plotting
from ..view.report_file import make_report
from .arguments import add_examples, add_force, add_json, natural_number
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="the run's folder, such as runs/NAME; several are compared",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="file to write (default: report.html in the first run's folder)",
    )
    add_force(parser)
    parser.add_argument(
        "--transcripts",
        type=natural_number,
        default=200,
        metavar="N",
        help="how many rows to hold in full, spread evenly over all (default: 200)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm report runs/big",
        "codeclm report runs/big --to big.html --transcripts 1000",
        "codeclm report runs/a runs/b --to both.html",
    )


def _check_target(path: Path, *, force: bool) -> None:
    if path.suffix.lower() not in {".html", ".htm"} and (path.is_file() or not path.exists()):
        raise WriteError(f"{path}: a report is an HTML page: name it .html")
    check_replaceable(path, force=force)


def run(args: argparse.Namespace) -> int:
    if args.to is not None:
        _check_target(args.to, force=args.force)
    for folder in args.folders:
        existing_run(folder)
    report = make_report(args.folders, args.transcripts)
    path = args.to or args.folders[0] / "report.html"
    replace_file(path, report.page.encode("utf-8"), private=args.to is None)
    if args.json:
        print_json(Written(str(path), report.transcripts))
    else:
        print_message(f"wrote {path}")
    if plotting() is None:
        print_message(NO_PLOTTING)
    return ExitStatus.DONE
