"""``codeclm run``: make a dataset, or continue making it."""

import argparse

from ..pipeline.prepare import prepare
from .arguments import add_examples, add_force, add_no_preflight, add_pay_again, add_progress
from .sessions import run_and_report
from .settings import add_run_settings, read_run_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    groups = add_run_settings(parser)
    add_no_preflight(groups.models)
    add_force(groups.files)
    add_pay_again(groups.files)
    groups.files.add_argument(
        "--allow-change",
        action="store_true",
        help="start over in this folder with the changed configuration; paid answers are reused",
    )
    add_progress(groups.output)
    add_examples(
        parser,
        "# what ./codeclm.toml describes; the same command continues it",
        "codeclm run",
        "codeclm run -c big.toml --out runs/big --max-cost 20",
        "# without a file, without a key: scripted models",
        "codeclm run --seeds seeds.jsonl --strong scripted/strong \\",
        "    --target scripted/target -n 100 --out runs/trial",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    plan = prepare(config, where=where, origin=origin)
    return run_and_report(plan, args, allow_change=args.allow_change, force=args.force)
