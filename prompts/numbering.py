"""Find where the items of a list begin, however they are counted.

An item may span lines and hold lists of its own, so only a counter that continues the outer list
begins a new one.
"""

import re
from typing import Final, NamedTuple

from .languages import phrase

_NOUN = phrase("item")
_INDENT = r"(?P<indent>[ \t]{0,8})(?:#{1,6}[ \t]*+)?(?:[-*+•][ \t]++)?(?P<bold>\*\*|__|\*)?"
_UNBOLD = r"(?P<unbold>\*\*|__|\*)?"
_DECIMAL = re.compile(
    rf"{_INDENT}(?P<label>{_NOUN}[ \t]{{0,3}}#?)?[(\[\uff08]?(?P<number>\d{{1,4}})"
    r"(?P<close>\ufe0f?\u20e3|\.-|[.):\]\u3001\uff0e\uff09\uff1a]{1,2}|[-\u2013](?=[ \t])"
    r"|(?=[ \t]*+(?:\*\*|__)?[ \t]*+\Z)|(?=(?:\*\*|__)[:.\uff1a)]))"
    rf"{_UNBOLD}(?=[ \t]|\Z|[*_:.)]|[^\x00-\x7f]|(?<=[\u3001\uff0e\uff09\uff1a])"
    r"|(?<=[.)])(?=[A-Z]))"
    r"(?:[ \t]*+[:.)\uff1a])?",
    re.IGNORECASE,
)
_LETTERED = re.compile(
    rf"{_INDENT}(?:{_NOUN}|第|[(\uff08])?"
    r"(?P<number>[a-z]|[ivx]{2,5}|[\u2460-\u2473]|[一二三四五六七八九十]{1,3})[条题项个]?"
    r"(?P<close>(?:[.)](?=[*_ \t])|[\u3001\uff0e\uff09\uff1a]|(?<=[\u2460-\u2473])))"
    rf"{_UNBOLD}[ \t]*+",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?P<indent>[ \t]{0,8})[-*+•\u2013\u2014][ \t]+")
_ROMAN: Final = {"i": 1, "v": 5, "x": 10}
_CHINESE: Final = "一二三四五六七八九"


class Marker(NamedTuple):
    """The beginning of an item.

    Attributes:
        line: The index of its line.
        number: What its counter says.
        indent: Columns before it.
        style: How it is counted; items of one list share it.
        text: The rest of its line.
    """

    line: int
    number: int
    indent: int
    style: tuple[bool, str]
    text: str


def counted(lines: list[str], outside: list[bool]) -> list[Marker]:
    """Return the lines that begin with a number in the style and at the depth of the first one.

    Args:
        lines: A text.
        outside: Which of the lines lie outside code fences.
    """
    markers: list[Marker] = []
    for at, line in enumerate(lines):
        if not outside[at] or not (match := _DECIMAL.match(line)):
            continue
        if not match["close"] and not (match["label"] or match["bold"]):
            continue
        style = (match["label"] is not None, match["close"][:1] if not match["label"] else "")
        marker = _marker(match, at, line, int(match["number"]), style)
        if not markers or _belongs(marker, markers[0]):
            markers.append(marker)
    return markers


def lettered(lines: list[str], outside: list[bool]) -> list[Marker]:
    """Return the lines counted by letters, Roman or Chinese numerals, or numbers in circles.

    Nothing if fewer than two of them count on from the first.
    """
    matches = [
        (at, match)
        for at, line in enumerate(lines)
        if outside[at] and (match := _LETTERED.match(line))
    ]
    for value_of in (_alphabetic, _roman, _chinese, _circled):
        markers: list[Marker] = []
        for at, match in matches:
            number = value_of(match["number"].lower())
            marker = _marker(match, at, lines[at], number, (False, match["close"]))
            if number and (not markers or _belongs(marker, markers[0])):
                markers.append(marker)
        if [marker.number for marker in markers[:2]] == [1, 2]:
            return markers
    return []


def _marker(
    match: re.Match[str], at: int, line: str, number: int, style: tuple[bool, str]
) -> Marker:
    rest = line[match.end() :]
    if match["bold"] and not match["unbold"]:
        # "**1. Title** text": the bold began before the counter.
        rest = match["bold"] + rest.lstrip() if rest.strip(" *_") else ""
    return Marker(at, number, len(match["indent"].expandtabs(4)), style, rest.strip())


def _belongs(marker: Marker, first: Marker) -> bool:
    return marker.style == first.style and marker.indent <= first.indent + 1


def _alphabetic(letter: str) -> int:
    return ord(letter) - ord("a") + 1 if len(letter) == 1 and letter.isascii() else 0


def _roman(letters: str) -> int:
    values = [_ROMAN.get(letter, 0) for letter in letters]
    if not all(values):
        return 0
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _chinese(numeral: str) -> int:
    tens, ten, ones = numeral.rpartition("十")
    value = 10 * (_CHINESE.find(tens) + 1 or 1) if ten else 0
    return value + (_CHINESE.find(ones) + 1 if ones else 0)


def _circled(sign: str) -> int:
    return ord(sign) - 0x245F if 0x2460 <= ord(sign[0]) <= 0x2473 else 0


def bulleted(lines: list[str], outside: list[bool]) -> list[Marker]:
    """Return bullets used in place of counters; nothing if there are fewer than two."""
    markers: list[Marker] = []
    for at, line in enumerate(lines):
        if outside[at] and (match := _BULLET.match(line)):
            indent = len(match["indent"].expandtabs(4))
            if not markers or indent <= markers[0].indent + 1:
                text = line[match.end() :].strip()
                markers.append(Marker(at, len(markers) + 1, indent, (False, "-"), text))
    return markers if len(markers) > 1 else []


def top_level(markers: list[Marker]) -> list[Marker]:
    """Keep the markers that count on from the first one; leave out lists inside an item.

    An inner list begins with 1. A number that could continue either list belongs to the inner one
    if the same number occurs again before the next 1.
    """
    if not markers:
        return []
    recurs = _recurs(markers)
    kept = [markers[0]]
    following, inner = markers[0].number + 1, 0
    for at, marker in enumerate(markers[1:], 1):
        if marker.number == following and not (inner == following and recurs[at]):
            kept.append(marker)
            following, inner = following + 1, 0
        elif marker.number == 1:
            inner = 2
        elif marker.number == inner:
            inner += 1
    return kept


def _recurs(markers: list[Marker]) -> list[bool]:
    recurs = [False] * len(markers)
    last: dict[int, int] = {}
    for at in range(len(markers) - 1, -1, -1):
        number = markers[at].number
        here = last.get(number)
        recurs[at] = here is not None and here < last.get(1, len(markers))
        last[number] = at
    return recurs


def uncounted(text: str) -> tuple[int, str]:
    """Return the counter at the beginning of *text*, 0 if there is none, and the rest."""
    match = _DECIMAL.match(text)
    if not match or not match["close"]:
        return 0, text
    return int(match["number"]), text[match.end() :].strip()
