"""Make datasets."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from ..config import Config
from ..data.errors import RunStopped, UserError
from ..data.formats import Selection, selections
from ..data.records import Example
from ..disk.event_log import logging_to
from ..disk.threads import finish_in_thread
from ..pipeline import prepare as preparation
from ..pipeline.execution import OnKept, ignore
from ..pipeline.prepare import Plan
from ..pipeline.session import Session, Watcher, execute
from ..pipeline.signals import StopButton, StopRequests, no_requests
from ..reporting.display import publish_progress
from ..reporting.results import write_results
from ..reporting.summary import Summary
from .blocking import wait_for


def prepare(config: Config) -> Plan:
    """Check everything that can be checked without a call. Blocks: it reads the seed files.

    Raises:
        UserError: naming the file or the key at fault, and the remedy.
    """
    return preparation.prepare(config, where="configuration")


def run(config: Config | Plan, *, allow_change: bool = False, pay_again: bool = False) -> Summary:
    """Make a dataset, or continue making it, and return its summary. Blocks until it is done.

    Works in a program, in a notebook and in a thread. Ctrl-C stops it gracefully, and a second one
    at once: call it again to continue.

    Args:
        config: the settings, or what `prepare` returned for them.
        allow_change: start over in a folder that holds a run with another configuration; replies
            already paid for are reused.
        pay_again: go on although the cache lacks answers that the run has paid for.

    Returns:
        The summary. ``ending`` says whether the run is finished, and ``reason`` why it is not.

    Raises:
        UserError: the configuration cannot be used, the folder holds another run, or another
            process is working on it.
        RunStopped: a file of the run cannot be read or written.
    """
    plan = _prepared(config)

    async def make(requests: StopRequests) -> Summary:
        summary, _ = await run_session(
            plan, requests=requests, allow_change=allow_change, pay_again=pay_again
        )
        return summary

    return wait_for(make)


async def make_dataset(
    config: Config | Plan,
    *,
    watch: Watcher | None = None,
    allow_change: bool = False,
    pay_again: bool = False,
) -> Summary:
    """Do as `run` does, in the event loop of the caller (asyncio), who may cancel it.

    Cancelling stops it at once; what was paid for is kept, and calling it again continues.

    Args:
        config: the settings, or what `prepare` returned for them.
        watch: displays the session's progress until it is cancelled.
        allow_change: as for `run`.
        pay_again: as for `run`.

    Returns:
        The summary.

    Raises:
        UserError, RunStopped: as `run`.
    """
    plan = await anyio.to_thread.run_sync(_prepared, config)
    summary, _ = await run_session(
        plan,
        watch=watch or _silently,
        requests=no_requests,
        allow_change=allow_change,
        pay_again=pay_again,
    )
    return summary


async def run_session(
    plan: Plan,
    *,
    watch: Watcher | None = None,
    requests: StopRequests = no_requests,
    on_kept: OnKept = ignore,
    on_start: Callable[[], object] = lambda: None,
    allow_change: bool = False,
    retry_failed: bool = False,
    pay_again: bool = False,
    force: bool = False,
    tries_roles: bool = True,
) -> tuple[Summary, Session]:
    """Work on *plan* until it is finished or stopped, and write its results.

    Args:
        plan: the run.
        watch: displays the session's progress until it is cancelled.
        requests: where requests to stop come from.
        on_kept: awaited with each example that is kept.
        on_start: called once the run's folder is this process's.
        allow_change: start the run anew if the folder holds one with other settings.
        retry_failed: start the run anew if anything failed for good.
        pay_again: pay again for answers that the cache lacks.
        force: whether files in the folder that codeclm did not write may be replaced.
        tries_roles: make one small call per role first, and stop if one cannot be used.

    Raises:
        UserError, RunStopped: as `run`.
    """
    plan.folder.make(force=force)
    with plan.folder.locked(), logging_to(plan.folder.events):
        on_start()
        session = await execute(
            plan,
            watch=partial(publish_progress, watch or _silently),
            allow_change=allow_change,
            retry_failed=retry_failed,
            pay_again=pay_again,
            requests=requests,
            on_kept=on_kept,
            tries_roles=tries_roles,
        )
        # What was paid for is worth its summary, even while the task is being cancelled.
        return await finish_in_thread(partial(_write_results, plan, session)), session


def _write_results(plan: Plan, session: Session) -> Summary:
    """Write the results; if that fails, say why the session ended, which may be the cause.

    Raises:
        RunStopped: they cannot be written.
    """
    try:
        return write_results(plan, session)
    except (UserError, RunStopped, OSError) as error:
        reason = f"{session.reason}; and its results: {error}" if session.reason else str(error)
        raise RunStopped(reason) from error


async def _silently(session: Session) -> None:
    del session


def _prepared(config: Config | Plan) -> Plan:
    return config if isinstance(config, Plan) else prepare(config)


class RowStream:
    """Rows of a run, in the order in which they are kept.

    Attributes:
        summary: the run's, once all rows have been read; None before.
    """

    def __init__(self, plan: Plan, kept: MemoryObjectReceiveStream[Example]) -> None:
        self.summary: Summary | None = None
        self._kept = kept
        self._plan = plan

    def __aiter__(self) -> AsyncIterator[Selection]:
        return self

    async def __anext__(self) -> Selection:
        try:
            example = await self._kept.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        config = self._plan.config
        [row] = selections(
            [example], strong_model=config.strong.model, target_model=config.target.model
        )
        return row


@asynccontextmanager
async def stream_rows(
    config: Config | Plan, *, allow_change: bool = False, pay_again: bool = False
) -> AsyncGenerator[RowStream]:
    """Make a dataset as `make_dataset` does, and hand out its rows as they are kept.

    Example::

        async with stream_rows(config) as rows:
            async for row in rows:
                print(row.instruction, row.chosen.text)
        print(rows.summary.rows)

    The exports hold the rows in seed order instead, and may lack a few that were handed out: those
    beyond ``target_rows``, and near-duplicates of a row before them. Rows of earlier sessions are
    not handed out again. Leaving the block early stops the run gracefully.

    Args:
        config: the settings, or what `prepare` returned for them.
        allow_change: as for `run`.
        pay_again: as for `run`.

    Raises:
        UserError, RunStopped: as `run`.
    """
    plan = await anyio.to_thread.run_sync(_prepared, config)
    send, receive = anyio.create_memory_object_stream[Example](64)
    rows, button = RowStream(plan, receive), StopButton()

    async def publish(example: Example) -> None:
        with suppress(anyio.BrokenResourceError):  # nobody reads any more: the run is stopping
            await send.send(example)

    async def work() -> None:
        async with send:
            rows.summary, _ = await run_session(
                plan,
                requests=button,
                on_kept=publish,
                allow_change=allow_change,
                pay_again=pay_again,
            )

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            yield rows
            receive.close()
            button.press()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise
    finally:
        receive.close()
