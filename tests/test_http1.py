"""One bare connection: whatever pieces its bytes come in, and whatever bytes they are."""

import asyncio
import gzip
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.providers.http.http1 import Connection, LostError, RawResponse

from .servers import answer

TEXT = b'{"text": "' + b"word " * 40 + b'"}'
ANSWERS = [
    answer(TEXT, headers={"X-Mark": "1"}).data,
    answer(TEXT, headers={"X-Mark": "1"}, chunked=True).data,
    answer(gzip.compress(TEXT, mtime=0), headers={"Content-Encoding": "gzip", "X-Mark": "1"}).data,
    b"HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n" + answer(TEXT, headers={"X-Mark": "1"}).data,
    b"HTTP/1.1 200 OK\r\nX-Mark: 1\r\n\r\n" + TEXT,
]


class Wire(asyncio.Transport):
    """Takes everything at once, and knows whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.is_closed = True


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def hear(
    loop: asyncio.AbstractEventLoop, *pieces: bytes
) -> tuple["asyncio.Future[RawResponse]", bool]:
    """Ask over a connection that says *pieces* and closes; tell also if it was fit before that."""
    connection = Connection(loop)
    connection.connection_made(Wire())
    asked = connection.send(b"POST")
    for piece in pieces:
        if not asked.done():
            connection.data_received(piece)
    is_fit = connection.is_reusable()
    connection.eof_received()
    connection.connection_lost(None)
    return asked, is_fit


def outcome(asked: "asyncio.Future[RawResponse]") -> tuple[int, bytes] | str:
    """What the asker gets; anything but an answer or a `LostError` is raised."""
    assert asked.done()
    try:
        raw = asked.result()
        return raw.status, raw.decompress()
    except LostError as lost:
        return lost.reason


@given(said=st.sampled_from(ANSWERS), cuts=st.sets(st.integers(1, 400), max_size=9))
def test_an_answer_may_come_in_any_pieces(
    loop: asyncio.AbstractEventLoop, said: bytes, cuts: set[int]
) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    pieces = [said[one:other] for one, other in pairwise(edges)]

    asked, _ = hear(loop, *pieces)

    assert outcome(asked) == (200, TEXT)
    assert ("X-Mark", "1") in asked.result().headers


@given(said=st.sampled_from(ANSWERS[:4]), at=st.integers(0, 1000))
def test_an_answer_that_ends_too_soon_is_none(
    loop: asyncio.AbstractEventLoop, said: bytes, at: int
) -> None:
    cut = said[: at % len(said)]

    asked, _ = hear(loop, *([cut] if cut else []))

    assert outcome(asked) in {"unanswered", "in_head", "in_body"}


@given(
    said=st.sampled_from(ANSWERS),
    at=st.integers(0, 400),
    junk=st.binary(min_size=1, max_size=40),
    skip=st.integers(0, 40),
)
def test_no_bytes_break_the_reader(
    loop: asyncio.AbstractEventLoop, said: bytes, at: int, junk: bytes, skip: int
) -> None:
    """An answer or a loss, and nothing that a caller would not expect."""
    asked, _ = hear(loop, said[:at] + junk + said[at + skip :])

    outcome(asked)


@given(junk=st.binary(min_size=1).filter(lambda junk: junk.strip(b"\r\n") != b""))
def test_a_connection_with_a_rest_is_not_used_again(
    loop: asyncio.AbstractEventLoop, junk: bytes
) -> None:
    asked, is_fit = hear(loop, ANSWERS[0] + junk)

    assert (outcome(asked), is_fit) == ((200, TEXT), False)


def test_a_connection_whose_answer_was_read_to_its_end_is_used_again(
    loop: asyncio.AbstractEventLoop,
) -> None:
    asked, is_fit = hear(loop, ANSWERS[1])

    assert (outcome(asked), is_fit) == ((200, TEXT), True)


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 60_000),
        (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n" * 10_000),
        (b"", b"HTTP/1.1 103 Hints\r\nX: 1\r\n\r\n" * 2_000),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;x=" + b"x" * 60_000),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n" * 10_000),
    ],
    ids=["header", "headers", "hints", "chunk extension", "trailers"],
)
def test_what_has_no_end_is_not_waited_for(
    loop: asyncio.AbstractEventLoop, first: bytes, more: bytes
) -> None:
    """Neither is it kept: all of it together stays below a megabyte and a half."""
    connection = Connection(loop)
    wire = Wire()
    connection.connection_made(wire)
    asked = connection.send(b"POST")
    connection.data_received(first + more)
    for _ in range(25):
        if not asked.done():
            connection.data_received(more if b"1;x=" not in more else more[4:])

    assert outcome(asked) in {"unreadable", "in_body"}
    assert wire.is_closed
