"""One session of a run: open everything, run the recipe, close everything."""

import os
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
from msgspec import Struct, field, structs

from ..calls.clients import CallSettings, Clients, endpoint_name, open_clients
from ..calls.counters import Counters
from ..calls.dispatcher import Dispatcher
from ..calls.preflight import preflight, raise_problems
from ..calls.spending import Spending, total_spending
from ..config import Config, ConfigError, RoleConfig, to_toml
from ..data.errors import BudgetSpent, RunStopped, Stopping
from ..disk.event_log import event_logger
from ..disk.threads import finish_in_thread
from ..quality.near_duplicates import NearDuplicateFilter
from ..store.folder import FolderError
from ..store.ledger_counts import LedgerCounts
from ..store.lost_answers import LostAnswersError, describe_lost, find_lost_answers
from ..store.manifest import default_settings, differences
from ..store.writer import LedgerWriter
from .acceptance import Acceptance
from .background import background_tasks, keep_counting, watch_databases
from .execution import Execution, OnKept, Widths, ignore
from .prepare import Plan
from .signals import StopRequests, process_signals
from .state import Ending, SessionState
from .steps import Tools

log = event_logger()


class Session(Struct):
    """A session's outcome, and what the progress display reads meanwhile.

    Attributes:
        plan: the run.
        counters: calls, items per stage, rows.
        ending: how it ended; ``failed`` until then.
        reason: why it did not finish; empty if it did.
        spent_limit: the setting in ``[budget]`` that ended it; empty if none did.
        left_for_later: items that failed with transient errors; the next session tries them again.
        dispatchers: by endpoint.
        total_seeds: records in the seed files; None if there are none, or until they are counted.
        name: the session's own, unique within the run.
        before: what earlier sessions of the run spent, and how long they worked.
        state: whether it continues; None until its work begins.
        ledger_counts: what all sessions have finished, as last counted; None until it is.
        abandoned: calls in flight that a stop at once gave up.
    """

    plan: Plan
    counters: Counters
    ending: Ending = "failed"
    reason: str = ""
    spent_limit: str = ""
    left_for_later: int = 0
    dispatchers: dict[str, Dispatcher] = {}
    total_seeds: int | None = None
    name: str = ""
    before: Spending = field(default_factory=Spending)
    state: SessionState | None = None
    ledger_counts: LedgerCounts | None = None
    abandoned: int = 0
    began_at: float = field(default_factory=anyio.current_time)
    """On the loop's clock."""

    @property
    def in_flight(self) -> int:
        """Calls that were sent and are not answered yet, at all endpoints."""
        return sum(dispatcher.in_flight for dispatcher in self.dispatchers.values())


Watcher = Callable[[Session], Coroutine[Any, Any, None]]
"""Displays a session until it is cancelled."""


class Hooks(NamedTuple):
    """What a session calls while it works, and whether it tries its roles first."""

    watch: Watcher
    requests: StopRequests
    on_kept: OnKept
    tries_roles: bool


