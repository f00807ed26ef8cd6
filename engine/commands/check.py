"""``codeclm check``: everything that a run checks before its first stage."""

import argparse
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from msgspec import Struct, structs

from ..calls.clients import CallSettings, open_clients
from ..calls.counters import Counters
from ..calls.gate import EndpointUse
from ..calls.preflight import RoleCheck, preflight, problems
from ..calls.prices import Prices, prices_by_role
from ..config import Config, RetryPolicy, describe_temperature, is_program, retirement, to_toml
from ..data.records import Unreadable
from ..data.seeds.selection import SeedSelection
from ..pipeline.event_loop import run_async
from ..pipeline.prepare import Plan, prepare
from .arguments import add_examples, add_json
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text, seeds_used
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
    add_json(groups.output)
    add_examples(
        parser,
        "codeclm check",
        "# one small call to each model: are the keys and names right?",
        "codeclm check -c codeclm.toml --call",
    )


class SeedCheck(Struct, frozen=True):
    """The seeds of a run.

    Attributes:
        total: in the files.
        used: by the run, which may have a limit.
        read: how many of the first were read to check them.
        unreadable: those among them that are no seeds.
    """

    total: int
    used: int
    read: int
    unreadable: tuple[Unreadable, ...]


class Readiness(Struct, frozen=True):
    """What a run would begin with.

    Attributes:
        ready: whether it can begin.
        seeds: None where it starts from metadata.
        metadata: how many items the user wrote.
        quality: the rules for rows, as TOML.
        prices: by role, where they are known.
        calls: those of ``--call``.
    """

    ready: bool
    folder: str
    cache: str
    recipe: str
    target_rows: int | None
    seeds: SeedCheck | None
    metadata: int
    quality: str
    endpoints: tuple[EndpointUse, ...]
    prices: dict[str, Prices]
    warnings: tuple[str, ...]
    calls: tuple[RoleCheck, ...] = ()


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    plan = prepare(config, where=where, origin=origin)
    plan.folder.make()
    readiness = _examine(plan)
    if not args.json:
        print_text("\n".join(_lines(plan, readiness)))
    if args.call:
        calls = run_async(partial(_call, plan))
        is_ready = not problems(calls)
        readiness = structs.replace(readiness, calls=tuple(calls), ready=is_ready)
    if args.json:
        print_json(readiness)
    elif args.call:
        _print_calls(readiness.calls)
    else:
        print_text("ready to run; no call was made")
    for problem in problems(readiness.calls):
        print_message(problem)
    return ExitStatus.DONE if readiness.ready else ExitStatus.FAILED


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


def _print_calls(calls: Collection[RoleCheck]) -> None:
    for call in calls:
        if not call.problem:
            print_text(f"{call.role:<8} answered (tokens: {call.tokens:,})")
    if not problems(calls):
        print_text("ready to run" if calls else "ready to run; no model is called over a network")


def _examine(plan: Plan) -> Readiness:
    config = plan.config
    today = datetime.now(UTC).date()
    notices = filter(None, {retirement(role, today) for role in plan.roles.values()})
    return Readiness(
        ready=True,
        folder=str(plan.folder.path),
        cache=str(config.cache.path()),
        recipe=plan.recipe.name,
        target_rows=config.target_rows,
        seeds=None if plan.seeds is None else _check_seeds(plan.seeds),
        metadata=len(plan.metadata),
        quality=to_toml(config.quality),
        endpoints=tuple(plan.endpoints),
        prices=prices_by_role(plan.roles),
        warnings=tuple(f"{notice}: choose another model" for notice in sorted(notices)),
    )


def _check_seeds(selection: SeedSelection) -> SeedCheck:
    records = list(islice(selection.read(), RECORDS_CHECKED))
    unreadable = tuple(record for record in records if isinstance(record, Unreadable))
    return SeedCheck(selection.total, len(selection), len(records), unreadable)


def _lines(plan: Plan, readiness: Readiness) -> Iterator[str]:
    if readiness.seeds is None:
        yield f"metadata {readiness.metadata:,}"
    else:
        yield f"seeds    {seeds_used(readiness.seeds.total, plan.config.limit)}"
        yield from _unreadable(readiness.seeds)
    yield f"recipe   {plan.recipe.name}: {plan.recipe.summary}"
    yield f"rows     {_target(plan.config)}"
    yield f"quality  {'; '.join(readiness.quality.splitlines()) or 'no rules'}"
    for use in readiness.endpoints:
        settings = plan.roles[use.role]
        how = "" if is_program(settings) else f"; temperature {describe_temperature(settings)}"
        yield f"{use}{how}"
    for role, prices in readiness.prices.items():
        figures = f"{prices.input:g} in, {prices.output:g} out per million tokens"
        yield f"price    {role} {figures} ({prices.source})"
    yield f"folder   {readiness.folder}"
    yield f"cache    {readiness.cache}"
    yield from (f"warning  {warning}" for warning in readiness.warnings)


def _unreadable(seeds: SeedCheck) -> Iterator[str]:
    """Report how many of the first records are not seeds, and why the first three are not."""
    count = len(seeds.unreadable)
    if not count:
        return
    share = f"{count:,} of the first {seeds.read:,} ({count / seeds.read:.1%})"
    yield f"         {share} cannot be read and will be skipped:"
    for record in seeds.unreadable[:3]:
        yield f"           {record.where}: {record.reason}"


def _target(config: Config) -> str:
    if config.target_rows is not None:
        return f"exactly {config.target_rows:,}, if possible"
    return "as many as the seeds give (set target_rows for an exact number)"
