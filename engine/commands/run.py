"""``codeclm run``: make a dataset, or continue making it."""

import argparse

from ..pipeline.prepare import prepare
from .arguments import add_force, add_no_preflight, add_pay_again, add_progress
from .sessions import run_and_report
from .settings import add_run_settings, read_run_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_settings(parser)
    add_force(parser)
    add_no_preflight(parser)
    add_pay_again(parser)
    add_progress(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="start over in this folder with the changed configuration; paid answers are reused",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    plan = prepare(config, where=where, origin=origin)
    return run_and_report(plan, args, allow_change=args.allow_change, force=args.force)
