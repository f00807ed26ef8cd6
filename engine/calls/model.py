"""A role (strong, target, judge): a prompt becomes a stored, parsed reply.

A call goes from here to the cache, to the same call in flight, or to the dispatcher's queue; what
happens there is `OutgoingCall.carry_out`. A prompt supplies its messages, schema, priority and
parser.
"""

import asyncio
import json
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from ...prompts import (
    JsonSchema,
    Messages,
    Prompt,
    PromptError,
    PromptSet,
)
from ...providers.base import Message, Request
from ..data.errors import ItemError, RunStopped
from ..data.records import Call
from .counters import MeasuredReply
from .keys import KeyBuilder
from .outgoing import Outcome, RoleCalls
from .remedies import describe_unusable
from .repair import repair
from .replies import StoredReply, decode_reply
from .sampling import Sampling
from .spending import usage_of
from .trial import Trial
from .unusable import FINAL, UnusableReplyError, parse_reply

T = TypeVar("T")


class ParsedReply(Struct, Generic[T], frozen=True):
    """A reply's parsed value, the reply itself, and the call for the record."""

    value: T
    reply: StoredReply
    call: Call


class CallTemplate(Struct, frozen=True):
    """What all calls of one prompt and schema share."""

    request: Request
    """Without messages and sample."""
    keys: KeyBuilder
    trial: Trial
    json_demand: str = ""
    """Ends the last message where the server knows JSON but no schemas."""

    @property
    def stage(self) -> str:
        """What the calls are counted as."""
        return self.request.purpose

    def messages(self, rendered: Messages) -> tuple[Message, ...]:
        if self.json_demand:
            rendered = with_demand(rendered, self.json_demand)
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
            stream=request.stream,
        )


def json_demand(schema: JsonSchema) -> str:
    """Return the sentence that asks for JSON of *schema*."""
    return f"Answer with one JSON object of this schema: {json.dumps(schema)}"


def with_demand(rendered: Messages, demand: str) -> Messages:
    """Return *rendered* with *demand* at the end of its last message."""
    *before, (role, content) = rendered
    return (*before, (role, f"{content}\n\n{demand}"))


class PendingCall(Struct, Generic[T]):
    """A prompt that was asked; `Model.finish` waits for the reply."""

    prompt: Prompt[T]
    template: CallTemplate
    messages: tuple[Message, ...]
    sample: str
    """Without the number of the attempt."""
    key: bytes
    answer: StoredReply | asyncio.Future[Outcome]
    paid: bool

    async def reply(self) -> StoredReply:
        """Wait for the reply.

        Raises:
            ItemError, Stopping, RunStopped: there is no reply.
        """
        if isinstance(self.answer, StoredReply):
            return self.answer
        outcome = await self.answer
        if isinstance(outcome, StoredReply):
            return outcome
        raise outcome

    def record(self, role: str, reply: StoredReply, attempts: int) -> Call:
        """Return the call as an example records it."""
        return Call(
            self.prompt.name,
            role,
            self.key.hex(),
            reply.prompt_tokens,
            reply.completion_tokens,
            not self.paid,
            attempts,
        )


