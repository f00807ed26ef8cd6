"""``codeclm resume``: continue a run, given its folder."""

import argparse

from ..config import load_config
from ..pipeline.prepare import prepare
from ..reporting.runs import existing_run
from .arguments import (
    add_examples,
    add_no_preflight,
    add_pay_again,
    add_progress,
    add_run_folder,
)
from .origin import add_trust, find_origin
from .sessions import run_and_report
from .settings import (
    BUDGET_FLAGS,
    CACHE_FLAG,
    add_flags,
    add_override,
    add_seeds,
    flag_overrides,
    seed_overrides,
    toml_string,
)

FLAGS = (*BUDGET_FLAGS, CACHE_FLAG)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [options]"
    add_run_folder(parser)
    add_flags(parser, FLAGS)
    add_seeds(parser)
    add_override(parser)
    add_trust(parser)
    add_no_preflight(parser)
    add_pay_again(parser)
    add_progress(parser)
    add_examples(
        parser,
        "codeclm resume runs/big",
        "# with more money; paid answers are never asked for again",
        "codeclm resume runs/big --max-cost 40",
        "# and with more seeds in flight",
        "codeclm resume runs/big --set strong.max_concurrent=500",
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="also ask again for what failed for good: the run is built anew from the cache, and"
        " only calls without a stored reply are paid for",
    )


def run(args: argparse.Namespace) -> int:
    path = existing_run(args.folder).config
    overrides = [*flag_overrides(args, FLAGS, ()), *seed_overrides(args), *args.overrides]
    config = load_config(path, [f"out={toml_string(str(args.folder))}", *overrides])
    roles = config.all_roles.values()
    origin = find_origin(path, overrides, roles, trusted=args.trust, in_run_folder=True)
    plan = prepare(config, where=str(path), origin=origin)
    return run_and_report(plan, args, retry_failed=args.retry_failed)
