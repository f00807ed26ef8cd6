"""One call that has to be paid for: sent, counted, paid, stored, and given to everyone who asked."""

import asyncio
from contextlib import suppress

import msgspec
from msgspec import Raw, Struct

from ...providers.base import Message, Reply, Request
from ..data.errors import ItemError, RunStopped, Stopping
from .budget import Budget
from .cache import Cache
from .counters import Counters
from .dispatcher import Dispatcher, QueuedCall
from .replies import StoredReply, decode_reply, encode_reply, to_stored
from .tokens import OutputLengths

Outcome = StoredReply | ItemError | RunStopped | Stopping


class RoleCalls(Struct, frozen=True):
    """What all calls of one role share."""

    role: str
    dispatcher: Dispatcher
    cache: Cache
    in_flight: "InFlightCalls"
    counters: Counters
    budget: Budget
    output_lengths: OutputLengths

    def reserve(self, request: Request) -> float:
        """Return how many of the tokens per minute to reserve; 0 where they are not limited."""
        if not self.dispatcher.reserves:
            return 0.0
        prompt = self.dispatcher.prompt_lengths.estimate(_characters(request.messages))
        return prompt + self.output_lengths.reserve(request.purpose, request.max_tokens)

    def account_for(self, request: Request, reply: Reply) -> None:
        """Count and pay for *reply*, and learn from it what to reserve next time."""
        if self.dispatcher.reserves:
            self.output_lengths.learn(request.purpose, reply.completion_tokens)
            characters = _characters(request.messages)
            self.dispatcher.prompt_lengths.learn(characters, reply.prompt_tokens)
        self.counters.paid(self.role, request.purpose, reply)
        self.budget.spend(self.role, reply)


class OutgoingCall(QueuedCall):
    """A call on its way, in `InFlightCalls` until all who asked have its outcome.

    Args:
        role: what it shares with the role's other calls.
        key: the cache key under which its reply is stored.
        about: the fields of that key, stored with the reply.
        replace: whether a damaged value stands under that key.
    """

    __slots__ = ("_about", "_key", "_replace", "_role", "_waiters")

    def __init__(
        self,
        request: Request,
        *,
        priority: int,
        role: RoleCalls,
        key: bytes,
        about: Raw,
        replace: bool,
    ) -> None:
        super().__init__(request, priority=priority, tokens=role.reserve(request))
        self._role = role
        self._key = key
        self._about = about
        self._replace = replace
        self._waiters = list[asyncio.Future[Outcome]]()

    def outcome(self) -> asyncio.Future[Outcome]:
        """Return a future of the outcome, which may be abandoned without harm."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    async def carry_out(self) -> None:
        """Send the request; count, pay for and store the reply; give it to everyone who asked.

        Runs in one of the dispatcher's senders: those who asked may be gone by then, but what was
        sent is paid for. Nobody is given a reply before it is on disk.
        """
        role = self._role
        outcome: Outcome
        try:
            reply = await role.dispatcher.send(self)
            if reply is None:
                return  # queued again: this attempt failed, another follows
            role.account_for(self.request, reply)
            outcome = await self._store(reply)
        except (ItemError, RunStopped, Stopping) as error:
            outcome = error
        self._resolve(outcome)

    def abandon(self, reason: RunStopped | Stopping) -> None:
        self._resolve(reason)

    async def _store(self, reply: Reply) -> StoredReply:
        """Store *reply*; return what is stored, since another process may have been first."""
        ours = to_stored(reply, about=self._about, sample=self.request.sample)
        value = encode_reply(ours)
        stored = await self._role.cache.put(self._key, value, replace=self._replace)
        if stored is not value:
            with suppress(msgspec.MsgspecError):  # damaged: the next to look it up replaces it
                return decode_reply(stored)
        return ours

    def _resolve(self, outcome: Outcome) -> None:
        del self._role.in_flight[self._key]
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(outcome)


class InFlightCalls(dict[bytes, OutgoingCall]):
    """Calls queued or in flight, by key: the same question is asked once, whichever role asks."""


def _characters(messages: tuple[Message, ...]) -> int:
    return sum([len(message.content) for message in messages])
