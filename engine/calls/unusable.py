"""Replies that are no answer: refused, filtered, all thinking, empty, unreadable.

Whatever a prompt asks, such a reply becomes no data. What the cache keeps is the reply as it came:
reasoning in its text is told apart when it is read.
"""

from typing import Literal, TypeVar

from msgspec import structs

from ...prompts import NoLogprobsError, ParseError, Prompt, split_reasoning
from .replies import StoredReply

T = TypeVar("T")

Reason = Literal[
    "refusal",
    "content_filter",
    "interrupted",
    "unclosed_thinking",
    "only_thinking",
    "empty",
    "unreadable",
    "no_logprobs",
]
"""Why a reply is no answer; also the reason of an item that is lost by it."""

FINAL: frozenset[Reason] = frozenset({"refusal", "content_filter", "no_logprobs"})
"""Reasons for which asking again would bring the same."""

_WITHOUT_ANSWER: dict[str, Reason] = {
    "refusal": "refusal",
    "content_filter": "content_filter",
    "interrupted": "interrupted",
}
"""By finish reason: whatever text came with it is a refusal or a part of an answer."""


class UnusableReplyError(Exception):
    """A reply is no answer.

    Attributes:
        reason: Why, in a word.
        reply: The reply, its reasoning apart from its text.
        problem: What the prompt's parser says; empty if there was nothing to read.
    """

    def __init__(self, reason: Reason, reply: StoredReply, problem: str = "") -> None:
        super().__init__(_describe(reason, reply, problem))
        self.reason: Reason = reason
        self.reply = reply
        self.problem = problem

    @property
    def is_cut_off_thinking(self) -> bool:
        """Whether the token limit was used up before the answer began."""
        return self.reply.finish_reason == "length" and not self.reply.text.strip()


def parse_reply(prompt: Prompt[T], reply: StoredReply) -> tuple[T, StoredReply]:
    """Return what *reply* says to *prompt*, and the reply with its reasoning apart.

    Raises:
        UnusableReplyError: it is no answer.
    """
    split = split_reasoning(reply.text)
    if split.answer is not reply.text:
        reasoning = "\n\n".join(filter(None, (reply.reasoning, split.reasoning)))
        reply = structs.replace(reply, text=split.answer, reasoning=reasoning)
    reason = _why_no_answer(reply, is_closed=split.is_closed)
    if reason is not None:
        raise UnusableReplyError(reason, reply)
    try:
        return prompt.read(reply), reply
    except NoLogprobsError as error:
        raise UnusableReplyError("no_logprobs", reply, str(error)) from error
    except ParseError as error:
        is_empty = not reply.text.strip()
        raise UnusableReplyError(
            "empty" if is_empty else "unreadable", reply, str(error)
        ) from error


def _why_no_answer(reply: StoredReply, *, is_closed: bool) -> Reason | None:
    if reply.finish_reason in _WITHOUT_ANSWER:
        return _WITHOUT_ANSWER[reply.finish_reason]
    if not is_closed:
        return "unclosed_thinking"
    if reply.text.strip():
        return None
    # A server that neither shows nor counts the thinking still counts what it billed.
    is_used_up = reply.finish_reason == "length" and reply.completion_tokens > 0
    if reply.reasoning or reply.reasoning_tokens or is_used_up:
        return "only_thinking"
    return None


def _describe(reason: Reason, reply: StoredReply, problem: str) -> str:
    detail = f" ({reply.finish_detail})" if reply.finish_detail else ""
    match reason:
        case "refusal":
            return f"the model refused{detail}: {reply.text[:200]!r}"
        case "content_filter":
            return f"a filter withheld the answer{detail}"
        case "interrupted":
            return f"the answer was ended before it was complete{detail}"
        case "unclosed_thinking" | "only_thinking":
            return f"{_thinking_tokens(reply)} of thinking and no answer, {_finish(reply)}"
        case "no_logprobs":
            return problem
        case "empty":
            return f"{problem}, {_finish(reply)}"
        case "unreadable":
            is_quoted = repr(reply.text[:40])[1:-1] in problem
            return problem if is_quoted else f"{problem}; the reply began {reply.text[:200]!r}"


def _thinking_tokens(reply: StoredReply) -> str:
    tokens = reply.reasoning_tokens or reply.completion_tokens
    return f"{tokens:,} tokens" if tokens else f"{len(reply.reasoning):,} characters"


def _finish(reply: StoredReply) -> str:
    return f"finish reason {reply.finish_reason}"
