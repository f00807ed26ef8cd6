"""Stored replies: what is kept of a provider's reply, and its form on disk."""

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from ...providers import json_codec
from ...providers.base import MOST_TOKENS, NumberToken, Reply

TokenCount = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]


class StoredReply(Struct, frozen=True, omit_defaults=True):
    """What the cache keeps of a reply."""

    text: str
    finish_reason: str = "stop"
    finish_detail: str = ""
    reasoning: str = ""
    prompt_tokens: TokenCount = 0
    completion_tokens: TokenCount = 0
    cached_tokens: TokenCount = 0
    cache_write_tokens: TokenCount = 0
    reasoning_tokens: TokenCount = 0
    model: str = ""
    time: float = 0.0
    """When the reply arrived, in seconds since 1970."""
    seconds: float = 0.0
    """How long the call took that brought it."""
    sample: str = ""
    number_tokens: tuple[NumberToken, ...] = ()
    """Where log-probabilities were asked for."""
    about: Raw = Raw(b"null")
    """The `KeyFields` of its key."""


class _EscapedReply(StoredReply, frozen=True):
    """A reply that holds half an emoji: only the slow decoder reads it, which has no Raw."""

    about: Any = None


_stored = msgspec.json.Decoder(StoredReply)
_escaped = msgspec.json.Decoder(_EscapedReply)


def to_stored(reply: Reply, *, about: Raw, sample: str, seconds: float = 0.0) -> StoredReply:
    """Return what to store of *reply*."""
    return StoredReply(
        text=reply.text,
        finish_reason=reply.finish_reason,
        finish_detail=reply.finish_detail,
        reasoning=reply.reasoning,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cached_tokens=reply.cached_tokens,
        cache_write_tokens=reply.cache_write_tokens,
        reasoning_tokens=reply.reasoning_tokens,
        model=reply.model,
        time=round(time.time(), 3),
        seconds=round(seconds, 3),
        sample=sample,
        number_tokens=reply.number_tokens,
        about=about,
    )


encode_reply = json_codec.dumps
"""Encode a `StoredReply` for the disk."""


def decode_reply(value: bytes) -> StoredReply:
    """Decode a value from the disk.

    Raises:
        msgspec.MsgspecError: it is not a stored reply.
    """
    try:
        return _stored.decode(value)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        escaped = json_codec.loads(value, _escaped)
    fields: dict[str, Any] = msgspec.structs.asdict(escaped)
    fields["about"] = Raw(json_codec.dumps(escaped.about))
    return StoredReply(**fields)
