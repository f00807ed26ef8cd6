"""Every way a server can fail, as bytes and pauses. Pure: an answer in, what goes out instead.

``MISBEHAVIOURS`` is the list; each is told the good answer's body and a value of the rule's.
"""

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..streams import Wire, chat_events

Then = Literal["keep", "close", "reset", "stall"]


class Play(Struct, frozen=True):
    """What is put on the wire: bytes, and seconds of silence between them.

    ``then`` is what becomes of the connection. ``answers`` says whether the client got the whole
    good answer by it, and so has something to pay for.
    """

    parts: tuple[bytes | float, ...]
    then: Then = "keep"
    answers: bool = False


def http(
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> bytes:
    """A whole answer."""
    fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} -\r\n{lines}\r\n".encode() + body


def error(status: int, message: str, **more: Any) -> bytes:
    return msgspec.json.encode({"error": {"message": message, **more}})


def _status(status: int, headers: Mapping[str, str] | None = None) -> Play:
    return Play((http(error(status, f"made up ({status})"), status=status, headers=headers),))


def _fails(status: int) -> "Misbehaviour":
    return lambda _body, _value: _status(status)


def _page(_body: bytes, value: str) -> Play:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    status = int(value or 502)
    return Play((http(page, status=status, content_type="text/html"),), "close")


def _refuses(headers: Callable[[str], dict[str, str]]) -> "Misbehaviour":
    return lambda _body, value: _status(429, headers(value))


def _date(value: str) -> dict[str, str]:
    when = datetime.now(UTC) + timedelta(seconds=float(value or 1))
    return {"Retry-After": format_datetime(when, usegmt=True)}


def _exhausted(value: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": value or "200ms",
    }


