"""``codeclm check``: everything that a run checks before its first stage."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from ..calls.clients import CallSettings, open_clients
from ..calls.counters import Counters
from ..calls.preflight import RoleCheck, preflight, problems
from ..calls.prices import prices_by_role
from ..config import Config, RetryPolicy, describe_temperature, retirement, to_toml
from ..data.records import Unreadable
from ..data.seeds.selection import SeedSelection
from ..pipeline.event_loop import run_async
from ..pipeline.prepare import Plan, prepare
from .arguments import add_examples
from .exit_status import ExitStatus
from .output import print_message, print_text, seeds_used
from .settings import add_run_settings, read_run_settings

RECORDS_CHECKED = 1000
"""Seed records to parse: enough to find what is wrong with a file."""


PATIENCE = 10.0
"""Seconds to wait for an endpoint that answers nobody."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    groups = add_run_settings(parser)
    groups.models.add_argument(
        "--call", action="store_true", help="also make one small call to each model, which is paid"
    )
    add_examples(
        parser,
        "codeclm check",
        "# one small call to each model: are the keys and names right?",
        "codeclm check -c codeclm.toml --call",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    plan = prepare(config, where=where, origin=origin)
    plan.folder.make()
    print_text("\n".join(_lines(plan)))
    if args.call:
        return _report_calls(run_async(partial(_call, plan)))
    print_text("ready to run; no call was made")
    return ExitStatus.DONE


async def _call(plan: Plan) -> list[RoleCheck]:
    """Call every model once; a reply from an earlier check would say nothing of today's key."""
    config = plan.config
    retry = RetryPolicy(attempts=2, budget=PATIENCE, outage=PATIENCE)
    settings = CallSettings(config.cache.path(), retry, config.parse_attempts, config.seed)
    sample = f"/check {datetime.now(UTC).isoformat()}"
    async with open_clients(plan.roles, plan.prompts, settings, counters=Counters()) as clients:
        checks = await preflight(clients, plan.roles, sample=sample, patience=PATIENCE)
        await clients.drained()
    return checks


def _report_calls(checks: list[RoleCheck]) -> ExitStatus:
    for check in checks:
        if not check.problem:
            print_text(f"{check.role:<8} answered (tokens: {check.tokens:,})")
    lines = problems(checks)
    for line in lines:
        print_message(line)
    if lines:
        return ExitStatus.FAILED
    print_text("ready to run" if checks else "ready to run; no model is called over a network")
    return ExitStatus.DONE


def _lines(plan: Plan) -> Iterator[str]:
    config = plan.config
    if plan.seeds is not None:
        yield f"seeds    {seeds_used(plan.seeds.total, config.limit)}"
        yield from _unreadable(plan.seeds)
    else:
        yield f"metadata {len(plan.metadata):,}"
    yield f"recipe   {plan.recipe.name}: {plan.recipe.summary}"
    yield f"rows     {_target(config)}"
    yield f"quality  {'; '.join(to_toml(config.quality).splitlines()) or 'no rules'}"
    for use in plan.endpoints:
        yield f"{use}; temperature {describe_temperature(plan.roles[use.role])}"
    yield from _prices(plan)
    yield f"folder   {plan.folder.path}"
    yield f"cache    {config.cache.path()}"
    today = datetime.now(UTC).date()
    notices = {retirement(role, today) for role in plan.roles.values()}
    yield from (
        f"warning  {notice}: choose another model" for notice in sorted(filter(None, notices))
    )


def _prices(plan: Plan) -> Iterator[str]:
    """Say what each role costs, where a price is known."""
    for role, prices in prices_by_role(plan.roles).items():
        figures = f"{prices.input:g} in, {prices.output:g} out per million tokens"
        yield f"price    {role} {figures} ({prices.source})"


def _unreadable(selection: SeedSelection) -> Iterator[str]:
    """Report how many of the first records are not seeds, and why the first three are not."""
    records = list(islice(selection.read(), RECORDS_CHECKED))
    unreadable = [record for record in records if isinstance(record, Unreadable)]
    if not unreadable:
        return
    share = len(unreadable) / len(records)
    count = f"{len(unreadable):,} of the first {len(records):,} ({share:.1%})"
    yield f"         {count} cannot be read and will be skipped:"
    for record in unreadable[:3]:
        yield f"           {record.where}: {record.reason}"


def _target(config: Config) -> str:
    if config.target_rows is not None:
        return f"exactly {config.target_rows:,}, if possible"
    return "as many as the seeds give (set target_rows for an exact number)"
