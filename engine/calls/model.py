"""A role (strong, target, judge): fills a prompt, asks for it, and returns the parsed answer.

A call goes from here to the cache, to the same call in flight, or to the dispatcher's queue; see
`OutgoingCall.carry_out` for what happens there.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from ...prompts import Messages, ParseError, Prompts, Stage, Value, schema_for
from ...providers.base import Message, Request, ResponseFormat
from ..data.errors import ItemError
from ..data.records import Call
from .keys import KeyBuilder
from .outgoing import Outcome, OutgoingCall, RoleCalls
from .replies import StoredReply, decode_reply

T = TypeVar("T")

#: Lower goes first: those closest to finishing an example (least memory, most rows per dollar).
PRIORITY = {
    "score": 0,
    "judge": 0,
    "rate": 0,
    "respond": 1,
    "equal": 1,
    "improve": 2,
    "grow": 2,
    "deepen": 2,
    "complicate": 2,
    "broaden": 2,
    "decode": 3,
    "invent": 3,
    "rubrics": 3,
    "plausible": 4,
    "encode": 4,
}


class Sampling(Struct, frozen=True):
    """How a role is asked; None leaves a setting to the server."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    response_format: ResponseFormat = "text"
    extra: dict[str, Any] = {}
    parse_attempts: int = 3
    run_seed: int = 0
    """The run's: above temperature 0, another seed takes other samples."""


class ParsedReply(Struct, Generic[T], frozen=True):
    """What a reply says, the reply itself, and the call for the record."""

    value: T
    reply: StoredReply
    call: Call


class CallTemplate(Struct, frozen=True):
    """What all calls of one prompt have in common."""

    request: Request
    keys: KeyBuilder
    json_demand: str = ""
    """Appended to the last message where the server knows JSON but no schemas."""

    def messages(self, rendered: Messages) -> tuple[Message, ...]:
        if self.json_demand:
            *before, (role, content) = rendered
            rendered = (*before, (role, f"{content}\n\n{self.json_demand}"))
        return tuple([Message(role, content) for role, content in rendered])

    def fill(self, messages: tuple[Message, ...], sample: str, attempt: int) -> Request:
        """Return the request for *messages*; *attempt* counts from 0."""
        request = self.request
        seed = request.seed
        return Request(
            model=request.model,
            messages=messages,
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            # The same seed would give the same unreadable reply again.
            seed=None if seed is None else seed + attempt,
            response_format=request.response_format,
            schema=request.schema,
            extra=request.extra,
            sample=sample,
            purpose=request.purpose,
        )


class PendingCall(Struct, frozen=True):
    """A call under way; `Model.finish` waits for it."""

    stage: Stage
    template: CallTemplate
    messages: tuple[Message, ...]
    sample: str
    """Without the number of the attempt."""
    key: bytes
    answer: StoredReply | asyncio.Future[Outcome]
    paid: bool