def _split(body: bytes) -> tuple[bytes, bytes]:
    """The head, and the first half of *body*, of an answer that promises all of it."""
    whole = http(body)
    head = whole[: len(whole) - len(body)]
    return head, body[: len(body) // 2]


def _truncated(body: bytes, _value: str) -> Play:
    return Play((http(body[: len(body) // 2]),))


def _gzip(body: bytes, _value: str) -> Play:
    packed = http(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    return Play((packed,), answers=True)


def _chunked(body: bytes, _value: str) -> Play:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    size = max(1, len(body) // 7)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return Play((head, chunks + b"0\r\n\r\n"), answers=True)


def _blank_lines(body: bytes, _value: str) -> Play:
    return Play((http(b"\n \n\n" + body),), answers=True)


def _trickled(body: bytes, value: str) -> Play:
    whole = http(body)
    size = max(1, len(whole) // 8)
    parts: list[bytes | float] = []
    for at in range(0, len(whole), size):
        parts += [whole[at : at + size], float(value or 0.05)]
    return Play(tuple(parts), answers=True)


def _stalled_headers(_body: bytes, _value: str) -> Play:
    return Play((b"HTTP/1.1 200 OK\r\nContent-Type: appl",), "stall")


def _stalled_body(body: bytes, _value: str) -> Play:
    return Play(_split(body), "stall")


def _changed(**choice: Any) -> "Misbehaviour":
    """The good answer with other words in its choice or message; None takes a member out."""

    def play(body: bytes, _value: str) -> Play:
        tree: dict[str, Any] = msgspec.json.decode(body)
        first: dict[str, Any] = tree["choices"][0]
        for name, value in choice.items():
            (first if name == "finish_reason" else first["message"])[name] = value
        return Play((http(msgspec.json.encode(tree)),), answers=True)

    return play


def _cut_off(body: bytes, _value: str) -> Play:
    tree: dict[str, Any] = msgspec.json.decode(body)
    first: dict[str, Any] = tree["choices"][0]
    first["finish_reason"] = "length"
    first["message"]["content"] = first["message"]["content"][:40]
    return Play((http(msgspec.json.encode(tree)),), answers=True)


def _without(member: str) -> "Misbehaviour":
    def play(body: bytes, _value: str) -> Play:
        tree: dict[str, Any] = msgspec.json.decode(body)
        del tree[member]
        return Play((http(msgspec.json.encode(tree)),), answers=True)

    return play


def _empty_choices(body: bytes, _value: str) -> Play:
    tree: dict[str, Any] = msgspec.json.decode(body)
    tree["choices"] = []
    return Play((http(msgspec.json.encode(tree)),))


def _duplicate_keys(body: bytes, _value: str) -> Play:
    return Play((http(b'{"model":"another",' + body[1:]),), answers=True)


def _huge(body: bytes, value: str) -> Play:
    blank = b" " * int(value or 70_000_000)
    return Play((http(b'{"x":"' + blank + b'",' + body[1:]),), "close")


def _inside_200(_body: bytes, value: str) -> Play:
    return Play((http(error(200, "made up inside a 200", type=value or "server_error")),))


def _chunk_garbled(body: bytes, _value: str) -> Play:
    """A chunk, then garbage where the next one's size belongs, in a packet of its own."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = body[: len(body) // 2]
    return Play((head, b"%x\r\n%b\r\n" % (len(half), half), 0.05, b"lskdu018\r\n"), "close")


def _dripping(_body: bytes, value: str) -> Play:
    """A byte now and then, of the head or of the body, for longer than anyone should wait."""
    head = b"HTTP/1.1 200 OK\r\n"
    head += b"X-Slow: " if value == "head" else b"Content-Length: 100000\r\n\r\n{"
    drops: list[bytes | float] = [b"x", 0.5] * 240
    return Play((head, *drops), "close")


def _continues(_body: bytes, _value: str) -> Play:
    return Play((b"HTTP/1.1 100 Continue\r\n\r\n", 0.02) * 6000, "close")


def _extends(_body: bytes, _value: str) -> Play:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    extensions: tuple[bytes | float, ...] = (b"x" * 1000, 0.02)
    return Play((head, *extensions * 6000), "close")


def _says(value: Any) -> "Misbehaviour":
    """A 200 of JSON that is no answer."""
    return lambda _body, _value: Play((http(msgspec.json.encode(value)),))


def _chunks(body: bytes) -> list[bytes | float]:
    """Packets of a stream: a head, an event in each chunk, a comment and a pause among them."""
    tree: dict[str, Any] = msgspec.json.decode(body)
    choice: dict[str, Any] = tree["choices"][0]
    text, finish = choice["message"]["content"], choice["finish_reason"]
    events = chat_events(text, sizes=[11, 3, 40], finish=finish, usage=tree["usage"])
    parts = [Wire().encode([event]) for event in events]
    parts.insert(2, b": keep-alive\n\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return [head + b"Transfer-Encoding: chunked\r\n\r\n", chunks[0], 0.01, *chunks[1:]]


def streamed(body: bytes) -> Play:
    """The good answer as a stream."""
    return Play((*_chunks(body), b"0\r\n\r\n"), answers=True)


def _stream_fails(*parts: bytes, then: Then = "keep", ended: bool = True) -> "Misbehaviour":
    """A stream that goes on with *parts* once it has begun."""

    def play(body: bytes, _value: str) -> Play:
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
        end = [b"0\r\n\r\n"] if ended else []
        return Play((*_chunks(body)[:5], *chunks, *end), then)

    return play


Misbehaviour = Callable[[bytes, str], Play]

ERRORS = (400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 500, 502, 503, 504, 520, 529)
"""Statuses, each with an error of JSON."""

MISBEHAVIOURS: Mapping[str, Misbehaviour] = {
    "429": _refuses(lambda value: {"Retry-After": value or "1"}),
    "429_date": _refuses(_date),
    "429_ms": _refuses(lambda value: {"retry-after-ms": value or "100"}),
    "429_silent": _refuses(lambda _: {}),
    "429_absurd": _refuses(lambda value: {"Retry-After": value or "-1e9 fortnights"}),
    "429_headers": _refuses(_exhausted),
    "429_quota": lambda _b, _v: Play(
        (http(error(429, "You exceeded your quota", code="insufficient_quota"), status=429),)
    ),
    **{str(status): _fails(status) for status in ERRORS},
    "html": _page,
    "redirect": lambda _b, value: _status(302, {"Location": value or "http://127.0.0.1:9/other"}),
    "reset": lambda _b, _v: Play((), "reset"),
    "reset_in_headers": lambda _b, _v: Play((b"HTTP/1.1 200 OK\r\nContent-Ty", 0.01), "reset"),
    "reset_in_body": lambda body, _v: Play((*_split(body), 0.01), "reset"),
    "closed": lambda _b, _v: Play((), "close"),
    "closed_in_body": lambda body, _v: Play(_split(body), "close"),
    "closed_after": lambda body, _v: Play((http(body),), "close", answers=True),
    "stalled": lambda _b, _v: Play((), "stall"),
    "stalled_headers": _stalled_headers,
    "stalled_body": _stalled_body,
    "slow": lambda body, value: Play((float(value or 1), http(body)), answers=True),
    "trickled": _trickled,
    "truncated": _truncated,
    "not_json": lambda _b, _v: Play((http(b"out of cheese"),)),
    "wrong_type": lambda body, _v: Play((http(body, content_type="text/plain"),), answers=True),
    "gzip": _gzip,
    "chunked": _chunked,
    "blank_lines": _blank_lines,
    "error_in_200": _inside_200,
    "error_text_in_200": _says({"error": "internal"}),
    "untyped_error_in_200": _says({"error": {"message": "internal"}}),
    "null": _says(None),
    "list": _says([1, 2]),
    "other_object": _says({"status": "starting"}),
    "chunk_garbled": _chunk_garbled,
    "dripping": _dripping,
    "continues": _continues,
    "extends": _extends,
    "stream_ends": _stream_fails(),
    "stream_garbled": _stream_fails(b"data: {]\n\n"),
    "stream_error": _stream_fails(b'event: error\ndata: {"message": "internal"}\n\n'),
    "stream_overloaded": _stream_fails(b'data: {"error": {"type": "overloaded_error"}}\n\n'),
    "stream_refused": _stream_fails(b'data: {"error": {"code": 429, "message": "slow"}}\n\n'),
    "stream_reset": _stream_fails(then="reset", ended=False),
    "stream_closed": _stream_fails(then="close", ended=False),
    "stream_stalls": _stream_fails(then="stall", ended=False),
    "stream_left_open": lambda body, _v: Play(tuple(_chunks(body)), "close", answers=True),
    "empty_choices": _empty_choices,
    "null_content": _changed(content=None),
    "refusal": _changed(content=None, refusal="I will not do that."),
    "length": _cut_off,
    "content_filter": _changed(content="", finish_reason="content_filter"),
    "no_usage": _without("usage"),
    "duplicate_keys": _duplicate_keys,
    "huge": _huge,
}
