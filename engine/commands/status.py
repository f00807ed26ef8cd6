"""``codeclm status``: the state of a run, even while it is working."""

import argparse

from ..reporting.runs import open_run
from ..reporting.summary import summary_text
from .arguments import add_examples, add_json, add_run_folder
from .exit_status import ExitStatus
from .output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    add_json(parser)
    add_examples(
        parser,
        "codeclm status runs/big",
        "codeclm status runs/big --json | jq .rows",
    )


def run(args: argparse.Namespace) -> int:
    with open_run(args.folder) as reader:
        summary = reader.summary()
    if args.json:
        print_json(summary)
    else:
        print_text(summary_text(summary))
    return ExitStatus.DONE
