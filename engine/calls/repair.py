"""Repair: ask again for a reply that can be used, and say what was wrong with the last one.

At temperature 0 the same question would bring the same reply.
"""

from ...providers.base import Message
from .unusable import UnusableReplyError

_LONGEST_QUOTE = 4_000
"""Characters of the last reply to send back: enough to see what was wrong with its form."""


def repair(messages: tuple[Message, ...], error: UnusableReplyError) -> tuple[Message, ...]:
    """Return the conversation that asks again, never the same as *messages*.

    A reply without text is not quoted, since vendors refuse empty messages.
    """
    quote = error.reply.text.strip()[:_LONGEST_QUOTE]
    if quote and error.problem:
        demand = f"That reply cannot be used: {error.problem}. {_AGAIN}"
        return (*messages, Message("assistant", quote), Message("user", demand))
    demand = f"{_EMPTY} {_AGAIN}"
    *before, last = messages
    if last.role != "user":
        return (*messages, Message("user", demand))
    return (*before, Message("user", f"{last.content}\n\n{demand}"))


_AGAIN = "Reply again, in exactly the form that was asked for, and with nothing else."
_EMPTY = "Your last reply held no answer."
