"""A role (strong, target, judge): a prompt becomes a cached, parsed reply.

The path of one call: key → cache → single flight → dispatcher → disk → whoever asked. It knows
neither stages nor vendors; a prompt brings its messages and its parser.
"""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from ...prompts import JsonSchema, Messages, ParseError, Prompt, PromptSet, WithheldError
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
    """What calls of one prompt have in common."""

    request: Request
    keys: KeyBuilder
    demand: str = ""
    """What the last message ends with where the server knows JSON but no schemas."""

    def ask_for_json(self, rendered: Messages) -> Messages:
        if not self.demand:
            return rendered
        *before, (role, content) = rendered
        return (*before, (role, f"{content}\n\n{self.demand}"))


class Pending(Struct, Generic[T]):
    """A prompt under way; `Model.finish` waits for the reply."""

    prompt: Prompt[T]
    form: _Form
    messages: tuple[Message, ...]
    sample: str
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
        prompts: PromptSet,
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
        self._forms: dict[tuple[str, bytes], _Form] = {}
        self._sampled = sampling.temperature != 0
        """At temperature 0 a question has one answer, which all items share."""
        self._run = f"{sampling.run_seed}~" if sampling.run_seed else ""

    async def ask(
        self, prompt: Prompt[T], *, item: str, sample: str = "", attempts: int | None = None
    ) -> ParsedReply[T]:
        """Ask *prompt* and read the reply.

        Args:
            prompt: brings the messages, the schema, the priority and the parser.
            item: id of what this is asked for: with a temperature, its own sample.
            sample: tells several samples of one item apart.
            attempts: how often to ask until the reply can be read; None: as the role is set.

        Raises:
            ItemError: no readable reply could be had; the reason says why.
            Stopping: the run is being stopped.
            RunStopped: no call to this endpoint can succeed.
        """
        return await self.finish(self.begin(prompt, item=item, sample=sample), attempts=attempts)

    def begin(self, prompt: Prompt[T], *, item: str, sample: str = "") -> Pending[T]:
        """Start asking, without waiting. A pending prompt may be left unfinished."""
        form = self._form(prompt)
        rendered = form.ask_for_json(self.prompts.render(prompt))
        messages = tuple([Message(role, content) for role, content in rendered])
        sample = f"{self._run}{item}{sample}" if self._sampled else sample
        return self._look_up(prompt, form, messages, sample, attempt=0)

    async def finish(self, pending: Pending[T], *, attempts: int | None = None) -> ParsedReply[T]:
        """Wait for *pending* and read it; ask for a new sample if it cannot be read.

        Raises:
            ItemError, Stopping, RunStopped: as `ask`.
        """
        prompt, stage = pending.prompt, pending.prompt.name
        attempts = attempts or self.sampling.parse_attempts
        for asked in range(1, attempts + 1):
            reply = await self._answer(pending)
            if not pending.paid:
                self._counters.reused(stage)
            try:
                value = prompt.read(reply)
            except WithheldError as error:
                raise ItemError(error.reason, str(error)) from error
            except ParseError as error:
                self._counters.unreadable(stage)
                if asked == attempts:
                    raise ItemError(
                        "unreadable",
                        f"{stage}: {error} (asked {asked} times; the last reply began"
                        f" {reply.text[:200]!r})",
                    ) from error
                pending = self._look_up(
                    prompt, pending.form, pending.messages, pending.sample, attempt=asked
                )
            else:
                return ParsedReply(value, reply, self._call(pending, reply, asked))
        raise AssertionError("parse_attempts is at least 1")

    # -- one call -----------------------------------------------------------------------------

    def _call(self, pending: Pending[T], reply: StoredReply, asked: int) -> Call:
        return Call(
            pending.prompt.name,
            self.role,
            pending.key.hex(),
            reply.prompt_tokens,
            reply.completion_tokens,
            not pending.paid,
            asked,
        )

    async def _answer(self, pending: Pending[T]) -> StoredReply:
        if isinstance(pending.answer, StoredReply):
            return pending.answer
        outcome = await pending.answer
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _look_up(
        self,
        prompt: Prompt[T],
        form: _Form,
        messages: tuple[Message, ...],
        sample: str,
        *,
        attempt: int,
    ) -> Pending[T]:
        """Find the answer on disk or in flight, else send for it."""
        full_sample = f"{sample}#{attempt}" if attempt else sample
        key = form.keys.of(messages, full_sample)
        damaged = False
        value = self._cache.get(key)
        if value is not None:
            try:
                return Pending(prompt, form, messages, sample, key, load(value), paid=False)
            except msgspec.MsgspecError:
                damaged = True  # not ours, or hurt: ask again and replace it

        future: asyncio.Future[StoredReply | Exception] = asyncio.get_running_loop().create_future()
        waiters = self._flights.get(key)
        if waiters is not None:
            waiters.append(future)
            return Pending(prompt, form, messages, sample, key, future, paid=False)
        self._flights[key] = [future]
        self._send(prompt, form, key, messages, full_sample, attempt=attempt, replace=damaged)
        return Pending(prompt, form, messages, sample, key, future, paid=True)

    def _send(
        self,
        prompt: Prompt[Any],
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
                priority=prompt.priority,
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

    def _form(self, prompt: Prompt[Any]) -> _Form:
        schema = prompt.schema() if self.sampling.response_format != "text" else None
        key = prompt.name, b"" if schema is None else msgspec.json.encode(schema)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._make_form(prompt.name, schema)
        return form

    def _make_form(self, stage: str, schema: JsonSchema | None) -> _Form:
        sampling = self.sampling
        response_format = sampling.response_format if schema is not None else "text"
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
