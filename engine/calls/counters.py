"""Counters of one session: calls paid for and reused, tokens, and items in each stage."""

from typing import NamedTuple

from msgspec import Struct, field

from ...providers.base import FinishReason
from .spending import Usage, UsageByStage, add_usage


class CallCounts(Struct):
    """Calls of one stage in this session."""

    paid: int = 0
    """Replies that came from a provider."""
    reused: int = 0
    """Replies from the cache, or shared with the same call in flight."""
    unreadable: int = 0
    """Replies that could not be parsed."""
    no_answer: int = 0
    """Replies that held no answer: refused, filtered, all thinking, empty."""
    cut_off: int = 0
    """Replies that ended at ``max_tokens``."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Of the completion tokens: those spent on reasoning, where the server counts them."""


class StageCounts(Struct):
    """Items of one stage in this session; ``entered - finished`` are in it."""

    entered: int = 0
    finished: int = 0
    lost: int = 0
    """Of those finished: items that could not go on."""
    stopped: int = 0
    """Of those finished: items that a graceful stop left for the next session."""


class MeasuredReply(NamedTuple):
    """A reply, as far as it counts for a forecast."""

    role: str
    stage: str
    usage: Usage
    time: float
    """When it arrived, in seconds since 1970."""
    seconds: float
    """How long the call took."""


class Counters(Struct):
    """All counters of one session."""

    replies: dict[bytes, MeasuredReply] | None = None
    """Every reply that was used, paid for or not, by its key; None: they are not measured."""

    calls: dict[str, CallCounts] = field(default_factory=dict[str, CallCounts])
    """By stage."""
    usage: UsageByStage = field(default_factory=UsageByStage)
    """What was paid for."""
    stages: dict[str, StageCounts] = field(default_factory=dict[str, StageCounts])
    """By stage."""
    no_answers: dict[str, int] = field(default_factory=dict[str, int])
    """Replies that held no answer, by the reason."""
    scored: dict[int, int] = field(default_factory=dict[int, int])
    """Instructions scored, by iteration."""
    selected: dict[int, int] = field(default_factory=dict[int, int])
    """Instructions selected, by iteration."""
    kept: int = 0
    """Instructions kept in this session, before duplicates are removed."""
    requests: int = 0
    """Requests for instructions finished; in streaming mode, seeds."""

    @property
    def idle(self) -> bool:
        """Whether this session found nothing to do."""
        return not self.calls and not any(counts.entered for counts in self.stages.values())

    def count_paid(self, role: str, stage: str, usage: Usage, finish_reason: FinishReason) -> None:
        calls = self._calls(stage)
        calls.paid += 1
        calls.prompt_tokens += usage.prompt_tokens
        calls.completion_tokens += usage.completion_tokens
        calls.reasoning_tokens += usage.reasoning_tokens
        if finish_reason == "length":
            calls.cut_off += 1
        add_usage(self.usage, role, stage, usage)

    def count_reused(self, stage: str) -> None:
        self._calls(stage).reused += 1

    def count_unusable(self, stage: str, reason: str) -> None:
        calls = self._calls(stage)
        if reason == "unreadable":
            calls.unreadable += 1
        else:
            calls.no_answer += 1
            self.no_answers[reason] = self.no_answers.get(reason, 0) + 1

    def _calls(self, stage: str) -> CallCounts:
        calls = self.calls.get(stage)
        if calls is None:
            calls = self.calls[stage] = CallCounts()
        return calls

    def total(self) -> CallCounts:
        """Return the calls of all stages together."""
        total = CallCounts()
        for calls in self.calls.values():
            for name in CallCounts.__struct_fields__:
                setattr(total, name, getattr(total, name) + getattr(calls, name))
        return total