class Model:
    """One role's way to its endpoint."""

    def __init__(self, sampling: Sampling, prompts: Prompts, calls: RoleCalls) -> None:
        self.role = calls.role
        self.sampling = sampling
        self.prompts = prompts
        self._calls = calls
        self._templates: dict[tuple[Stage, int], CallTemplate] = {}
        self._sampled = sampling.temperature != 0
        """At temperature 0 a question has one answer, which all items share."""
        self._run = f"{sampling.run_seed}~" if sampling.run_seed else ""

    async def ask(
        self,
        stage: Stage,
        read: Callable[[StoredReply], T],
        *,
        item: str,
        sample: str = "",
        number: int = 0,
        attempts: int | None = None,
        **values: Value,
    ) -> ParsedReply[T]:
        """Ask the prompt of *stage*, filled with *values*, and parse the reply.

        Args:
            stage: names the prompt, the schema and the priority.
            read: turns a reply into a value or raises `ParseError`.
            item: id of what this is asked for: above temperature 0 each item has its own sample.
            sample: tells several samples of one item apart.
            number: how many things are asked for, where the schema depends on it.
            attempts: how often to ask until a reply can be parsed; None: as the role is set.
            values: fill the template.

        Raises:
            ItemError: there is no readable reply; the reason says why.
            Stopping: the run is being stopped.
            RunStopped: no call to this endpoint can succeed.
        """
        pending = self.begin(stage, item=item, sample=sample, number=number, **values)
        return await self.finish(pending, read, attempts=attempts)

    def begin(
        self, stage: Stage, *, item: str, sample: str = "", number: int = 0, **values: Value
    ) -> PendingCall:
        """Start a call without waiting. It may be left unfinished."""
        if number:
            values["number"] = number
        template = self._template(stage, number)
        messages = template.messages(self.prompts.render(stage, **values))
        item_sample = f"{self._run}{item}{sample}" if self._sampled else sample
        return self._look_up(stage, template, messages, item_sample, attempt=0)

    async def finish(
        self, pending: PendingCall, read: Callable[[StoredReply], T], *, attempts: int | None = None
    ) -> ParsedReply[T]:
        """Wait for *pending* and parse its reply; take another sample while that fails."""
        attempts = attempts or self.sampling.parse_attempts
        for attempt in range(1, attempts + 1):
            reply = await _answer(pending)
            if not pending.paid:
                self._calls.counters.reused(pending.stage)
            try:
                value = read(reply)
            except ParseError as error:
                self._calls.counters.unreadable(pending.stage)
                if attempt == attempts:
                    raise ItemError(
                        "unreadable",
                        f"{pending.stage}: {error} (asked {attempt} times; the last reply began"
                        f" {reply.text[:200]!r})",
                    ) from error
                pending = self._look_up(
                    pending.stage,
                    pending.template,
                    pending.messages,
                    pending.sample,
                    attempt=attempt,
                )
            else:
                return ParsedReply(value, reply, self._record(pending, reply, attempt))
        raise AssertionError("parse_attempts is at least 1")

    def _record(self, pending: PendingCall, reply: StoredReply, attempts: int) -> Call:
        return Call(
            pending.stage,
            self.role,
            pending.key.hex(),
            reply.prompt_tokens,
            reply.completion_tokens,
            not pending.paid,
            attempts,
        )

    def _look_up(
        self,
        stage: Stage,
        template: CallTemplate,
        messages: tuple[Message, ...],
        sample: str,
        *,
        attempt: int,
    ) -> PendingCall:
        """Find the reply in the cache, or the same call in flight, or queue the call."""
        calls = self._calls
        full_sample = f"{sample}#{attempt}" if attempt else sample
        key = template.keys.key(messages, full_sample)
        damaged = False
        value = calls.cache.get(key)
        if value is not None:
            try:
                reply = decode_reply(value)
                return PendingCall(stage, template, messages, sample, key, reply, paid=False)
            except msgspec.MsgspecError:
                damaged = True  # or not ours: ask again and replace it

        outgoing = calls.in_flight.get(key)
        if outgoing is not None:
            answer = outgoing.outcome()
            return PendingCall(stage, template, messages, sample, key, answer, paid=False)

        request = template.fill(messages, full_sample, attempt)
        outgoing = calls.in_flight[key] = OutgoingCall(
            request=request,
            priority=PRIORITY[stage],
            tokens=calls.reserve(request),
            role=calls,
            key=key,
            about=template.keys.fields,
            replace=damaged,
        )
        answer = outgoing.outcome()
        calls.dispatcher.submit(outgoing)
        return PendingCall(stage, template, messages, sample, key, answer, paid=True)

    def _template(self, stage: Stage, number: int) -> CallTemplate:
        template = self._templates.get((stage, number))
        if template is None:
            template = self._templates[stage, number] = self._make_template(stage, number)
        return template

    def _make_template(self, stage: Stage, number: int) -> CallTemplate:
        sampling = self.sampling
        response_format = sampling.response_format
        schema = None
        if response_format != "text":
            schema = schema_for(stage, number=number or 1)
        if schema is None:
            response_format = "text"
        request = Request(
            model=sampling.model,
            messages=(),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
            response_format=response_format,
            schema=schema if response_format == "json_schema" else None,
            extra=sampling.extra,
            purpose=stage,
        )
        provider = self._calls.dispatcher.provider
        demand = ""
        if schema is not None and response_format == "json_object":
            demand = f"Answer with one JSON object of this schema: {json.dumps(schema)}"
        return CallTemplate(request, KeyBuilder(provider.kind, provider.identity, request), demand)


async def _answer(pending: PendingCall) -> StoredReply:
    if isinstance(pending.answer, StoredReply):
        return pending.answer
    outcome = await pending.answer
    if isinstance(outcome, StoredReply):
        return outcome
    raise outcome