async def execute(
    plan: Plan,
    *,
    watch: Watcher,
    allow_change: bool = False,
    retry_failed: bool = False,
    pay_again: bool = False,
    requests: StopRequests = process_signals,
    on_kept: OnKept = ignore,
    tries_roles: bool = True,
    counters: Counters | None = None,
) -> Session:
    """Run until the dataset is finished, someone stops the session, or no item can continue.

    Args:
        plan: the run.
        watch: displays the session's progress.
        allow_change: start the run anew if the folder holds one with other settings.
        retry_failed: start the run anew if anything failed for good: stored replies are reused,
            and calls without one are sent again.
        pay_again: pay again for answers that the cache lacks.
        requests: where requests to stop come from.
        counters: the session's; by default new ones.
        on_kept: awaited with each example that is kept, in the order in which they are.
        tries_roles: make one small call per role first, and stop if one cannot be used.

    Raises:
        ConfigError: *retry_failed* without a cache, which would pay for everything again.
        FolderError: the folder holds another run.
        LostAnswersError: the cache lacks answers that an earlier session paid for.
        StorageError: the ledger or the cache cannot be used.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}"
    session = Session(plan, counters or Counters(), dispatchers={}, name=name)
    if retry_failed:
        await anyio.to_thread.run_sync(_check_cache, plan.config)
    changes = Changes(allow_change, retry_failed, pay_again)
    async with _open_ledger(plan, changes) as ledger:
        spent = await anyio.to_thread.run_sync(_open_account, ledger, name, plan.config)
        session.before = total_spending(spent)
        settings = CallSettings(
            plan.config.cache.path(),
            plan.config.retry,
            plan.config.parse_attempts,
            plan.config.seed,
            plan.config.budget,
        )
        try:
            async with open_clients(
                plan.roles,
                plan.prompts,
                settings,
                counters=session.counters,
                session=name,
                spent=spent,
            ) as clients:
                session.dispatchers = clients.dispatchers
                hooks = Hooks(watch, requests, on_kept, tries_roles)
                await _work(session, clients, ledger, hooks)
        finally:  # also if it could not begin: whoever resumes must know that nothing was paid
            _record_spending(session, ledger, ended=True)
    return session


async def _work(session: Session, clients: Clients, ledger: LedgerWriter, hooks: Hooks) -> None:
    plan, state = session.plan, SessionState(clients.stop)
    session.state = state

    def stop_at_once() -> None:
        session.abandoned = session.in_flight
        state.cancel()

    execution = await _execution(session, clients, ledger, state, hooks.on_kept)
    try:
        async with background_tasks(
            clients,
            event="run.signalled",
            requests=hooks.requests,
            is_stopping=lambda: state.requested or state.stopped_by is not None,
            stop=state.stop_on_request,
            stop_at_once=stop_at_once,
            tasks=(
                partial(hooks.watch, session),
                partial(_keep_account, session, ledger),
                partial(
                    keep_counting, plan.folder.ledger, partial(setattr, session, "ledger_counts")
                ),
                partial(_halt_on_failure, state, ledger),
                partial(watch_databases, _databases(plan), state.halt),
                partial(_halt_in_time, session, state),
            ),
        ):
            log.info("run.began", folder=str(plan.folder.path))
            selection = await anyio.to_thread.run_sync(plan.describe_seeds)
            if selection is not None:
                session.total_seeds = selection.seeds
                ledger.seeds_selected(selection)
            await _run(execution, plan, clients, tries_roles=hooks.tries_roles)
    finally:
        _record_spending(session, ledger)
    session.left_for_later = state.left_for_later
    session.ending, session.reason = state.verdict()
    if session.abandoned:
        session.reason += f"; calls in flight given up, which may be billed: {session.abandoned:,}"
    if isinstance(state.stopped_by, BudgetSpent):
        session.spent_limit = state.stopped_by.limit
    log.info("run.ended", ending=session.ending, reason=session.reason)


async def _run(execution: Execution, plan: Plan, clients: Clients, *, tries_roles: bool) -> None:
    try:
        if tries_roles:
            raise_problems(await preflight(clients, plan.roles))
        await plan.recipe.mode.run(execution)
    except* RunStopped as group:
        execution.state.halt(_first(group))
    except* Stopping:
        pass  # stopped on request before the first stage began


def _databases(plan: Plan) -> tuple[Path, ...]:
    return plan.folder.ledger, plan.config.cache.database()


def _first(group: BaseExceptionGroup[RunStopped]) -> RunStopped:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, RunStopped)
    return error


# -- what the recipe works with ---------------------------------------------------------------


async def _execution(
    session: Session,
    clients: Clients,
    ledger: LedgerWriter,
    state: SessionState,
    on_kept: OnKept,
) -> Execution:
    plan = session.plan
    rows_per_draft = plan.recipe.rows_per_draft(plan.config)
    return Execution(
        config=plan.config,
        writing=plan.recipe.writing,
        finishing=plan.recipe.finishing,
        tools=Tools(plan.config, clients.models, session.counters, rows_per_draft),
        ledger=ledger,
        state=state,
        on_kept=on_kept,
        acceptance=await anyio.to_thread.run_sync(_acceptance, plan, ledger),
        widths=widths(plan.config, plan.roles),
        read_seeds=plan.read_seeds,
        total_seeds=await anyio.to_thread.run_sync(plan.count_seeds),
        seed_order=plan.seed_order,
        metadata=plan.metadata,
    )


def _acceptance(plan: Plan, ledger: LedgerWriter) -> Acceptance:
    rules, near_duplicates = plan.rules, None
    if rules.similarity is not None:
        near_duplicates = NearDuplicateFilter(
            rules.similarity, ledger.reader, lambda: plan.read_seeds(bytearray())
        )
    return Acceptance(ledger, rules.checks, rules.overlap, near_duplicates)


SPARE_WORKERS = 64
"""Workers beyond the calls in flight: some wait for a retry, without taking up a call. With 15 % of
calls refused for a second, 8 in flight and none to spare, a run took 1.34 times as long."""


def widths(config: Config, roles: Mapping[str, RoleConfig]) -> Widths:
    """Return enough workers that one slow role does not leave another without work."""
    shared = {endpoint_name(role): role.max_concurrent for role in roles.values()}
    strong = config.strong.max_concurrent
    finish = sum(shared.values()) + SPARE_WORKERS
    return Widths(encode=strong, write=max(1, strong // 2), finish=finish)


# -- the ledger -------------------------------------------------------------------------------


class Changes(NamedTuple):
    """What a session may do to the run that it finds, as for `execute`."""

    allow_change: bool
    retry_failed: bool
    pay_again: bool


@asynccontextmanager
async def _open_ledger(plan: Plan, changes: Changes) -> AsyncGenerator[LedgerWriter]:
    def open_ledger() -> LedgerWriter:
        ledger = LedgerWriter(plan.folder.ledger)
        try:
            anew = changes.retry_failed and ledger.reader.has_failures()
            if not changes.pay_again:
                _check_answers(plan, ledger, anew=anew)
            settle_manifest(plan, ledger, allow_change=changes.allow_change)
            if anew:
                ledger.clear()
            ledger.clear_provisional_decisions()
        except BaseException:
            ledger.close()
            raise
        return ledger

    ledger = await anyio.to_thread.run_sync(open_ledger)
    try:
        yield ledger
    finally:
        await finish_in_thread(ledger.close)


def _check_answers(plan: Plan, ledger: LedgerWriter, *, anew: bool) -> None:
    """Check that going on, or building the run *anew*, pays for nothing again.

    Raises:
        LostAnswersError: it would; the message says what that costs.
    """
    cache = plan.config.cache
    lost = find_lost_answers(plan.folder, ledger.reader, cache.database(), plan.roles, anew=anew)
    if lost is not None:
        raise LostAnswersError(describe_lost(lost, cache.path()))


def _check_cache(config: Config) -> None:
    path = config.cache.database()
    if not path.is_file():
        raise ConfigError(
            f"{path} not found: without the replies of the run, everything would be paid again"
        )


def settle_manifest(plan: Plan, ledger: LedgerWriter, *, allow_change: bool) -> None:
    """Check that the folder's run is this one, or start one. Blocks.

    Raises:
        FolderError: the folder holds another run; the message shows the differences.
    """
    old = plan.folder.read_manifest()
    calls_out = any(use.address for use in plan.endpoints) or plan.config.downloads_seeds
    trusted = calls_out or not plan.is_foreign  # what sends nothing passes the gate unasked
    if old is not None:
        changed = differences(old, plan.manifest, default_settings())
        if changed and not allow_change and not ledger.reader.is_untouched():
            raise FolderError(
                f"{plan.folder.path}: this folder holds another run:\n"
                + "".join(f"    {line}\n" for line in changed)
                + "choose another folder (--out), or --allow-change to start this run anew with"
                " the changes (replies already paid for are reused)"
            )
        if changed:
            ledger.clear()
            log.warning("run.changed", differences=changed)
        else:
            manifest = structs.replace(plan.manifest, started=old.started)
            plan.folder.write_manifest(to_toml(plan.config), manifest, trusted=trusted)
            return
    plan.folder.write_manifest(to_toml(plan.config), plan.manifest, trusted=trusted)


async def _halt_on_failure(state: SessionState, ledger: LedgerWriter) -> None:
    """Stop the session when the ledger can no longer be written."""
    state.halt(await ledger.failure())


def _open_account(ledger: LedgerWriter, name: str, config: Config) -> list[Spending]:
    """Open the account of the session *name*; return what earlier sessions spent. Blocks.

    Where one was killed, the ledger takes over from the cache what it had not recorded yet.
    """
    before = ledger.reader.spending(config.cache.database())
    ledger.begin_session(name, before)
    return list(before.values())


async def _halt_in_time(session: Session, state: SessionState) -> None:
    """Stop the session when its run has worked for ``budget.hours``."""
    hours = session.plan.config.budget.hours
    if hours is None:
        return
    await anyio.sleep(max(0.0, hours * 3600 - session.before.seconds))
    state.halt(BudgetSpent("hours", f"budget.hours: {hours:g} of {hours:g} spent"))


async def _keep_account(session: Session, ledger: LedgerWriter) -> None:
    """Copy the session's spending into the ledger every second."""
    while True:
        await anyio.sleep(1)
        _record_spending(session, ledger)


def _record_spending(session: Session, ledger: LedgerWriter, *, ended: bool = False) -> None:
    """Put the session's account into the ledger; at its end also if nothing was spent."""
    counters = session.counters
    total = counters.total()
    if total.paid or total.reused or ended:
        seconds = anyio.current_time() - session.began_at
        ledger.spent(session.name, Spending(counters.usage, total.reused, seconds))
