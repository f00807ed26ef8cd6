"""Convert requests and replies to and from llama.cpp's form."""

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from .. import json_codec
from ..base import FinishReason, Rejected, Reply, Request, Unavailable


def render_request(request: Request, *, prompt_cache: bool) -> bytes:
    """Render the request. It is streamed, so that a call can be abandoned between two tokens."""
    sampling = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
    }
    body: dict[str, Any] = {
        "messages": [
            {"role": message.role, "content": _without_surrogates(message.content)}
            for message in request.messages
        ],
        **{name: value for name, value in sampling.items() if value is not None},
        "seed": _seed(request),
        "cache_prompt": prompt_cache,
    }
    if request.response_format != "text":
        body["grammar"] = _grammar(request.schema or {"type": "object"})
    body |= request.extra
    return json_codec.dumps({**body, "stream": True, "stream_options": {"include_usage": True}})


def _seed(request: Request) -> int:
    """Derive a seed for this sample alone.

    With one seed for all, a second sample would repeat the first, and both orders of a scoring
    would share their randomness.
    """
    name = json_codec.dumps((request.seed, request.sample, request.messages))
    # 2**32 - 1 asks llama.cpp for a random seed.
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little") % (2**32 - 1)


def _grammar(schema: dict[str, Any]) -> str:
    """Render *schema* as a grammar that fixes all white space.

    llama.cpp's own conversion allows any amount, on which small models spend half of their tokens.
    """
    spacing = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    text = json_codec.dumps({**schema, "x-guidance": spacing}).decode()
    return f"%llguidance {{}}\nstart: %json {text}"


def _without_surrogates(text: str) -> str:
    """Join surrogate pairs and replace lone ones, which llama.cpp refuses."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _Details(Struct, frozen=True):
    cached_tokens: int = 0


class _Usage(Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details = _Details()


class _Error(Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Chunk(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Error | None = None


_DECODER: Final = msgspec.json.Decoder(_Chunk)
_FINISH: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length"}


def read_reply(chunks: list[bytes], model: str, where: str) -> Reply:
    """Assemble a reply from the chunks of its stream.

    Raises:
        Rejected: llama.cpp refuses the request, for example one too long for the context.
        Unavailable: llama.cpp failed, or a chunk cannot be decoded.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    finish_reason: FinishReason = "other"
    usage = _Usage()
    for data in chunks:
        try:
            chunk = json_codec.loads(data, _DECODER)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{where}: unexpected reply: {error}") from error
        if chunk.error is not None:
            kind = Rejected if 400 <= chunk.error.code < 500 else Unavailable
            raise kind(f"{where}: {chunk.error.message}")
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts.append(choice.delta.content or "")
            thoughts.append(choice.delta.reasoning_content or "")
            finish_reason = _FINISH.get(choice.finish_reason or "", finish_reason)
    return Reply(
        text="".join(texts),
        finish_reason=finish_reason,
        reasoning="".join(thoughts),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.prompt_tokens_details.cached_tokens,
        model=model,
    )
