"""A streamed reply is the reply that would have come whole, however its bytes are divided."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.providers.anthropic import Anthropic
from codeclm.providers.base import (
    Progress,
    Provider,
    ProviderError,
    Rejected,
    Reply,
)
from codeclm.providers.gemini import Gemini
from codeclm.providers.http import event_stream, events
from codeclm.providers.http.endpoint import Endpoint
from codeclm.providers.http.event_stream import EventStream
from codeclm.providers.http.events import Assembly
from codeclm.providers.http.exchange import Response
from codeclm.providers.openai import OpenAI
from codeclm.providers.responses import Responses
from codeclm.providers.streams.anthropic import MessageEvents
from codeclm.providers.streams.gemini import Generation
from codeclm.providers.streams.openai import ChatCompletion

from .servers import chat, request
from .streams import (
    DONE,
    USAGE,
    Named,
    Wire,
    chat_events,
    chunk,
    generation_events,
    message_events,
    response_events,
)

TEXTS = st.text(max_size=40)
SIZES = st.lists(st.integers(1, 7), max_size=4)
WIRES = st.builds(
    Wire,
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    space=st.sampled_from(["", " "]),
    bom=st.booleans(),
    comment=st.sampled_from(["", "OPENROUTER PROCESSING"]),
    indent=st.sampled_from([None, 1]),
)


class ReplaySession:
    """A session that plays one body, whole or in packets."""

    def __init__(self, body: bytes, packets: Sequence[int] = ()) -> None:
        self._body = body
        self._packets = packets

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        del body
        if assembly is None:
            return Response(self._body, {})
        stream = EventStream(assembly, Progress())
        at = turn = 0
        while at < len(self._body):
            size = self._packets[turn % len(self._packets)] if self._packets else len(self._body)
            stream.feed(self._body[at : at + size])
            at, turn = at + size, turn + 1
        return Response(stream.finish(endpoint.where), {})

    async def aclose(self) -> None: ...


Opener = Callable[..., Provider]


def complete(
    opener: Opener, body: bytes, packets: Sequence[int] = (), *, stream: bool = True
) -> Reply | str:
    """The reply to a call that is answered with *body*, or the kind of its failure."""
    provider = opener(ReplaySession(body, packets), base_url="http://127.0.0.1:1")
    call = provider.complete(request(stream=stream))
    try:
        call.__await__().send(None)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    except ProviderError as error:
        return type(error).__name__
    raise AssertionError("it waits for something")


PACKETS = st.lists(st.integers(1, 40), max_size=4)


@given(TEXTS, SIZES, WIRES, PACKETS, st.sampled_from(["stop", "length", "content_filter", "eos"]))
def test_a_chat_completion_is_the_same_reply_streamed(
    text: str, sizes: list[int], wire: Wire, packets: list[int], finish: str
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    whole = chat(choices=[{**choice, "finish_reason": finish}])
    stream = wire.encode(chat_events(text, sizes=sizes, finish=finish))

    assert complete(OpenAI, stream, packets) == complete(
        OpenAI, json.dumps(whole).encode(), stream=False
    )


@given(TEXTS, TEXTS, SIZES, WIRES, PACKETS, st.sampled_from(["end_turn", "max_tokens", "refusal"]))
def test_a_message_is_the_same_reply_streamed(
    thought: str, text: str, sizes: list[int], wire: Wire, packets: list[int], stop: str
) -> None:
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 30}
    blocks = [
        {"type": "thinking", "thinking": thought, "signature": ""},
        {"type": "text", "text": text},
        {"type": "text", "text": "."},
    ]
    whole = {"content": blocks, "stop_reason": stop, "usage": usage, "model": "claude-x"}
    stream = wire.encode(message_events(blocks, usage=usage, sizes=sizes, stop_reason=stop))

    assert complete(Anthropic, stream, packets) == complete(
        Anthropic, json.dumps(whole).encode(), stream=False
    )


@given(TEXTS, TEXTS, SIZES, WIRES, PACKETS, st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY"]))
def test_a_generation_is_the_same_reply_streamed(
    thought: str, text: str, sizes: list[int], wire: Wire, packets: list[int], finish: str
) -> None:
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 3, "thoughtsTokenCount": 9}
    parts: list[dict[str, Any]] = [{"text": thought, "thought": True}, {"text": text}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish}
    whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x"}
    stream = wire.encode(generation_events(parts, usage=usage, sizes=sizes, finish=finish))

    assert complete(Gemini, stream, packets) == complete(
        Gemini, json.dumps(whole).encode(), stream=False
    )


@given(TEXTS, SIZES, WIRES, PACKETS, st.sampled_from(["completed", "incomplete", "failed"]))
def test_a_response_is_the_same_reply_streamed(
    text: str, sizes: list[int], wire: Wire, packets: list[int], status: str
) -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "content": [{"type": "output_text", "text": text}]},
    ]
    whole: dict[str, Any] = {
        "object": "response",
        "status": status,
        "model": "small-2026",
        "output": output,
        "usage": {"input_tokens": 5, "output_tokens": 30},
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "error": {"code": "server_error", "message": "x"} if status == "failed" else None,
    }
    stream = wire.encode(response_events(whole, sizes=sizes))

    assert complete(Responses, stream, packets) == complete(
        Responses, json.dumps(whole).encode(), stream=False
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow"}, "RateLimited"),
        ({"code": "server_error", "message": "x"}, "Unavailable"),
        ({"error": {"code": "insufficient_quota"}}, "Denied"),
    ],
)
@pytest.mark.parametrize("named", ["error", ""])
def test_an_error_among_the_events_of_a_response_keeps_its_meaning(
    error: dict[str, Any], kind: str, named: str
) -> None:
    stream: list[Named] = [("", {"type": "response.created", "response": {}})]
    stream += [(named, {"type": "error", **error})]

    assert complete(Responses, Wire().encode(stream)) == kind
    assert complete(Responses, Wire().encode(stream[:1])) == "Unavailable"


# -- the assembled bodies -------------------------------------------------------------------------


def body_of(assembly: Assembly, stream: Sequence[Named]) -> Any:
    subject = EventStream(assembly, Progress())
    subject.feed(Wire().encode(stream))
    return json.loads(subject.finish("here"))


def chat_body(*deltas: dict[str, Any]) -> Any:
    """The message that *deltas* make."""
    stream = [*map(chunk, deltas), chunk({}, finish_reason="stop"), DONE]
    return body_of(ChatCompletion(), stream)["choices"][0]["message"]


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        (
            [{"role": "assistant", "content": ""}, {"refusal": "I "}, {"refusal": "can't."}],
            {"role": "assistant", "content": None, "refusal": "I can't."},
        ),
        (
            [
                {"reasoning_content": "Hm", "content": None},
                {"reasoning_content": "m."},
                {"content": "A"},
            ],
            {"reasoning_content": "Hmm.", "content": "A"},
        ),
        (
            [
                {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "a"}]},
                {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "b"}]},
                {"reasoning_details": [{"index": 1, "type": "reasoning.text", "text": "c"}]},
            ],
            {
                "reasoning_details": [
                    {"index": 0, "type": "reasoning.text", "text": "ab"},
                    {"index": 1, "type": "reasoning.text", "text": "c"},
                ]
            },
        ),
        (  # Mistral's thinking models
            [
                {"content": ""},
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m."}]}]},
                {"content": "An"},
                {"content": "swer"},
            ],
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]},
                    {"type": "text", "text": "Answer"},
                ]
            },
        ),
        ([{"content": "\ud83d"}, {"content": "\ude00"}], {"content": "\U0001f600"}),
        ([{"content": "a\r"}, {"content": "\nb"}], {"content": "a\r\nb"}),
    ],
    ids=["refusal", "reasoning", "details", "parts", "half an emoji", "line breaks"],
)
def test_deltas_become_the_message_that_the_vendor_would_have_sent(
    deltas: list[dict[str, Any]], message: dict[str, Any]
) -> None:
    assert chat_body(*deltas) == message


def test_all_that_a_vendor_adds_is_kept() -> None:
    stream = [
        chunk(choices=[], usage=None),
        chunk({"content": "Hi"}, index=1, finish_reason="stop"),
        chunk({"content": "Ho"}, finish_reason="stop", error=None),
        chunk(choices=[], usage=USAGE),
        DONE,
    ]

    body = body_of(ChatCompletion(), stream)

    assert [choice["message"]["content"] for choice in body["choices"]] == ["Ho", "Hi"]
    assert (body["object"], body["usage"], body["id"]) == ("chat.completion", USAGE, "chatcmpl-1")


def test_a_whole_completion_in_one_event_is_read_as_such() -> None:
    assert complete(OpenAI, Wire().encode([("", chat("Hi.")), DONE])) == complete(
        OpenAI, json.dumps(chat("Hi.")).encode(), stream=False
    )


def test_a_thought_that_is_signed_is_a_part_of_its_own() -> None:
    parts = [{"text": "a"}, {"text": "b"}, {"text": "", "thoughtSignature": "xyz"}]
    stream = [("", {"candidates": [{"content": {"parts": [part]}}]}) for part in parts]
    end: Named = ("", {"candidates": [{"finishReason": "STOP"}]})

    body = body_of(Generation(), [*stream, end])

    assert body["candidates"][0]["content"]["parts"] == [
        {"text": "ab"},
        {"text": "", "thoughtSignature": "xyz"},
    ]


def test_a_prompt_that_was_blocked_is_complete() -> None:
    stream = [("", {"promptFeedback": {"blockReason": "SAFETY"}})]

    reply = complete(Gemini, Wire().encode(stream))

    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == ("", "content_filter")


# -- what is no stream, or a broken one -----------------------------------------------------------

PLAIN = json.dumps(chat("Hi.")).encode()


@pytest.mark.parametrize("body", [PLAIN, b"\n\n " + PLAIN, b"\xef\xbb\xbf" + PLAIN])
@pytest.mark.parametrize("packets", [(), (1,), (2, 3)])
def test_a_server_that_does_not_stream_is_read_as_it_is(body: bytes, packets: list[int]) -> None:
    assert complete(OpenAI, body, packets) == complete(OpenAI, PLAIN, stream=False)


BEGUN = chat_events("Hello.", sizes=[2])[:3]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "Unavailable"),
        (b"<html>", "Unavailable"),
        (b"null", "Unavailable"),
        (b"internal error", "Unavailable"),
        (b": nothing\n\n", "Unavailable"),
        (Wire().encode([DONE]), "Unavailable"),
        (Wire().encode(BEGUN), "Unavailable"),
        (Wire().encode([*BEGUN, ("", "garbage")]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", "[1]")]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", {"choices": 7})]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", {"choices": [{"delta": "x"}]})]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", {"choices": ["x"]})]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", '{"a":' * 100_000)]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", {"error": {"code": 502, "message": "x"}})]), "Unavailable"),
        (Wire().encode([*BEGUN, ("", {"error": {"type": "rate_limit_error"}})]), "RateLimited"),
        (Wire().encode([*BEGUN, ("", {"error": {"code": "rate_limit_exceeded"}})]), "RateLimited"),
        (Wire().encode([*BEGUN, ("", {"error": {"code": "insufficient_quota"}})]), "Denied"),
        (Wire().encode([*BEGUN, ("", {"error": "internal"})]), "Unavailable"),
        (Wire().encode([*BEGUN, ("error", "internal")]), "Unavailable"),
        (Wire().encode([*BEGUN, ("error", "")]), "Unavailable"),
        (Wire().encode([*BEGUN, ("error", {"message": "x", "code": 429})]), "RateLimited"),
        (Wire().encode([*BEGUN, ("", {"object": "error", "code": 400})]), "Rejected"),
        (Wire().encode([*BEGUN, chunk({}, finish_reason="error"), DONE]), "Unavailable"),
        (
            Wire().encode([*BEGUN, chunk({}, finish_reason="error", error={"code": 429}), DONE]),
            "RateLimited",
        ),
    ],
)
@pytest.mark.parametrize("packets", [(), (1,)])
def test_a_broken_stream_fails_and_keeps_its_meaning(
    body: bytes, kind: str, packets: list[int]
) -> None:
    if packets and len(body) > 10_000:
        packets = [1000]

    assert complete(OpenAI, body, packets) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "Unavailable"),
        ({"type": "rate_limit_error", "message": "slow down"}, "RateLimited"),
        ({"type": "invalid_request_error", "message": "no"}, "Rejected"),
    ],
)
def test_an_error_within_a_message_keeps_its_meaning(data: dict[str, Any], kind: str) -> None:
    start = message_events([{"type": "text", "text": "Hi."}], usage={"output_tokens": 3})[:4]
    stream = [*start, ("error", {"type": "error", "error": data})]

    assert complete(Anthropic, Wire().encode(stream)) == kind


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_message_must_end_with_its_terminator(cut: int) -> None:
    stream = message_events([{"type": "text", "text": "Hi."}], usage={"output_tokens": 3})

    assert complete(Anthropic, Wire().encode(stream[:-cut])) == "Unavailable"


def test_a_delta_without_a_place_is_garbled() -> None:
    stream = [("content_block_delta", {"type": "content_block_delta", "delta": {"text": "x"}})]

    assert complete(Anthropic, Wire().encode(stream)) == "Unavailable"


def test_a_stream_may_end_without_done_once_there_is_a_reason_to_end() -> None:
    """As from servers that close the response after the last chunk (Cerebras, TGI)."""
    stream = chat_events("Hello.")

    assert complete(OpenAI, Wire().encode(stream[:-1])) == complete(OpenAI, Wire().encode(stream))
    assert complete(OpenAI, Wire().encode(stream[:-3])) == "Unavailable"


def test_the_last_event_may_lack_its_blank_line() -> None:
    whole = Wire().encode(chat_events("Hello."))

    assert complete(OpenAI, whole[:-2]) == complete(OpenAI, whole)


@given(st.binary(max_size=60), PACKETS)
def test_any_bytes_are_a_reply_or_a_failure(noise: bytes, packets: list[int]) -> None:
    for opener in (OpenAI, Responses, Anthropic, Gemini):
        assert complete(opener, noise, packets) in ("Unavailable", "Rejected")
        assert complete(opener, b"data: " + noise + b"\n\n", packets) in (
            *("Unavailable", "Rejected"),
        )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "index",
                        "message",
                        "candidates",
                        "content",
                        "parts",
                        "type",
                        "usage",
                        "error",
                    ]
                ),
                inner,
            )
        ),
    ),
    PACKETS,
)
def test_any_json_is_a_reply_or_a_failure(value: Any, packets: list[int]) -> None:
    for opener in (OpenAI, Responses, Anthropic, Gemini):
        outcome = complete(opener, Wire().encode([("", value)] * 2), packets)
        assert isinstance(outcome, Reply) or outcome in (
            *("Unavailable", "Rejected", "RateLimited", "Denied"),
        )


# -- bounds ---------------------------------------------------------------------------------------


def fed(assembly: Assembly, *parts: bytes) -> EventStream:
    stream = EventStream(assembly, Progress())
    for part in parts:
        stream.feed(part)
    return stream


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 1000)
    stream = fed(ChatCompletion(), b"data: ", *[b"x" * 100] * 10)

    assert stream.is_over
    with pytest.raises(Rejected, match="an event is larger"):
        stream.finish("here")


def test_an_event_of_endless_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 1000)

    with pytest.raises(Rejected, match="an event is larger"):
        fed(ChatCompletion(), *[b"data: 0123456789\n"] * 100).finish("here")


@pytest.mark.parametrize(
    ("assembly", "event"),
    [
        (ChatCompletion, chunk({"content": "x" * 50})),
        (ChatCompletion, chunk({"tool_calls": [{}]})),
        (
            MessageEvents,
            ("", {"type": "content_block_delta", "index": 0, "delta": {"text": "x" * 50}}),
        ),
        (Generation, ("", {"candidates": [{"content": {"parts": [{"text": "x" * 50}]}}]})),
    ],
)
def test_a_reply_without_an_end_is_refused(
    assembly: Callable[[], Assembly], event: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MAX_RESPONSE_BYTES", 1000)

    with pytest.raises(Rejected, match="the response is larger than 1000 bytes"):
        fed(assembly(), *[Wire().encode([event])] * 21).finish("here")


def test_comments_without_an_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_MAX_STREAM_BYTES", 1000)

    with pytest.raises(Rejected, match="larger"):
        fed(ChatCompletion(), *[b": ping\n\n"] * 200).finish("here")


def test_a_plain_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_RESPONSE_BYTES", 1000)

    with pytest.raises(Rejected, match="larger"):
        fed(ChatCompletion(), b"{", *[b" " * 100] * 20).finish("here")


def test_comments_and_pings_are_progress_but_no_text() -> None:
    progress = Progress()
    stream = EventStream(MessageEvents(), progress)

    stream.feed(b": keep-alive\n\n")
    stream.feed(b'event: ping\ndata: {"type": "ping"}\n\n')
    stream.feed(b'data: {"type": "content_block_delta"')

    assert (progress.events, progress.received) == (2, 0)
