"""Damage bytes and values."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

PIECES = (
    *(
        b"\0",
        b"\x1b[2J",
        b"\x1b]0;title\x07",
        b"\r",
        b"\x7f",
        b"\xc2\x9b",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *("\u202e".encode(), "\u2028".encode(), b"\xed\xa0\x80", b"\\ud800", "\U0001f600".encode()[:2]),
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"9" * 400, b"0x10", b"1_0"),
    *(b"[" * 3000, b"{" * 300, b'{"a":' * 2000, b"a." * 3000, b"]", b"}", b'"', b"'", b'"""'),
    *(b",", b":", b"=", b"\n", b"\n\n", b"\t", b"---", b"&a", b"*a", b"!!python/name:os.system "),
    *(
        b"{{instruction}}",
        b"{0.__class__}",
        b"$HOME",
        b"${OPENAI_API_KEY}",
        b"~root/",
        b"../../etc",
    ),
    *(b"%s%n", b"<script>", b"'; DROP TABLE seeds; --", b"=cmd|x", b"/dev/zero", b"a" * 70_000),
)
"""What parsers, terminals and shells give a meaning to."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308),
    *(
        "",
        " ",
        "a",
        "\0",
        "\x1b[2J",
        "\u202e",
        "\ud800",
        "NaN",
        "x" * 100_000,
        "a\nb",
        "../..",
        "~",
    ),
    *([], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, ["a"] * 1000, "$AWS_SECRET_ACCESS_KEY"),
)


def mutate_bytes(dice: Random, data: bytes) -> bytes:
    """Return *data* with one to six changes."""
    for _ in range(dice.randint(1, 6)):
        data = dice.choice(_CHANGES)(dice, data)
    return data


def _flip(dice: Random, data: bytes) -> bytes:
    at = _position(dice, data)
    return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]


def _insert(dice: Random, data: bytes) -> bytes:
    at = _position(dice, data)
    return data[:at] + dice.choice(PIECES) + data[at:]


def _delete(dice: Random, data: bytes) -> bytes:
    at = _position(dice, data)
    return data[:at] + data[at + dice.choice((1, 2, 10, 100)) :]


def _repeat(dice: Random, data: bytes) -> bytes:
    at = _position(dice, data)
    piece = data[at : at + dice.choice((1, 5, 50))]
    return data[:at] + piece * dice.choice((2, 10, 1000)) + data[at:]


def _truncate(dice: Random, data: bytes) -> bytes:
    return data[: _position(dice, data)]


def _swap(dice: Random, data: bytes) -> bytes:
    first, second = sorted((_position(dice, data), _position(dice, data)))
    return data[second:] + data[first:second] + data[:first]


_CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_flip, _flip, _insert, _insert, _insert, _delete, _repeat, _truncate, _swap),
)


def _position(dice: Random, data: bytes) -> int:
    return dice.randrange(len(data) + 1)


def mutate_value(dice: Random, value: Any) -> Any:
    """Return *value*, a tree of JSON, with one part replaced, left out or moved."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        return _mutate_object(dice, cast("dict[str, Any]", value))
    if isinstance(value, list) and value and dice.random() < 0.8:
        return _mutate_list(dice, value)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, str) and dice.random() < 0.5:
        return mutate_bytes(dice, value.encode("utf-8", "replace")).decode("utf-8", "replace")
    return dice.choice(ODD_VALUES)


def _mutate_list(dice: Random, value: list[Any]) -> list[Any]:
    at = dice.randrange(len(value))
    return [*value[:at], mutate_value(dice, value[at]), *value[at + 1 :]]


def _mutate_object(dice: Random, value: dict[str, Any]) -> dict[str, Any]:
    members = dict(value)
    name = dice.choice(list(members))
    match dice.randrange(8):
        case 0:
            del members[name]
        case 1:
            members[mutate_bytes(dice, name.encode()).decode("utf-8", "replace")] = members[name]
        case 2:
            members[dice.choice(list(members))] = members[name]
        case _:
            members[name] = mutate_value(dice, members[name])
    return members
