"""Respond: a model's answer to an instruction."""

from ....prompts import Respond, reads_like_refusal
from ...calls.model import Model, ParsedReply, PendingCall
from ...data.records import Answer, Call


def begin_response(model: Model, item: str, instruction: str, *, number: int) -> PendingCall[str]:
    """Start asking *model* to answer in round *number* of *item*, without waiting."""
    sample = f"/{number}.{model.role}"
    return model.begin(Respond(instruction=instruction), item=item, sample=sample)


async def finish_response(model: Model, pending: PendingCall[str]) -> tuple[Answer, Call]:
    """Wait for the answer.

    Raises:
        ItemError: there is no answer.
    """
    reply = await model.finish(pending)
    return answer(reply), reply.call


def answer(parsed: ParsedReply[str]) -> Answer:
    """Return the answer that *parsed* is."""
    reply = parsed.reply
    return Answer(
        parsed.value, reply.finish_reason, reply.reasoning, reads_like_refusal(parsed.value)
    )


async def respond(model: Model, item: str, instruction: str, *, number: int) -> tuple[Answer, Call]:
    """Ask *model* to answer in round *number* of *item*.

    Every recipe asks with the same item and sample, so they share cached answers.

    Raises:
        ItemError: there is no answer.
    """
    pending = begin_response(model, item, instruction, number=number)
    return await finish_response(model, pending)
