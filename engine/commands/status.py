"""``codeclm status``: the state of a run, even while it is working."""

import argparse
import sys
import time

from ..reporting.progress_file import read_progress
from ..reporting.runs import open_run
from ..reporting.summary import summary_text
from ..reporting.views import Display, opened_view
from ..store.folder import Folder
from .arguments import add_examples, add_json, add_run_folder
from .exit_status import ExitStatus
from .output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    add_json(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="show the run's progress on stderr until it ends, then its state",
    )
    add_examples(
        parser,
        "codeclm status runs/big",
        "codeclm status runs/big --watch",
        "codeclm status runs/big --json | jq .rows",
    )


def run(args: argparse.Namespace) -> int:
    if args.watch:
        try:
            _watch(Folder(args.folder), as_json=args.json)
        except KeyboardInterrupt:  # ends the watch; the run works on
            return ExitStatus.DONE
    with open_run(args.folder) as reader:
        summary = reader.summary()
    if args.json:
        print_json(summary)
    else:
        print_text(summary_text(summary))
    return ExitStatus.DONE


def _watch(folder: Folder, *, as_json: bool) -> None:
    """Show the progress of the process that works on *folder*, until none does."""
    display: Display = "json" if as_json else "auto"
    last = None
    with opened_view(display, sys.stderr) as view:
        try:
            while folder.is_locked:
                progress = read_progress(folder)
                if progress is not None:
                    view.update(last := progress)
                time.sleep(view.interval)
        finally:
            if last is not None:
                view.close(last)
