"""The prompts behind a row's calls as text."""

from collections.abc import Iterable, Iterator
from textwrap import indent

from ...prompts import Messages
from ..reporting.terminal import printable
from .sent_prompts import Certainty, SentPrompt

_CERTAINTY: dict[Certainty, str] = {
    "sent": "as it was sent",
    "rendered": "rendered again; the cache lacks the call, so nothing proves it",
    "unknown": "not known: no prompt made of this row has the call's key",
}


def prompts_text(encode: Messages, prompts: Iterable[SentPrompt]) -> str:
    """Write each prompt with its reply, with control characters escaped.

    Args:
        encode: the prompt that asked for the metadata, which is its seed's; empty if unknown.
        prompts: those of the row's own calls.
    """
    return "\n".join(_lines(encode, prompts))


def _lines(encode: Messages, prompts: Iterable[SentPrompt]) -> Iterator[str]:
    if encode:
        yield "\nprompt: encode, to the strong model (rendered again from the seed)"
        yield from _messages(encode)
    for prompt in prompts:
        certainty = _CERTAINTY[prompt.certainty]
        yield f"\nprompt: {prompt.stage}, to the {prompt.role} model ({certainty})"
        yield from _messages(prompt.messages)
        if prompt.reply is not None:
            yield "  reply"
            yield _block(prompt.reply)


def _messages(messages: Messages) -> Iterator[str]:
    for role, content in messages:
        yield f"  {role}"
        yield _block(content)


def _block(text: str) -> str:
    return indent(printable(text), "    │ ", lambda _: True)
