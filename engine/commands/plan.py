"""``codeclm plan``: the calls of a run to each model, their cost, and how long they take."""

import argparse
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from ..calls.gate import Origin
from ..config import NO_KEY, Config, ConfigError, RoleConfig, api_key
from ..evaluate.calibration.expected import expect, expectation_text
from ..evaluate.calibration.rates import read_rates
from ..pipeline.event_loop import run_async
from ..pipeline.expectation import Start
from ..pipeline.pilot import run_pilot
from ..pipeline.prepare import Plan, prepare
from ..reporting.display import watcher
from ..reporting.forecast import Forecast, forecast_run, forecast_text
from ..reporting.pilot import forecast_from_pilot, pilot_text
from .arguments import add_examples, add_progress, positive_integer
from .exit_status import ExitStatus
from .origin import print_endpoints
from .output import print_json, print_message, print_text, seeds_used
from .sessions import progress_display
from .settings import add_run_settings, read_run_settings

Role = TypeVar("Role", bound=RoleConfig)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    groups = add_run_settings(parser)
    groups.make.add_argument(
        "--answer-tokens",
        type=positive_integer,
        default=400,
        metavar="N",
        help="length of an answer to assume (default: 400)",
    )
    groups.make.add_argument(
        "--pilot",
        type=positive_integer,
        metavar="N",
        help="run N seeds and measure: calls, money and time; the run reuses their answers",
    )
    groups.make.add_argument(
        "--from",
        dest="pilot_run",
        type=Path,
        metavar="DIR",
        help="forecast by the rates of a finished pilot run: no call is made",
    )
    add_progress(groups.output)
    add_examples(
        parser,
        "codeclm plan",
        "codeclm plan -c codeclm.toml -n 10000",
        "# run 50 seeds, paid, and measure what the whole run takes",
        "codeclm plan -c codeclm.toml --pilot 50",
    )


def run(args: argparse.Namespace) -> int:
    if args.pilot is not None and args.pilot_run is not None:
        raise ConfigError("--pilot and --from: give only one of them")
    config, where, origin = read_run_settings(args)
    if args.pilot is None:
        config = _without_missing_keys(config)
    plan = prepare(config, where=where, origin=origin)
    forecast = forecast_run(plan, args.answer_tokens)
    used = Start(min(forecast.seeds, config.limit or forecast.seeds), len(plan.metadata))
    if args.pilot_run is not None:
        _from_pilot(plan, used, args, forecast)
        return ExitStatus.DONE
    start = f"{len(plan.metadata):,} metadata items"
    if forecast.seeds:
        seeds = seeds_used(forecast.seeds, config.limit)
        start = f"{seeds} seeds of about {forecast.seed_tokens} tokens"
    if not args.json:
        print_text(f"from {start}, assuming answers of {args.answer_tokens} tokens")
        print_text(forecast_text(forecast))
    print_endpoints(plan.endpoints)
    if args.pilot is not None:
        _pilot(plan, used, args, origin)
    elif args.json:
        print_json(forecast)
    return ExitStatus.DONE


def _without_missing_keys(config: Config) -> Config:
    """Return *config* so that no role needs a key that is not set: nothing is sent."""
    roles = {"strong": config.strong, "target": config.target, "judge": config.judge}
    judges = {
        name: _without_missing_key(f"judges.{name}", judge) for name, judge in config.judges.items()
    }
    return structs.replace(
        config,
        judges=judges,
        **{name: _without_missing_key(name, role) for name, role in roles.items()},
    )


def _without_missing_key(name: str, role: Role) -> Role:
    if not role.model:
        return role
    try:
        api_key(role)
    except ConfigError as error:
        print_message(f"{name}: {error} (a plan needs none)")
        return structs.replace(role, api_key=NO_KEY)
    return role


def _from_pilot(plan: Plan, start: Start, args: argparse.Namespace, bounds: Forecast) -> None:
    expectation = expect(plan, start, read_rates(args.pilot_run, plan), bounds)
    if args.json:
        print_json(expectation)
    else:
        print_text(expectation_text(expectation, bounds))


def _pilot(plan: Plan, start: Start, args: argparse.Namespace, origin: Origin) -> None:
    watch = watcher(progress_display(args))
    pilot, measured = run_async(
        partial(run_pilot, plan, start, args.pilot, origin=origin, watch=watch)
    )
    forecast = forecast_from_pilot(plan, start, pilot, measured)
    if args.json:
        print_json(forecast)
    else:
        print_text(pilot_text(forecast))
