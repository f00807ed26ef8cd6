"""Paid answers on disk: found again, never thrown away, never code, never another call's."""

import asyncio
import json
import pickle
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import diskcache
import msgspec
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.cache import open_cache
from codeclm.engine.calls.cache_file import BytesDisk, open_cache_file
from codeclm.engine.calls.keys import KeyBuilder
from codeclm.engine.calls.replies import StoredReply, decode_reply
from codeclm.engine.disk.sqlite import StorageError
from codeclm.providers import json_codec
from codeclm.providers.base import Message, Request

from .acting import may_read_the_cache
from .commands import codeclm
from .examples import examples

KEY = b"0123456789abcdef"


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


def keep(folder: Path, values: dict[bytes, bytes], *, replace: bool = False) -> dict[bytes, bytes]:
    """Put *values* as a run does, wait until all are stored, and return what is served."""

    async def put() -> dict[bytes, bytes]:
        async with open_cache(folder) as cache:
            stored = {key: cache.put(key, value, replace=replace) for key, value in values.items()}
            return {key: await future for key, future in stored.items()}

    return asyncio.run(put())


def lookup(folder: Path, *keys: bytes) -> dict[bytes, bytes | None]:
    """What a run finds under *keys*."""

    async def get() -> dict[bytes, bytes | None]:
        async with open_cache(folder) as cache:
            return {key: cache.get(key) for key in keys}

    return asyncio.run(get())


def rows(folder: Path) -> dict[bytes, bytes]:
    """What diskcache itself reads, with its own Disk."""
    with closing(cast("Any", diskcache.Cache(str(folder)))) as cache:
        return {key: cache[key] for key in cache}


@contextmanager
def database(folder: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "cache.db", isolation_level=None)) as connection:
        yield connection


# -- keeping ------------------------------------------------------------------------------------


def test_what_is_kept_is_found_by_the_next_run_and_by_diskcache_itself(tmp_path: Path) -> None:
    values = {bytes([n]) * 16: b"value %d" % n for n in range(200)}
    served = keep(tmp_path, values)
    found = lookup(tmp_path, *values, KEY)

    assert found.pop(KEY) is None
    assert served == found == rows(tmp_path) == values


def test_nothing_is_thrown_away_whatever_the_folder_was_made_with(tmp_path: Path) -> None:
    """The folder's maker wanted 20 KB and the last used; what was paid for stays."""
    mean: dict[str, Any] = {
        "size_limit": 20_000,
        "eviction_policy": "least-recently-used",
        "cull_limit": 100,
    }
    cast("Any", diskcache.Cache(str(tmp_path), **mean)).close()
    values = {n.to_bytes(16, "big"): bytes(2000) for n in range(500)}
    keep(tmp_path, values)
    with closing(cast("Any", diskcache.Cache(str(tmp_path), disk=BytesDisk))) as tool:
        tool[KEY] = b"one more"
        culled = tool.cull()
        policy = (tool.eviction_policy, tool.cull_limit, tool.size_limit, tool.statistics)

    assert policy == ("none", 0, 2**50, 0)
    assert culled == 0
    assert rows(tmp_path) == {**values, KEY: b"one more"}


def test_the_file_is_made_with_pages_that_fit_answers(tmp_path: Path) -> None:
    with open_cache_file(tmp_path):
        pass
    with database(tmp_path) as connection:
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS]

    assert dict(zip(PRAGMAS, found, strict=True)) == PRAGMAS


PRAGMAS = {"page_size": 16384, "journal_mode": "wal"}


def test_a_value_that_was_damaged_is_replaced_when_asked_to_be(tmp_path: Path) -> None:
    keep(tmp_path, {KEY: b"damaged"})
    without = keep(tmp_path, {KEY: b"whole"})
    replaced = keep(tmp_path, {KEY: b"whole"}, replace=True)

    assert without == {KEY: b"damaged"}
    assert replaced == rows(tmp_path) == {KEY: b"whole"}


async def test_what_was_handed_in_is_on_disk_after_close_though_nobody_waits(
    tmp_path: Path,
) -> None:
    values = {n.to_bytes(16, "big"): b"paid" for n in range(2000)}
    async with open_cache(tmp_path) as cache:
        for key, value in values.items():
            cache.put(key, value)

    assert await asyncio.to_thread(rows, tmp_path) == values


async def test_a_write_whose_caller_was_cancelled_is_stored_and_disturbs_nobody(
    tmp_path: Path,
) -> None:
    async with open_cache(tmp_path) as cache:
        cancelled = cache.put(b"1" * 16, b"paid")
        cancelled.cancel()
        stored = await cache.put(b"2" * 16, b"paid, too")

    assert stored == b"paid, too"
    assert await asyncio.to_thread(rows, tmp_path) == {b"1" * 16: b"paid", b"2" * 16: b"paid, too"}


