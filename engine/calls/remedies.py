"""What to change in a role's settings when its replies cannot be used, in one line."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .sampling import Sampling
from .unusable import UnusableReplyError

_REFUSED_PARAMETERS = (
    ("logprobs", '{role}.score = "text"'),
    ("context length", "a lower {role}.max_tokens"),
    ("max_completion_tokens", '{role}.max_tokens = "default"'),
    ("temperature", '{role}.temperature = "default"'),
    ("top_p", '{role}.top_p = "default"'),
    ("max_tokens", '{role}.max_tokens = "default"'),
    ("max_output_tokens", "a lower {role}.max_tokens"),
    ("response_format", '{role}.structured_output = "text"'),
    ("json_schema", '{role}.structured_output = "text"'),
    ("schema", '{role}.structured_output = "text"'),
    ("output_config", '{role}.structured_output = "text"'),
    ("seed", "no {role}.seed"),
)
"""Words of a server's refusal, and what to write instead; the first that occurs counts."""


class TrialFailure(NamedTuple):
    """How a call failed.

    Attributes:
        reason: In a word.
        detail: In a sentence.
        is_cut_off: Whether the reply ended at the token limit.
    """

    reason: str
    detail: str
    is_cut_off: bool = False

    @classmethod
    def of_reply(cls, error: UnusableReplyError, sampling: Sampling) -> "TrialFailure":
        is_cut_off = error.reply.finish_reason == "length"
        return cls(error.reason, describe_unusable(error, sampling), is_cut_off)


def describe_unusable(error: UnusableReplyError, sampling: Sampling) -> str:
    """Say what is wrong with a reply, with the token limit if it ended there."""
    is_cut_off = error.reply.finish_reason == "length"
    limit = f", max_tokens {sampling.max_tokens:,}" if is_cut_off and sampling.max_tokens else ""
    return f"{error}{limit}"


def describe_failures(
    failures: Sequence[TrialFailure], role: str, stage: str, sampling: Sampling
) -> str:
    """Say why the run stops after *failures*, and what to change."""
    [(reason, count), *others] = Counter(failure.reason for failure in failures).most_common()
    typical = next(failure for failure in failures if failure.reason == reason)
    counts = ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in [(reason, count), *others]
    )
    return (
        f"{role}: not one of the first {len(failures)} replies to {stage!r} can be used: {counts};"
        f" the first: {typical.detail}; {remedy(typical, role, sampling)}, then run the same"
        " command again"
    )


def remedy(failure: TrialFailure, role: str, sampling: Sampling) -> str:
    """Return what to change in the settings of *role* after *failure*."""
    match failure.reason:
        case "only_thinking" | "unclosed_thinking" | "empty" | "unreadable" if failure.is_cut_off:
            return _more_room(role, sampling)
        case "only_thinking" | "unclosed_thinking":
            return (
                "let the server keep reasoning apart (vLLM: --reasoning-parser), or take another"
                f" {role}.model"
            )
        case "unreadable" if sampling.response_format == "text":
            return (
                f'set {role}.structured_output = "json_schema" if the server knows it, or another'
                f" {role}.model or {role}.prompts"
            )
        case "no_logprobs":
            return f'set {role}.score = "text", or take a server that gives log-probabilities'
        case "rejected":
            return _allowed(failure.detail, role)
        case "content_filter":
            return f"relax the vendor's filter ({role}.extra), or take another {role}.model"
        case _:
            return f"take another {role}.model or {role}.prompts"


def _more_room(role: str, sampling: Sampling) -> str:
    now = "" if sampling.max_tokens is None else f" (now {sampling.max_tokens})"
    return (
        f"raise {role}.max_tokens{now}, or let it think less, such as"
        f" {role}.extra = {{ {sampling.less_thinking} }}"
    )


def _allowed(detail: str, role: str) -> str:
    """Return what to write where a server's words in *detail* name a setting that it refuses."""
    text = detail.lower()
    for word, instead in _REFUSED_PARAMETERS:
        if word in text:
            return f"set {instead.format(role=role)}"
    return f"fix the settings of {role}"