class Model:
    """One role's way to its endpoint."""

    def __init__(self, sampling: Sampling, prompts: PromptSet, calls: RoleCalls) -> None:
        self.role = calls.role
        self.sampling = sampling
        self.prompts = prompts
        self._calls = calls
        self._templates: dict[tuple[str, bytes], CallTemplate] = {}
        self._trials: dict[str, Trial] = {}
        """By stage."""
        self._sampled = sampling.temperature != 0
        """At temperature 0 a prompt has one answer, which all items share."""
        self._run = f"{sampling.run_seed}~" if sampling.run_seed else ""

    async def ask(
        self, prompt: Prompt[T], *, item: str, sample: str = "", attempts: int | None = None
    ) -> ParsedReply[T]:
        """Ask *prompt* and parse the reply.

        Args:
            prompt: supplies the messages, the schema, the priority and the parser.
            item: id of the item this is for: above temperature 0 each item has its own sample.
            sample: tells several samples of one item apart.
            attempts: most tries until a reply can be parsed; None: the role's setting, which
                bounds tries that bring no text in any case.

        Raises:
            ItemError: no reply can be read; the reason says why.
            Stopping: the run is being stopped.
            RunStopped: no call to this endpoint can succeed.
        """
        return await self.finish(self.begin(prompt, item=item, sample=sample), attempts=attempts)

    def begin(
        self, prompt: Prompt[T], *, item: str, sample: str = "", stage: str = ""
    ) -> PendingCall[T]:
        """Ask *prompt* without waiting. The caller may abandon it.

        Args:
            prompt: as `ask`.
            item: as `ask`.
            sample: as `ask`.
            stage: what the call is counted as; by default the prompt's own name.
        """
        template = self._template(prompt, stage or prompt.name)
        try:
            messages = template.messages(self.prompts.render(prompt))
        except PromptError as error:  # a step asks what its row does not declare
            raise RunStopped(f"{self.role}: {error}") from error
        sample = f"{self._run}{item}{sample}" if self._sampled else sample
        return self._look_up(prompt, template, messages, sample, attempt=0)

    async def finish(
        self, pending: PendingCall[T], *, attempts: int | None = None
    ) -> ParsedReply[T]:
        """Wait for *pending* and parse its reply; ask again if it is no answer.

        Raises:
            ItemError, Stopping, RunStopped: as `ask`.
        """
        prompt, counters = pending.prompt, self._calls.counters
        stage = pending.template.stage
        most = self.sampling.parse_attempts
        for attempt in range(1, max(attempts or most, most) + 1):
            stored = await pending.reply()
            self._measure(stage, pending.key, stored)
            if not pending.paid:
                counters.count_reused(stage)
            try:
                value, reply = parse_reply(prompt, stored)
            except UnusableReplyError as error:
                counters.count_unusable(stage, error.reason)
                if attempt >= self._tries(error, attempts):
                    times = f" (asked {attempt} times)" if attempt > 1 else ""
                    detail = f"{stage}: {describe_unusable(error, self.sampling)}{times}"
                    raise ItemError(error.reason, detail) from error
                pending = self._ask_again(pending, error, attempt)
            else:
                return ParsedReply(value, reply, pending.record(self.role, reply, attempt))
        raise AssertionError("parse_attempts is at least 1")

    def ask_anew(self, pending: PendingCall[T]) -> PendingCall[T]:
        """Send *pending* although it was answered; the new reply takes the stored one's place."""
        return self._look_up(
            pending.prompt,
            pending.template,
            pending.messages,
            pending.sample,
            attempt=0,
            uses_cache=False,
        )

    def _tries(self, error: UnusableReplyError, attempts: int | None) -> int:
        """Return how often to ask in all, now that there was *error*."""
        if error.reason in FINAL or (error.is_cut_off_thinking and not self._sampled):
            return 1
        most = self.sampling.parse_attempts
        return attempts or most if error.reason == "unreadable" else most

    def _ask_again(
        self, pending: PendingCall[T], error: UnusableReplyError, attempt: int
    ) -> PendingCall[T]:
        """Take another sample; at temperature 0, say what was wrong with the reply.

        The first time that nothing came at all, the server is taken to have lost the answer.
        """
        is_same = self._sampled or (error.reason == "empty" and attempt == 1)
        messages = pending.messages if is_same else repair(pending.messages, error)
        return self._look_up(
            pending.prompt, pending.template, messages, pending.sample, attempt=attempt
        )

    def _measure(self, stage: str, key: bytes, reply: StoredReply) -> None:
        replies = self._calls.counters.replies
        if replies is not None:
            measured = MeasuredReply(self.role, stage, usage_of(reply), reply.time, reply.seconds)
            replies[key] = measured

    # -- where the reply comes from -----------------------------------------------------------

    def _look_up(
        self,
        prompt: Prompt[T],
        template: CallTemplate,
        messages: tuple[Message, ...],
        sample: str,
        *,
        attempt: int,
        uses_cache: bool = True,
    ) -> PendingCall[T]:
        """Find the reply in the cache or the same call in flight, or queue a request."""
        calls = self._calls
        full_sample = f"{sample}#{attempt}" if attempt else sample
        key = template.keys.key(messages, full_sample)
        replace = not uses_cache
        value = calls.cache.get(key) if uses_cache else None
        if value is not None:
            try:
                reply = decode_reply(value)
                if not template.trial.is_passed:
                    template.trial.examine(prompt, reply)
                if calls.session:
                    calls.cache.note_use(key, calls.session)
                return PendingCall(prompt, template, messages, sample, key, reply, paid=False)
            except msgspec.MsgspecError:
                replace = True  # damaged, or not codeclm's: ask again and replace it

        outgoing = calls.in_flight.get(key)
        if outgoing is not None:
            answer = outgoing.outcome()
            return PendingCall(prompt, template, messages, sample, key, answer, paid=False)

        request = template.fill(messages, full_sample, attempt)
        answer = calls.send_for(
            request, prompt, template.trial, key=key, about=template.keys.fields, replace=replace
        )
        return PendingCall(prompt, template, messages, sample, key, answer, paid=True)

    def _template(self, prompt: Prompt[Any], stage: str) -> CallTemplate:
        schema = prompt.schema() if self.sampling.response_format != "text" else None
        key = stage, b"" if schema is None else msgspec.json.encode(schema)
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._make_template(stage, schema)
        return template

    def _make_template(self, stage: str, schema: JsonSchema | None) -> CallTemplate:
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
            stream=sampling.stream,
        )
        provider = self._calls.dispatcher.provider
        demand = ""
        if schema is not None and response_format == "json_object":
            demand = json_demand(schema)
        keys = KeyBuilder(
            provider.kind, sampling.identity or provider.identity, request, sampling.options
        )
        return CallTemplate(request, keys, self._trial(stage), demand)

    def _trial(self, stage: str) -> Trial:
        trial = self._trials.get(stage)
        if trial is None:
            calls = self._calls
            trial = self._trials[stage] = Trial(
                self.role, stage, self.sampling, calls.dispatcher, calls.counters
            )
        return trial