RACER = """
import asyncio, sys
from pathlib import Path
from codeclm.engine.calls.cache import open_cache

folder, name = Path(sys.argv[1]), sys.argv[2].encode()
print("ready", flush=True)
sys.stdin.readline()

async def main():
    async with open_cache(folder) as cache:
        stored = []
        for n in range(300):
            stored.append(cache.put(n.to_bytes(16, "big"), name))
            if n % 10 == 0:
                await asyncio.sleep(0)
        print(*[(await value).decode() for value in stored])

asyncio.run(main())
"""


def test_processes_that_write_the_same_keys_are_all_served_what_is_stored(tmp_path: Path) -> None:
    """They begin at once with a folder that does not exist: opening it is a race as well."""
    folder = tmp_path / "cache"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other", "third")
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    served = [racer.communicate()[0].split() for racer in racers]

    stored = [value.decode() for _, value in sorted(rows(folder).items())]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert served == [stored] * 3
    assert len(stored) == 300


NEIGHBOUR = """
import asyncio, sys
from pathlib import Path
from codeclm.engine.calls.cache import open_cache

async def main():
    async with open_cache(Path(sys.argv[1])) as cache:
        print(cache.get(bytes(16)), flush=True)
        await cache.put(b"theirs" + bytes(10), b"v")
        await asyncio.to_thread(sys.stdin.readline)
        print(cache.get(b"ours" + bytes(12)))

asyncio.run(main())
"""


def neighbour(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", NEIGHBOUR, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_what_a_process_stores_that_came_later_is_found_and_ours_by_it(
    tmp_path: Path,
) -> None:
    """Keys once found absent are no longer taken to be so as soon as somebody else may write."""
    async with open_cache(tmp_path) as cache:
        assert cache.get(b"theirs" + bytes(10)) is None
        other = await asyncio.to_thread(neighbour, tmp_path)
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "None\n"
        await cache.put(b"ours" + bytes(12), b"w")

        output, _ = await asyncio.to_thread(other.communicate, "go\n")

        assert "w" in output
        assert cache.get(b"theirs" + bytes(10)) == b"v"


@given(stored=st.sets(st.binary(min_size=16, max_size=16), max_size=20), asked=st.binary())
@examples(30)
def test_every_stored_key_is_found_and_no_other(stored: set[bytes], asked: bytes) -> None:
    """After opening anew, and in the session that stored them."""
    values = {key: key[::-1] for key in stored} or {KEY: KEY[::-1]}

    async def check(folder: Path) -> None:
        async with open_cache(folder) as cache:
            await asyncio.gather(*[cache.put(key, value) for key, value in values.items()])
            assert {key: cache.get(key) for key in values} == values
        async with open_cache(folder) as cache:
            assert {key: cache.get(key) for key in values} == values
            assert (cache.get(asked) is not None) == (asked in values)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))


def test_pruning_deletes_the_old_and_gives_their_space_back(tmp_path: Path) -> None:
    keep(tmp_path, {bytes([n]) * 16: bytes(50_000) for n in range(40)})
    with closing(sqlite3.connect(tmp_path / "cache.db")) as aged, aged:
        aged.execute("UPDATE Cache SET store_time = store_time - 10 * 86400 WHERE rowid <= 30")
    size = (tmp_path / "cache.db").stat().st_size
    line = ("cache", "prune", "--older-than", "9", "--cache", str(tmp_path))

    asked = codeclm(*line, "--dry-run", cwd=tmp_path)
    done = codeclm(*line, cwd=tmp_path)

    assert asked.stdout.startswith("30 answers are older than")
    assert done.stdout.startswith("deleted 30 answers older than")
    assert list(rows(tmp_path)) == [bytes([n]) * 16 for n in range(30, 40)]
    assert (tmp_path / "cache.db").stat().st_size < size / 2


def test_what_is_not_there_to_look_at_is_wrong_input(tmp_path: Path) -> None:
    with open_cache_file(tmp_path):
        pass
    key = codeclm("cache", "explain", "abcdef", "--cache", ".", cwd=tmp_path)
    folder = codeclm("cache", "stats", "--cache", "nope", cwd=tmp_path)

    assert (key.returncode, folder.returncode) == (2, 2)
    assert "no key begins with abcdef" in key.stderr
    assert "nope: there is no cache in this folder" in folder.stderr


def test_a_cache_in_use_is_not_pruned(tmp_path: Path) -> None:
    keep(tmp_path, {KEY: b"v"})
    with open_cache_file(tmp_path) as cache:
        done = codeclm("cache", "prune", "--older-than", "0", "--cache", ".", cwd=tmp_path)

        assert (done.returncode, cache.get(KEY)) == (1, b"v")
        assert ".: another process uses it" in done.stderr


