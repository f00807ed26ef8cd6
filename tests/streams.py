"""Streams as vendors send them: a reply as events, and events as bytes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from .servers import Say, Then

Named = tuple[str, Any]
"""An event's type, if it has one, and its data: JSON, or a text that is sent as it is."""


class Wire(Struct, frozen=True):
    """How a server writes events; each way is legal."""

    newline: str = "\n"
    space: str = " "
    bom: bool = False
    comment: str = ""
    """Sent before every event, where it is not empty."""
    indent: int | None = None
    """Data of several lines, where it is not None."""

    def encode(self, events: Sequence[Named]) -> bytes:
        """Return a stream's body."""
        text = "".join(self._lines(events))
        return (b"\xef\xbb\xbf" if self.bom else b"") + text.encode()

    def _lines(self, events: Sequence[Named]) -> Iterator[str]:
        for name, data in events:
            if self.comment:
                yield f":{self.space}{self.comment}{self.newline}{self.newline}"
            if name:
                yield f"event:{self.space}{name}{self.newline}"
            text = data if isinstance(data, str) else json.dumps(data, indent=self.indent)
            for line in text.split("\n"):
                yield f"data:{self.space}{line}{self.newline}"
            yield self.newline


def streamed(
    body: bytes, *, status: int = 200, then: Then = "keep", ended: bool = True, size: int = 0
) -> Say:
    """A response of events, in chunks of *size* bytes; not *ended*: without the last chunk."""
    head = b"HTTP/1.1 %d Said\r\nContent-Type: text/event-stream\r\n" % status
    size = size or max(1, len(body))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    end = b"0\r\n\r\n" if ended else b""
    return Say(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + end, then)


def divided(text: str, sizes: Sequence[int]) -> Iterator[str]:
    """Yield *text* in pieces of *sizes*, over and over; no sizes: whole."""
    at, turn = 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)] if sizes else len(text)
        yield text[at : at + size]
        at, turn = at + size, turn + 1


# -- chat completions -----------------------------------------------------------------------------


def chunk(delta: dict[str, Any] | None = None, **more: Any) -> Named:
    """A chunk of a chat completion."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": None}
    top = {name: more.pop(name) for name in ("usage", "error", "choices") if name in more}
    return "", {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "small-2026",
        "choices": [{**choice, **more}],
        **top,
    }


DONE: Named = ("", "[DONE]")
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chat_events(
    text: str = "Hello.",
    *,
    sizes: Sequence[int] = (),
    member: str = "content",
    finish: str = "stop",
    usage: Any = None,
) -> list[Named]:
    """Events of a whole chat completion; its text is in *member* of the message."""
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({member: piece}) for piece in divided(text, sizes)),
        chunk({}, finish_reason=finish),
        chunk(choices=[], usage=usage or USAGE),
        DONE,
    ]


# -- responses ------------------------------------------------------------------------------------


def response_events(response: dict[str, Any], *, sizes: Sequence[int] = ()) -> list[Named]:
    """Events of OpenAI's Responses API, with the text of the first part of the first message."""
    status = response["status"]
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None}
    part = next(item for item in response["output"] if item["type"] == "message")["content"][0]
    data: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *(
            {"type": "response.output_text.delta", "output_index": 0, "delta": piece}
            for piece in divided(part["text"], sizes)
        ),
        {"type": f"response.{status}", "response": response},
    ]
    return [(event["type"], event) for event in data]


# -- messages -------------------------------------------------------------------------------------


def message_events(
    blocks: Sequence[dict[str, Any]],
    *,
    usage: dict[str, Any],
    sizes: Sequence[int] = (),
    stop_reason: str = "end_turn",
) -> list[Named]:
    """Events of a message, as Anthropic sends them, a ``ping`` before each block."""
    start: dict[str, Any] = {"model": "claude-x", "content": [], "stop_reason": None}
    start["usage"] = {**usage, "output_tokens": 1}
    data: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(blocks):
        member = "thinking" if block["type"] == "thinking" else "text"
        data.append({"type": "ping"})
        empty = {**block, member: ""}
        data.append({"type": "content_block_start", "index": index, "content_block": empty})
        for piece in divided(block[member], sizes):
            delta = {"type": f"{member}_delta", member: piece}
            data.append({"type": "content_block_delta", "index": index, "delta": delta})
        data.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop_reason, "stop_sequence": None}
    counts = {"output_tokens": usage["output_tokens"]}
    data += [{"type": "message_delta", "delta": end, "usage": counts}, {"type": "message_stop"}]
    return [(event["type"], event) for event in data]


# -- generations ----------------------------------------------------------------------------------


def generation_events(
    parts: Sequence[dict[str, Any]],
    *,
    usage: dict[str, Any],
    sizes: Sequence[int] = (),
    finish: str = "STOP",
) -> list[Named]:
    """Events of a generation, as Gemini sends them."""
    pieces = [{**part, "text": piece} for part in parts for piece in divided(part["text"], sizes)]
    candidates: list[dict[str, Any]] = [
        {"content": {"role": "model", "parts": [piece]}} for piece in pieces
    ]
    candidates = candidates or [{}]
    candidates[-1]["finishReason"] = finish
    return [
        ("", {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x"})
        for candidate in candidates
    ]
