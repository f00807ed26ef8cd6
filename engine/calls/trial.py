"""Trial: a stage's first calls, few enough that settings at fault cost little.

Until one reply of a role and stage can be used, at most `MOST` of its calls are in flight or have
failed. If all of these bring nothing, the cause is a setting, and the run stops.
"""

from collections import deque
from typing import Any

from ...prompts import Prompt
from ..data.errors import ItemError, RunStopped
from .counters import Counters
from .dispatcher import Dispatcher
from .queued_call import QueuedCall, StopReason
from .remedies import TrialFailure, describe_failures
from .replies import StoredReply
from .sampling import Sampling
from .unusable import UnusableReplyError, parse_reply

MOST = 16
"""Calls without a usable reply after which the settings are at fault, not the items."""


class Trial:
    """The calls of one role and stage until one of them brings a reply that can be used.

    Attributes:
        is_passed: whether one has; from then on nothing is held back or examined.
    """

    def __init__(
        self,
        role: str,
        stage: str,
        sampling: Sampling,
        dispatcher: Dispatcher,
        counters: Counters,
    ) -> None:
        self.is_passed = False
        self._role = role
        self._stage = stage
        self._sampling = sampling
        self._dispatcher = dispatcher
        self._counters = counters
        self._in_flight = 0
        self._failures: list[TrialFailure] = []
        self._waiting: deque[QueuedCall] = deque()
        self._stopped_by: StopReason | None = None
        dispatcher.on_stop(self._abandon)

    def submit(self, call: QueuedCall) -> None:
        """Queue *call* with the dispatcher, now or when there is room."""
        if self._stopped_by is not None:
            call.abandon(self._stopped_by)
            return
        self._waiting.append(call)
        self._release()

    def settle(
        self, prompt: Prompt[Any], outcome: StoredReply | ItemError | StopReason
    ) -> RunStopped | None:
        """Note how one of the calls ended; return why the run must stop, if it must."""
        self._in_flight -= 1
        if self.is_passed:
            return None
        failure = None
        if isinstance(outcome, StoredReply):
            failure = self.examine(prompt, outcome)
        elif isinstance(outcome, ItemError) and not outcome.transient:
            failure = TrialFailure(outcome.reason, outcome.detail)
        if failure is not None:
            self._failures.append(failure)
        if len(self._failures) < MOST:
            self._release()
            return None
        if isinstance(outcome, StoredReply):  # nobody will read it
            self._counters.count_unusable(self._stage, self._failures[-1].reason)
        stopped = RunStopped(
            describe_failures(self._failures, self._role, self._stage, self._sampling)
        )
        self._dispatcher.stop(stopped)
        return stopped

    def examine(self, prompt: Prompt[Any], reply: StoredReply) -> TrialFailure | None:
        """Pass if *reply* can be used, wherever it comes from; else return what is wrong."""
        try:
            parse_reply(prompt, reply)
        except UnusableReplyError as error:
            return TrialFailure.of_reply(error, self._sampling)
        self.is_passed = True
        self._release()
        return None

    def _release(self) -> None:
        while self._waiting and (self.is_passed or self._in_flight + len(self._failures) < MOST):
            self._in_flight += 1
            self._dispatcher.submit(self._waiting.popleft())

    def _abandon(self, reason: StopReason) -> None:
        self._stopped_by = reason
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            call.abandon(reason)
