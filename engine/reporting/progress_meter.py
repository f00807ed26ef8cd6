"""Read a session's progress from its counters; nothing on a call's way waits for it."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import structs

from ..calls.clients import endpoint_name, limits_of
from ..calls.dispatcher import Dispatcher
from ..calls.prices import Prices, prices_by_role
from ..calls.spending import UsageByStage
from ..pipeline.expectation import Start, likely_calls, likely_instructions
from ..pipeline.session import Session
from .pace import rate_pace, work_pace
from .progress import (
    Activity,
    EndpointProgress,
    OutputProgress,
    RunProgress,
    SpendingProgress,
    State,
)

MEASURED = 0.1
"""Share of the work from which on the calls so far say more than the forecast."""


LEAST_MEASURED = 10.0
"""Seconds of work that must be measured before anybody is told how long the rest takes."""


class _Likely(NamedTuple):
    """What the whole run will probably take."""

    instructions: int
    calls: int


class _Work(NamedTuple):
    """How much of what the run is to make is done."""

    done: int
    goal: int


class ProgressMeter:
    """Reads a session's counters, and how fast they grow.

    Args:
        session: what is read.
        clock: seconds, monotonic.
        wall_clock: seconds since 1970.
    """

    def __init__(
        self,
        session: Session,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._clock, self._wall_clock = clock, wall_clock
        self._began_at = clock()
        self._run = session.plan.folder.path.absolute().name
        self._paces = {role: rate_pace() for role in session.plan.roles}
        self._token_pace, self._work_pace = rate_pace(), work_pace()
        self._prices = prices_by_role(session.plan.roles)
        self._money_before = _cost(self._prices, session.before.usage)
        self._tokens_before = session.before.total.tokens
        self._forecast: _Likely | None = None

    def read(self) -> RunProgress:
        """Return how far the run is now."""
        now, session = self._clock(), self._session
        likely = self._likely()
        output = self._output(likely)
        work = self._work(output)
        share = min(1.0, work.done / work.goal) if work and work.goal else None
        if output.target_rows is not None and output.instructions is not None:
            likely_rows = _projected(output.instructions, share, output.likely_instructions)
            output = structs.replace(output, likely_instructions=likely_rows)
        spending = self._spending(now, share, likely)
        self._sample(now, spending, work)
        return RunProgress(
            run=self._run,
            state=self._state(),
            reason=self._reason(),
            elapsed=now - self._began_at,
            share=share,
            remaining=self._remaining(work),
            output=output,
            spending=spending,
            activity=self._activity(spending),
            endpoints=tuple(self._endpoint(*named) for named in session.dispatchers.items()),
            written_at=self._wall_clock(),
        )

    # -- how the session stands ----------------------------------------------------------------

    def _state(self) -> State:
        state = self._session.state
        if state is None or not self._session.counters.stages:
            usual: State = "starting"
        else:
            usual = "working"
        if state is None or not state.stopping:
            return usual
        if state.cancelled:
            return "stopping at once"
        return "stopping" if state.requested else "ending"

    def _reason(self) -> str:
        state = self._session.state
        if state is None or state.stopped_by is None:
            return ""
        return str(state.stopped_by)

    # -- what is made --------------------------------------------------------------------------

    def _output(self, likely: _Likely | None) -> OutputProgress:
        session, counts = self._session, self._session.ledger_counts
        return OutputProgress(
            rows=None if counts is None else counts.rows,
            target_rows=session.plan.config.target_rows,
            seeds=self._seeds(),
            total_seeds=session.total_seeds,
            instructions=None if counts is None else counts.instructions,
            likely_instructions=likely and likely.instructions,
        )

    def _seeds(self) -> int | None:
        plan, counts = self._session.plan, self._session.ledger_counts
        if counts is None or not self._session.total_seeds or plan.recipe.mode.endless:
            return None
        mixed = plan.config.metadata.augment_to
        done = counts.failed_seeds + (counts.encoded_seeds if mixed else counts.items)
        return min(done, self._session.total_seeds)

    def _work(self, output: OutputProgress) -> _Work | None:
        """Return rows of the target; without one seeds, or instructions of a fixed number."""
        if output.target_rows is not None and output.rows is not None:
            return _Work(min(output.rows, output.target_rows), output.target_rows)
        has_fixed_size = self._session.plan.config.metadata.augment_to or output.seeds is None
        if has_fixed_size and output.instructions is not None and output.likely_instructions:
            return _Work(output.instructions, output.likely_instructions)
        if output.seeds is not None and output.total_seeds:
            return _Work(output.seeds, output.total_seeds)
        return None

    def _likely(self) -> _Likely | None:
        """Forecast the run, once the seeds are counted."""
        plan, seeds = self._session.plan, self._session.total_seeds
        if self._forecast is None and (seeds is not None or plan.seeds is None):
            start = Start(seeds or 0, len(plan.metadata))
            drafts = likely_instructions(plan.recipe, plan.config, start)
            calls = likely_calls(plan.recipe, plan.config, start)
            rows = plan.recipe.rows_per_draft(plan.config)
            self._forecast = _Likely(drafts * rows, sum(calls.values()))
        return self._forecast

    def _remaining(self, work: _Work | None) -> float | None:
        """Return the seconds until the goal, at the pace of late."""
        pace = self._work_pace
        if work is None or pace.seconds < LEAST_MEASURED or pace.per_second <= 0:
            return None
        return max(0, work.goal - work.done) / pace.per_second

    # -- what is spent -------------------------------------------------------------------------

    def _spending(
        self, now: float, share: float | None, likely: _Likely | None
    ) -> SpendingProgress:
        session, budget = self._session, self._session.plan.config.budget
        total, before = session.counters.total(), session.before
        calls = before.calls + total.paid
        unpaid = before.reused + total.reused
        forecast = likely and max(0, likely.calls - unpaid)
        money = None
        if self._prices:
            money = self._money_before + _cost(self._prices, session.counters.usage)
        return SpendingProgress(
            calls=calls,
            reused=total.reused,
            likely_calls=_projected(calls, share, forecast),
            most_calls=budget.calls,
            tokens=self._tokens_before + total.prompt_tokens + total.completion_tokens,
            most_tokens=budget.tokens,
            money=money,
            most_money=budget.money,
            seconds=before.seconds + now - self._began_at,
            most_seconds=None if budget.hours is None else 3600 * budget.hours,
        )

    # -- what it does --------------------------------------------------------------------------

    def _sample(self, now: float, spending: SpendingProgress, work: _Work | None) -> None:
        for role, pace in self._paces.items():
            stages = self._session.counters.usage.get(role, {})
            pace.add(now, sum(usage.calls for usage in stages.values()))
        self._token_pace.add(now, spending.tokens)
        if work is not None:
            self._work_pace.add(now, work.done)

    def _activity(self, spending: SpendingProgress) -> Activity:
        session, counters = self._session, self._session.counters
        in_flight = session.abandoned or session.in_flight
        money = None
        if spending.money is not None and spending.calls:
            money = spending.money / spending.calls * in_flight
        return Activity(
            in_flight=in_flight,
            money_in_flight=money,
            calls_per_second=sum(pace.per_second for pace in self._paces.values()),
            tokens_per_second=self._token_pace.per_second,
            stages={name: structs.replace(counts) for name, counts in counters.stages.items()},
            scored=dict(counters.scored),
            selected=dict(counters.selected),
        )

    def _endpoint(self, name: str, dispatcher: Dispatcher) -> EndpointProgress:
        plan, now = self._session.plan, dispatcher.statistics()
        roles = {role: cfg for role, cfg in plan.roles.items() if endpoint_name(cfg) == name}
        return EndpointProgress(
            name=name,
            roles=tuple(roles),
            calls_per_second=sum(self._paces[role].per_second for role in roles),
            in_flight=now.in_flight,
            concurrency=now.concurrency,
            queued=now.queued,
            paused=now.paused,
            waiting_for_retry=now.waiting_for_retry,
            next_retry=now.next_retry,
            rate_limited=now.rate_limited,
            requests_per_minute=limits_of(list(roles.values())).requests_per_minute,
            outage=now.outage,
            longest_outage=plan.config.retry.outage,
            last_error=now.last_error,
        )


def _projected(amount: int, share: float | None, forecast: int | None) -> int | None:
    """Return what the whole run will take: as it went so far, or at first as forecast."""
    if share is not None and share >= MEASURED:
        return max(amount, round(amount / share))
    return None if forecast is None else max(forecast, amount)


def _cost(prices: Mapping[str, Prices], usage: UsageByStage) -> float:
    return sum(
        prices[role].cost(of_stage)
        for role, stages in usage.items()
        if role in prices
        for of_stage in stages.values()
    )
