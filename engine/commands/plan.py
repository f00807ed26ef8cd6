"""``codeclm plan``: the calls of a run to each model, and their cost."""

import argparse

from ..pipeline.prepare import prepare
from ..reporting.forecast import forecast_run, forecast_text
from .arguments import positive_integer
from .exit_status import ExitStatus
from .origin import print_endpoints
from .output import print_text, seeds_used
from .settings import add_run_settings, read_run_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_settings(parser)
    parser.add_argument(
        "--answer-tokens",
        type=positive_integer,
        default=400,
        metavar="N",
        help="length of an answer to assume (default: 400)",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    plan = prepare(config, where=where, origin=origin)
    forecast = forecast_run(plan, args.answer_tokens)
    start = f"{len(plan.metadata):,} metadata items"
    if forecast.seeds:
        seeds = seeds_used(forecast.seeds, config.limit)
        start = f"{seeds} seeds of about {forecast.seed_tokens} tokens"
    print_text(f"from {start}, assuming answers of {args.answer_tokens} tokens")
    print_text(forecast_text(forecast))
    print_endpoints(plan.endpoints)
    return ExitStatus.DONE