# -- a folder from a stranger -------------------------------------------------------------------


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


PLANTS = {
    "a pickled value": (KEY, 1, 4, None, "bomb"),
    "a pickled value called bytes": (KEY, 1, 1, None, "bomb"),
    "a pickled key": ("bomb", 0, 1, None, b"x"),
    "a pickled value in a file": (KEY, 1, 4, "bomb.val", None),
    "bytes in a file": (KEY, 1, 1, "bomb.val", None),
    "bytes in a file of somebody else": (KEY, 1, 1, "../secret", None),
    "text in a file": (KEY, 1, 3, "../secret", None),
    "text": (KEY, 1, 1, None, "text"),
    "a number": (KEY, 1, 1, None, 7),
    "nothing": (KEY, 1, 1, None, None),
    "an unknown mode": (KEY, 1, None, None, b"x"),
}


@pytest.mark.parametrize("plant", [pytest.param(row, id=name) for name, row in PLANTS.items()])
def test_a_planted_row_runs_no_code_and_its_key_can_still_be_kept(
    tmp_path: Path, plant: tuple[Any, ...]
) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "cache"
    bomb = pickle.dumps(Bomb(mark))
    with open_cache_file(folder):
        pass
    (folder / "bomb.val").write_bytes(bomb)
    (tmp_path / "secret").write_bytes(b"secret")
    with database(folder) as connection:
        connection.execute(
            "INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)",
            [bomb if part == "bomb" else part for part in plant],
        )

    before = lookup(folder, KEY)[KEY]
    unread = before is None or not _is_reply(before)
    served = keep(folder, {KEY: b"ours"}, replace=before is not None)
    after = lookup(folder, KEY)[KEY]

    assert unread
    assert (served, after) == ({KEY: b"ours"}, b"ours")
    assert not mark.exists()


def _is_reply(value: bytes) -> bool:
    try:
        decode_reply(value)
    except msgspec.MsgspecError:
        return False
    return True


def test_our_disk_refuses_pickles_also_in_the_hands_of_diskcache(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with closing(cast("Any", diskcache.Cache(str(tmp_path / "cache")))) as theirs:
        theirs[KEY] = Bomb(mark)
        theirs["a", "tuple"] = b"x"
    with closing(cast("Any", diskcache.Cache(str(tmp_path / "cache"), disk=BytesDisk))) as ours:
        with pytest.raises(StorageError, match="a value that codeclm did not write"):
            ours[KEY]
        with pytest.raises(StorageError, match="a key that codeclm did not write"):
            list(ours)
        with pytest.raises(TypeError, match="keys are bytes, not str"):
            ours["text"] = b"x"
        with pytest.raises(TypeError, match="values are bytes, not dict"):
            ours[b"key"] = {}

    assert not mark.exists()


def test_a_folder_of_another_programs_disk_can_be_used(tmp_path: Path) -> None:
    """diskcache hands a Disk whatever settings the folder holds for it."""
    theirs = diskcache.Cache(str(tmp_path), disk=diskcache.JSONDisk, disk_compress_level=6)
    with closing(cast("Any", theirs)):
        theirs["question"] = {"answer": 1}
    keep(tmp_path, {KEY: b"ours"})

    assert lookup(tmp_path, KEY) == {KEY: b"ours"}


# -- keys ---------------------------------------------------------------------------------------

# Half emojis are in; whole ones come as one character, as every decoder gives them.
texts = st.text(st.sampled_from('aB\0"\\,]}é😀\ud83d\udbff#1'), max_size=4)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(0.5, 2), texts)
objects = st.dictionaries(
    texts,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner),
        max_leaves=3,
    ),
    max_size=2,
)
requests = st.builds(
    Request,
    model=texts,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), max_size=3
    ).map(tuple),
    temperature=st.none() | st.floats(0.1, 2),
    top_p=st.none() | st.floats(0.1, 1),
    max_tokens=st.none() | st.integers(1, 3),
    seed=st.none() | st.integers(0, 3),
    response_format=st.sampled_from(["text", "json_object", "json_schema"]),
    schema=st.none() | objects,
    extra=objects,
)


class Question(msgspec.Struct, frozen=True):
    """All that may change a reply."""

    provider: str
    endpoint: str
    sample: str
    request: Request

    @property
    def key(self) -> bytes:
        return KeyBuilder(self.provider, self.endpoint, self.request).key(
            self.request.messages, self.sample
        )


questions = st.builds(Question, texts, texts, texts, requests)


