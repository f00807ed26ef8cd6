"""One session of an evaluation: compare until all prompts are judged or it is stopped.

An evaluation keeps no ledger. Every answer is in the cache before it is used, so restarting after a
kill pays for nothing twice; a test set fits in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial

from msgspec import Struct, field

from ..calls.clients import CallSettings, Clients, endpoint_name, open_clients
from ..calls.counters import Counters
from ..calls.model import Model
from ..calls.preflight import preflight, raise_problems
from ..config import RetryPolicy
from ..data.errors import ItemError, RunStopped, Stopping
from ..data.test_sets import Question
from ..disk.event_log import event_logger
from ..disk.sqlite import StorageError
from ..pipeline.background import background_tasks, watch_databases
from ..pipeline.line import Stage, begin, run
from ..pipeline.signals import StopRequests, process_signals
from ..reporting.waiting import waiting_endpoints
from .pairwise import Answers, PairwiseComparison, PairwiseEvaluator
from .prepare import EvaluationPlan
from .settings import Side

log = event_logger()

PROGRESS_INTERVAL = 10.0
"""Seconds between two messages of progress."""

Notify = Callable[[str], object]
"""Shows a line to the user."""


class EvaluationSession(Struct):
    """The results of a session.

    Attributes:
        questions: the test set, as the models get it.
        counters: calls by stage.
        comparisons: by the question's id.
        unanswered: errors of the prompts that failed with transient errors, by id.
        stopped_by: why the session stopped early; empty if it did not.
        requested: whether somebody asked it to.
    """

    questions: Sequence[Question]
    counters: Counters = field(default_factory=Counters)
    comparisons: dict[str, PairwiseComparison] = {}
    unanswered: dict[str, str] = {}
    stopped_by: str = ""
    requested: bool = False

    @property
    def in_order(self) -> list[PairwiseComparison]:
        """The comparisons in the order of the test set."""
        return [self.comparisons[q.id] for q in self.questions if q.id in self.comparisons]


async def execute_evaluation(
    plan: EvaluationPlan,
    notify: Notify,
    *,
    requests: StopRequests = process_signals,
    tries_roles: bool = True,
) -> EvaluationSession:
    """Compare the answers to all prompts, or to as many as a stop allows.

    Args:
        plan: what to compare.
        notify: shows a line of progress.
        requests: where requests to stop come from.
        tries_roles: make one small call per role first, and stop if one cannot be used.

    Raises:
        StorageError: the cache cannot be used.
    """
    config, session = plan.config, EvaluationSession(plan.questions)
    cache = config.cache.path()
    call_settings = CallSettings(cache, config.retry, config.parse_attempts)
    for prompt in plan.shortened:
        log.warning(
            "prompt.shortened", question=prompt.id, before=prompt.before, after=prompt.after
        )
    async with open_clients(
        config.roles, plan.prompts, call_settings, counters=session.counters
    ) as clients:

        def stop() -> None:
            session.stopped_by, session.requested = "stopped on request", True
            clients.stop()
            calls = sum(dispatcher.in_flight for dispatcher in clients.dispatchers.values())
            notify(f"stopping: {calls:,} in flight; Ctrl-C again to stop now")

        def halt(error: StorageError) -> None:
            session.stopped_by = str(error)
            clients.stop(error)

        async with background_tasks(
            clients,
            event="evaluation.signalled",
            requests=requests,
            is_stopping=lambda: bool(session.stopped_by),
            stop=stop,
            tasks=(
                partial(_show_progress, session, clients, config.retry, notify),
                partial(watch_databases, [config.cache.database()], halt),
            ),
        ):
            if tries_roles:
                await _try_roles(session, plan, clients)
            await _compare(session, plan, clients)
    return session


async def _try_roles(session: EvaluationSession, plan: EvaluationPlan, clients: Clients) -> None:
    """Stop the session if a role cannot be used."""
    try:
        raise_problems(await preflight(clients, plan.config.roles))
    except RunStopped as error:
        session.stopped_by = session.stopped_by or str(error)
        clients.stop()
    except Stopping:
        pass  # on request, which the session already knows


async def _compare(session: EvaluationSession, plan: EvaluationPlan, clients: Clients) -> None:
    async def keep(comparison: PairwiseComparison) -> None:
        session.comparisons[comparison.id] = comparison
        if comparison.reason:
            log.warning("verdict.invalid", question=comparison.id, reason=comparison.reason)

    def lost(question: Question, error: ItemError) -> None:
        session.unanswered[question.id] = str(error)
        log.warning("question.lost", question=question.id, error=str(error))

    def halt(error: RunStopped) -> None:
        session.stopped_by = session.stopped_by or str(error)
        clients.stop()

    answerers: dict[Side, Model | Answers] = {
        side: plan.answers.get(side) or clients.models[side] for side in plan.config.answerers
    }
    evaluator = PairwiseEvaluator(answerers, clients.models["judge"])
    line = begin(Stage("compare", evaluator, lost, workers=_workers(plan)))
    await run(_stream(session.questions), line, keep, halt=halt, counts=session.counters.stages)
    await clients.drained()


async def _stream(questions: Iterable[Question]) -> AsyncIterator[Question]:
    for question in questions:
        yield question


def _workers(plan: EvaluationPlan) -> int:
    """Return enough workers that every endpoint is busy."""
    widths = {endpoint_name(role): role.max_concurrent for role in plan.config.roles.values()}
    return max(1, min(len(plan.questions), sum(widths.values())))


async def _show_progress(
    session: EvaluationSession, clients: Clients, policy: RetryPolicy, notify: Notify
) -> None:
    while True:
        await asyncio.sleep(PROGRESS_INTERVAL)
        total = session.counters.total()
        notify(
            f"{len(session.comparisons):,} of {len(session.questions):,} compared;"
            f" {total.paid:,} paid, {total.reused:,} reused"
        )
        for line in waiting_endpoints(clients.dispatchers, policy):
            notify(line)
