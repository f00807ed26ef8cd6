"""A role (strong, target, judge): a question becomes a cached, parsed answer.

The path of one call: key → cache → single flight → dispatcher → disk → whoever asked. It knows
neither stages nor vendors; a stage brings its messages and the function that reads the reply.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from ...prompts import Messages, ParseError, Prompts, Stage, Value, schema_for
from ...providers.base import Message, Reply, Request, ResponseFormat
from ..data.errors import ItemError
from ..data.records import Call
from ..disk.sqlite import StorageError
from .budget import Budget
from .cache import Cache, KeyBuilder, StoredReply, Write, dump, load, store
from .counters import Counters
from .dispatcher import Dispatcher, Job
from .limits import OutputLengths

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
    """Of the run: another one draws other samples where there is a temperature."""


class ParsedReply(Struct, Generic[T], frozen=True):
    """A read reply: what it says, the reply itself, and the call for the record."""

    value: T
    reply: StoredReply
    call: Call


class _Form(Struct):
    """What calls of one stage have in common."""

    request: Request
    keys: KeyBuilder
    demand: str = ""
    """What the last message ends with where the server knows JSON but no schemas."""

    def ask_for_json(self, rendered: Messages) -> Messages:
        if not self.demand:
            return rendered
        *before, (role, content) = rendered
        return (*before, (role, f"{content}\n\n{self.demand}"))


class Pending(Struct):
    """A question under way; `Model.finish` waits for it."""

    stage: Stage
    messages: tuple[Message, ...]
    sample: str
    number: int
    key: bytes
    answer: StoredReply | asyncio.Future[StoredReply | Exception]
    paid: bool


class InFlightCalls:
    """Calls in flight by key, so that the same question is asked once; shared by all roles."""

    def __init__(self) -> None:
        self.waiters: dict[bytes, list[asyncio.Future[StoredReply | Exception]]] = {}


class Model:
    """One role's way to its endpoint."""

    def __init__(
        self,
        role: str,
        sampling: Sampling,
        *,
        dispatcher: Dispatcher,
        cache: Cache,
        flights: InFlightCalls,
        prompts: Prompts,
        counters: Counters,
        budget: Budget | None = None,
    ) -> None:
        self.role = role
        self.sampling = sampling
        self.prompts = prompts
        self._dispatcher = dispatcher
        self._cache = cache
        self._flights = flights.waiters
        self._counters = counters
        self._budget = budget
        self._lengths = OutputLengths()
        self._forms: dict[tuple[Stage, int], _Form] = {}
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
        """Ask the prompt of *stage*, filled with *values*, and read the answer.

        Args:
            stage: names the prompt, the schema and the priority.
            read: turns a reply into a value or raises `ParseError`.
            item: id of what this is asked for: with a temperature, its own sample.
            sample: tells several samples of one item apart.
            number: how many things are asked for, where the schema depends on it.
            attempts: how often to ask until the reply can be read; None: as the role is set.
            values: for the template.

        Raises:
            ItemError: no readable answer could be had; the reason says why.
            Stopping: the run is being stopped.
            RunStopped: no call to this endpoint can succeed.
        """
        pending = self.begin(stage, item=item, sample=sample, number=number, **values)
        return await self.finish(pending, read, attempts=attempts)

    def begin(
        self, stage: Stage, *, item: str, sample: str = "", number: int = 0, **values: Value
    ) -> Pending:
        """Start asking, without waiting. Every pending question may be left unfinished."""
        if number:
            values["number"] = number
        rendered = self.prompts.render(stage, **values)
        rendered = self._form(stage, number).ask_for_json(rendered)
        messages = tuple([Message(role, content) for role, content in rendered])
        sample = f"{self._run}{item}{sample}" if self._sampled else sample
        return self._look_up(stage, messages, sample, number=number, attempt=0)

    async def finish(
        self, pending: Pending, read: Callable[[StoredReply], T], *, attempts: int | None = None
    ) -> ParsedReply[T]:
        """Wait for *pending* and read it, asking again with a new sample where it can't be read."""
        attempts = attempts or self.sampling.parse_attempts
        for asked in range(1, attempts + 1):
            reply = await self._answer(pending)
            if not pending.paid:
                self._counters.reused(pending.stage)
            try:
                value = read(reply)
            except ParseError as error:
                self._counters.unreadable(pending.stage)
                if asked == attempts:
                    raise ItemError(
                        "unreadable",
                        f"{pending.stage}: {error} (asked {asked} times; the last reply began"
                        f" {reply.text[:200]!r})",
                    ) from error
                pending = self._look_up(
                    pending.stage,
                    pending.messages,
                    pending.sample,
                    number=pending.number,
                    attempt=asked,
                )
            else:
                return ParsedReply(value, reply, self._call(pending, reply, asked))
        raise AssertionError("parse_attempts is at least 1")

    # -- one call -----------------------------------------------------------------------------

    def _call(self, pending: Pending, reply: StoredReply, asked: int) -> Call:
        return Call(
            pending.stage,
            self.role,
            pending.key.hex(),
            reply.prompt_tokens,
            reply.completion_tokens,
            not pending.paid,
            asked,
        )

    async def _answer(self, pending: Pending) -> StoredReply:
        if isinstance(pending.answer, StoredReply):
            return pending.answer
        outcome = await pending.answer
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _look_up(
        self, stage: Stage, messages: tuple[Message, ...], sample: str, *, number: int, attempt: int
    ) -> Pending:
        """Find the answer on disk or in flight, else send for it."""
        form = self._form(stage, number)
        full_sample = f"{sample}#{attempt}" if attempt else sample
        key = form.keys.of(messages, full_sample)
        damaged = False
        value = self._cache.get(key)
        if value is not None:
            try:
                return Pending(stage, messages, sample, number, key, load(value), paid=False)
            except msgspec.MsgspecError:
                damaged = True  # not ours, or hurt: ask again and replace it

        future: asyncio.Future[StoredReply | Exception] = asyncio.get_running_loop().create_future()
        waiters = self._flights.get(key)
        if waiters is not None:
            waiters.append(future)
            return Pending(stage, messages, sample, number, key, future, paid=False)
        self._flights[key] = [future]
        self._send(form, key, messages, full_sample, attempt=attempt, replace=damaged)
        return Pending(stage, messages, sample, number, key, future, paid=True)

    def _send(
        self,
        form: _Form,
        key: bytes,
        messages: tuple[Message, ...],
        sample: str,
        *,
        attempt: int,
        replace: bool,
    ) -> None:
        request = form.request
        seed = request.seed
        sent = Request(
            model=request.model,
            messages=messages,
            temperature=request.temperature,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            # A fixed seed would give the unreadable reply again.
            seed=None if seed is None else seed + attempt,
            response_format=request.response_format,
            schema=request.schema,
            extra=request.extra,
            sample=sample,
            purpose=request.purpose,
        )
        self._dispatcher.submit(
            Job(
                sent,
                priority=PRIORITY[request.purpose],
                tokens=self._tokens(sent),
                answered=partial(self._answered, form, key, messages, sample, replace),
            )
        )

    def _tokens(self, request: Request) -> float:
        """What to reserve of the tokens per minute; 0 where they are not limited."""
        if not self._dispatcher.reserves:
            return 0.0
        prompt = self._dispatcher.prompt_lengths.estimate(_characters(request.messages))
        return prompt + self._lengths.reserve(request.purpose, request.max_tokens)

    def _answered(
        self,
        form: _Form,
        key: bytes,
        messages: tuple[Message, ...],
        sample: str,
        replace: bool,  # noqa: FBT001  (bound by partial)
        result: Reply | Exception,
    ) -> None:
        if isinstance(result, Exception):
            self._resolve(key, result)
            return
        if self._dispatcher.reserves:
            self._lengths.learn(form.request.purpose, result.completion_tokens)
            self._dispatcher.prompt_lengths.learn(_characters(messages), result.prompt_tokens)
        self._counters.paid(self.role, form.request.purpose, result)
        if self._budget is not None:
            self._budget.spend(self.role, result)
        stored = store(result, about=form.keys.about, sample=sample)
        value = dump(stored)
        kept = partial(self._kept, key, stored, value)
        self._cache.put(Write(key, value, kept, replace=replace))

    def _kept(
        self, key: bytes, stored: StoredReply, ours: bytes, value: bytes, error: StorageError | None
    ) -> None:
        if error is None and value is not ours:
            with suppress(msgspec.MsgspecError):  # noise: whoever looks it up next replaces it
                stored = load(value)  # another process had stored an answer before us
        self._resolve(key, stored if error is None else error)

    def _resolve(self, key: bytes, outcome: StoredReply | Exception) -> None:
        for future in self._flights.pop(key):
            if not future.done():
                future.set_result(outcome)

    def _form(self, stage: Stage, number: int) -> _Form:
        form = self._forms.get((stage, number))
        if form is None:
            form = self._forms[stage, number] = self._make_form(stage, number)
        return form

    def _make_form(self, stage: Stage, number: int) -> _Form:
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
        provider = self._dispatcher.provider
        demand = ""
        if schema is not None and response_format == "json_object":
            demand = f"Answer with one JSON object of this schema: {json.dumps(schema)}"
        return _Form(request, KeyBuilder(provider.kind, provider.identity, request), demand)


def _characters(messages: tuple[Message, ...]) -> int:
    return sum([len(message.content) for message in messages])
