"""A paid call: sent, counted, paid, stored, and delivered to every caller."""

import asyncio
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from ...prompts import Prompt
from ...providers.base import Message, Reply, Request
from ..data.errors import ItemError, RunStopped, Stopping
from .budget import Amount, Budget
from .cache import Cache
from .counters import Counters
from .dispatcher import Dispatcher
from .queued_call import QueuedCall, StopReason
from .replies import StoredReply, decode_reply, encode_reply, to_stored
from .spending import Charge, Usage, usage_of
from .tokens import OutputLengths
from .trial import Trial

Outcome = StoredReply | ItemError | StopReason


class RoleCalls(Struct, frozen=True):
    """What all calls of one role share."""

    role: str
    dispatcher: Dispatcher
    cache: Cache
    in_flight: "InFlightCalls"
    counters: Counters
    budget: Budget
    session: str = ""
    """Whose account the calls are charged to; none if empty."""
    output_lengths: OutputLengths = field(default_factory=OutputLengths)

    def send_for(
        self,
        request: Request,
        prompt: Prompt[Any],
        trial: Trial,
        *,
        key: bytes,
        about: Raw,
        replace: bool,
    ) -> "asyncio.Future[Outcome]":
        """Queue *request*; the future of its outcome may be abandoned without harm.

        Args:
            request: what to send.
            prompt: what it asks.
            trial: the stage's; it may hold the call back.
            key: the cache key under which the reply is stored.
            about: the fields of the key, stored with the reply.
            replace: whether the key holds a damaged value.
        """
        call = self.in_flight[key] = OutgoingCall(
            request=request,
            priority=prompt.priority,
            prompt=prompt,
            trial=None if trial.is_passed else trial,
            tokens=self._reserve(request),
            role=self,
            key=key,
            about=about,
            replace=replace,
        )
        outcome = call.outcome()
        if call.trial is None:
            self.dispatcher.submit(call)
        else:
            call.trial.submit(call)
        return outcome

    def account_for(self, request: Request, reply: Reply, reserved: Amount | None) -> Charge | None:
        """Count and pay for *reply*, and learn from it what to reserve next time.

        Return the charge to store with it.
        """
        if self.dispatcher.reserves or self.budget.counts_tokens:
            self.output_lengths.learn(request.purpose, reply.completion_tokens)
            characters = _characters(request.messages)
            self.dispatcher.prompt_lengths.learn(characters, reply.prompt_tokens)
        usage = usage_of(reply)
        self.counters.count_paid(self.role, request.purpose, usage, reply.finish_reason)
        self.budget.settle(self.role, usage, reserved)
        return Charge(self.session, self.role, request.purpose, usage) if self.session else None

    def _reserve(self, request: Request) -> float:
        """Return how many of the tokens per minute to reserve; 0 where they are not limited."""
        if not self.dispatcher.reserves:
            return 0.0
        prompt = self.dispatcher.prompt_lengths.estimate(_characters(request.messages))
        return prompt + self.output_lengths.reserve(request.purpose, request.max_tokens)

    def estimate(self, request: Request) -> Amount:
        """Return what *request* will probably take of the budget, rather too much."""
        if not self.budget.counts_tokens:
            return Amount(calls=1)
        prompt = self.dispatcher.prompt_lengths.estimate(_characters(request.messages))
        output = self.output_lengths.bound(request.purpose, request.max_tokens)
        return self.budget.amount(self.role, Usage(1, prompt, completion_tokens=output))


class OutgoingCall(QueuedCall, eq=False, kw_only=True):
    """A call on its way, in `InFlightCalls` until every caller has its outcome."""

    role: RoleCalls
    prompt: Prompt[Any]
    trial: Trial | None
    """None: its stage had passed when it was queued."""
    key: bytes
    about: Raw
    replace: bool
    reserved: Amount | None = None
    """Of the budget, while it is in flight."""
    waiters: list[asyncio.Future[Outcome]] = []  # noqa: RUF012  (msgspec makes a new one)

    def outcome(self) -> asyncio.Future[Outcome]:
        """Return a future of the outcome, which may be abandoned without harm."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.waiters.append(future)
        return future

    def admit(self) -> bool:
        role = self.role
        if not role.budget.is_limited:
            return True
        estimate = role.estimate(self.request)
        if not role.budget.admit(estimate):
            return False
        self.reserved = estimate
        return True

    def release(self) -> None:
        if self.reserved is not None:
            self.role.budget.release(self.reserved)
            self.reserved = None

    async def carry_out(self) -> None:
        """Send the request; count, pay for and store the reply; deliver it to every caller.

        Runs in one of the dispatcher's senders: the callers may be gone by then, but what was sent
        is paid for. No caller gets a reply before it is on disk.
        """
        role = self.role
        outcome: Outcome
        try:
            reply = await role.dispatcher.send(self)
            if reply is None:
                return  # queued again: this attempt failed, another follows
            charge = role.account_for(self.request, reply, self.reserved)
            stored = to_stored(
                reply,
                about=self.about,
                sample=self.request.sample,
                seconds=self.answered_at - self.sending.at,
            )
            value = encode_reply(stored)
            on_disk = await role.cache.put(self.key, value, replace=self.replace, charge=charge)
            outcome = stored if on_disk is value else _adopted(on_disk, stored)
        except (ItemError, RunStopped, Stopping) as error:
            outcome = error
        if self.trial is not None:
            outcome = self.trial.settle(self.prompt, outcome) or outcome
        self._resolve(outcome)

    def abandon(self, reason: StopReason) -> None:
        self._resolve(reason)

    def _resolve(self, outcome: Outcome) -> None:
        del self.role.in_flight[self.key]
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(outcome)


class InFlightCalls(dict[bytes, OutgoingCall]):
    """Calls queued or in flight, by key: the same call is sent once, whichever role makes it."""


def _adopted(on_disk: bytes, stored: StoredReply) -> StoredReply:
    """Return the reply that another process stored first, unless it is damaged.

    The next lookup replaces a damaged one.
    """
    try:
        return decode_reply(on_disk)
    except msgspec.MsgspecError:
        return stored


def _characters(messages: tuple[Message, ...]) -> int:
    return sum([len(message.content) for message in messages])