def typed(value: Any) -> Any:
    """What Python calls equal and JSON does not (1, 1.0 and true) is told apart; order is not."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return frozenset((key, typed(inner)) for key, inner in items)
    if isinstance(value, list | tuple):
        return tuple(typed(inner) for inner in cast("list[Any]", value))
    if isinstance(value, msgspec.Struct):
        return typed(list(msgspec.structs.asdict(value).values()))
    return type(value), value


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Question, Question]:
    """Two questions, mostly differing in one field or none."""
    one, other = draw(questions), draw(questions)
    name = draw(st.sampled_from([*Question.__struct_fields__, *Request.__struct_fields__, ""]))
    if name in Request.__struct_fields__:
        changed = {name: getattr(other.request, name)}
        request = msgspec.structs.replace(one.request, **changed)
        return one, msgspec.structs.replace(one, request=request)
    return one, msgspec.structs.replace(one, **({name: getattr(other, name)} if name else {}))


@examples(300)
@given(pairs())
def test_two_keys_are_equal_if_and_only_if_the_calls_are(pair: tuple[Question, Question]) -> None:
    one, other = pair

    assert (one.key == other.key) == (typed(one) == typed(other))
    assert len(one.key) == 16


@given(questions, st.randoms(use_true_random=False))
def test_the_order_of_settings_does_not_change_a_key(question: Question, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(cast("dict[str, Any]", value).items())
        random.shuffle(items)
        return {key: shuffled(inner) for key, inner in items}

    request = question.request
    moved = msgspec.structs.replace(
        request, extra=shuffled(request.extra), schema=shuffled(request.schema)
    )

    assert msgspec.structs.replace(question, request=moved).key == question.key


def test_parts_of_a_call_cannot_pass_for_each_other() -> None:
    def key(*messages: str, sample: str = "") -> bytes:
        request = Request(model="m", messages=tuple(Message("user", text) for text in messages))
        return Question("p", "e", sample, request).key

    keys = [
        key("a", "b"),
        key("ab"),
        key("a", sample="b"),
        key("ab", sample=""),
        key("", sample="ab"),
    ]

    assert [keys.index(one) for one in keys] == [0, 1, 2, 1, 4]


def test_who_asks_and_the_sample_in_the_request_are_no_part_of_the_base_of_a_key() -> None:
    """``purpose`` is for complaints; the sample comes in once, with the messages."""
    one = Request(model="m", messages=(Message("user", "Hi."),))
    other = msgspec.structs.replace(one, purpose="encode", sample="d")

    assert Question("p", "e", "", one).key == Question("p", "e", "", other).key


def test_a_key_is_the_same_on_every_machine() -> None:
    """A changed key is a cache paid for again: it must not happen unnoticed."""
    request = Request(
        model="m",
        messages=(Message("system", "Be kind."), Message("user", "Grüße \ud83d")),
        temperature=0.7,
        max_tokens=5,
        extra={"b": [1, 2.5], "a": None},
    )

    assert Question("openai", "http://host/v1", "d#1", request).key.hex() == (
        "8437e519f6a22ab0804e0c2818bc74fb"
    )


# -- values -------------------------------------------------------------------------------------

answers = st.builds(
    StoredReply,
    text=texts,
    finish_reason=st.sampled_from(["stop", "length", "content_filter", "refusal", "other"]),
    prompt_tokens=st.integers(0, 9),
    completion_tokens=st.integers(0, 9),
    cached_tokens=st.integers(0, 9),
    model=texts,
    time=st.floats(0, 1e10),
    sample=texts,
)


def test_options_that_can_change_a_reply_are_in_the_key_and_none_leave_it_as_it_was() -> None:
    request = Request(model="m", messages=(Message("user", "Explain rain."),))

    def builder(**options: Any) -> KeyBuilder:
        return KeyBuilder("scripted", "scripted", request, options)

    def key(**options: Any) -> bytes:
        return builder(**options).key(request.messages, "")

    assert key() == KeyBuilder("scripted", "scripted", request).key(request.messages, "")
    assert len({key(), key(most=3), key(most=4), key(most="3"), key(least=3)}) == 5
    assert key(most=3, least=1) == key(least=1, most=3)
    assert json.loads(bytes(builder(most=3).fields)) == [
        *json.loads(bytes(builder().fields)),
        {"most": 3},
    ]


@given(answers, questions)
def test_an_answer_is_read_back_as_it_was_half_emojis_included(
    answer: StoredReply, question: Question
) -> None:
    about = KeyBuilder(question.provider, question.endpoint, question.request).fields
    written = msgspec.structs.replace(answer, about=about)

    read = decode_reply(json_codec.dumps(written))

    assert msgspec.structs.replace(read, about=answer.about) == answer
    assert json.loads(bytes(read.about)) == json.loads(bytes(about))


@pytest.mark.parametrize(
    "value", [b"", b"\0\xff", b"[]", b'{"text": 1}', b"{}", b'{"text": "a"', b"\x80\x04N."]
)
def test_a_value_that_is_no_reply_is_called_so(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_reply(value)
