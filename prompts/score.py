"""Score: ask for a score of either of two answers, for Contrastive Filtering (paper §4.3)."""

import re
from itertools import islice
from typing import Any, Final

from .languages import phrase
from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, excerpt, is_list, parse_json, reply_body, tags_as_labels
from .schemas import object_of, scores

NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?(?![\w]|\.[0-9])")
_DECIMAL_COMMA = re.compile(r"(?:10|[0-9]),[0-9]{1,2}")
_REMARK_BELOW = re.compile(r"(?<=[0-9])[ \t*_]*[\u2013\u2014-][ \t]+[^0-9\n]*\Z")
"""A remark without numbers, after the scores on their line."""
_NOT_AFTER_LETTER = r"(?<![A-Za-zÀ-ÿ])"
_WHO = phrase("assistant")
_WHOSE = re.compile(
    rf"{_NOT_AFTER_LETTER}(?:{_WHO}(?:[ _]score)?[ _]{{0,2}}#?(?P<number>[12一二])"
    r"(?:['\u2019]s)?(?![0-9]|\.[0-9]|/[0-9])"
    r"|(?:score|rating)[ _]{0,2}#?(?P<score>[12])(?=[ ]{0,2}[:=])"
    r"|(?<![^\s*_(])(?-i:(?P<letter>[AB]))(?=[*_]{0,2}[ ]{0,2}[:=])"
    rf"|(?P<first>{phrase('first')})[ _]?{_WHO}|(?P<second>{phrase('second')})[ _]?{_WHO})",
    re.IGNORECASE,
)
_COUNTER = re.compile(
    r"(?:[^\w|]{0,4}(?P<number>[12])[.)\u3001\uff0e\uff09:][ \t*_]{1,4}"
    r"|\|[ \t]*(?P<cell>[12])[ \t]*\|)"
    r"(?=[^0-9\n]{0,4}[0-9])"
)
_OUT_OF = re.compile(
    rf"(?:(?<=[0-9])[ \t]{{0,3}}/|\b{phrase('out_of')})[ \t]{{0,3}}10(?:\.0)?(?![0-9]|\.[0-9])"
    r"|(?<=[0-9])[ \t]{0,3}[分点點]",
    re.IGNORECASE,
)
_USUAL = re.compile(
    rf"{_NOT_AFTER_LETTER}(?:{_WHO}s?|{phrase('score')}|{phrase('overall')})(?:['\u2019]s)?"
    r"(?![A-Za-zÀ-ÿ])",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\((?=[^()]*[^\W\d_])[^()\x01\x02]*\)|\uff08[^\uff08\uff09\x01\x02]*\uff09")
_LAST_REMARK = re.compile(r"(?<=[0-9]) {0,4}[(\uff08][^()\uff08\uff09]{1,300}[)\uff09]\W{0,3}\Z")
_REASON = re.compile(r"(?<=[0-9]),? (?:since|because|as|due to)\b", re.IGNORECASE)
_TEX = re.compile(r"\\(?:boxed|text|mathrm|quad|qquad|[,; ])|[${}]")
_OTHER = re.compile(r"[^\s0-9.,;:/|*_#>\"'`()\[\]\u2013\u2014\uff0c\uff1a\uff1b\u060c\x01\x02-]")
_FIRST, _SECOND = "\x01", "\x02"  # stand for the labels of the two answers
_IS = re.compile(rf"(?<=[{_FIRST}{_SECOND}])[ ]{{0,3}}=")
_TOKEN = re.compile(rf"[{_FIRST}{_SECOND}]|{NUMBER.pattern}")
_LONGEST_LINE: Final = 300
_MOST_LINES: Final = 5_000
_KEYS = (
    ("assistant_1", "assistant1", "assistant_1_score", "score_1", "score1", "first", "a", "1"),
    ("assistant_2", "assistant2", "assistant_2_score", "score_2", "score2", "second", "b", "2"),
)


class Score(Prompt[tuple[float, float]], frozen=True, kw_only=True):
    """Ask for two scores from 1 to 10, that of the *first* answer first."""

    name = "score"
    priority = Priority.SCORE

    instruction: str
    first: str
    second: str

    def read(self, reply: RawReply) -> tuple[float, float]:
        return read_scores(reply.text)

    def schema(self) -> JsonSchema:
        return object_of(assistant_1=scores(1, 10), assistant_2=scores(1, 10))

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        answer = filler(sizes.answer)
        prompt = cls(instruction=filler(sizes.instruction), first=answer, second=answer)
        return Typical(prompt, 4)


def read_scores(text: str) -> tuple[float, float]:
    """Read the two scores, from 0 to 10, Assistant 1's first.

    They are on the first line that holds two numbers and no words but those usual in such lines, on
    lines that name the assistants, in a section for each of them, or by themselves on the first two
    lines.

    Raises:
        ParseError: there are no such lines, or a score is out of range.
    """
    reply = reply_body(text)
    if pair := read_pair(reply):
        return check_scores(*pair)
    fields = parse_json(reply)
    if fields is not None and (pair := _from_json(fields)):
        return check_scores(*pair)
    lines = _Lines()
    for line in islice(filter(str.strip, plain_numbers(reply).split("\n")), _MOST_LINES):
        if pair := lines.read(line):
            return check_scores(*pair)
    raise ParseError(f"no line with two scores: {excerpt(reply)}")


def label_spans(text: str) -> list[tuple[int, int]]:
    """Return where *text* says whose a score is: "Assistant 1" is no score of 1."""
    return [match.span() for match in _WHOSE.finditer(text)]


def read_pair(text: str) -> tuple[float, float] | None:
    """Return the two numbers that *text* is, as prompts ask for them; None if it is not so."""
    numbers = text.split(None, 2) if len(text) < _LONGEST_LINE else []
    if len(numbers) == 2 and any(map(_DECIMAL_COMMA.fullmatch, numbers)):
        numbers = [number.replace(",", ".") for number in numbers]
    else:
        numbers = text.replace(",", " ").split(None, 2) if len(text) < _LONGEST_LINE else []
    if len(numbers) == 2 and all(map(NUMBER.fullmatch, numbers)):
        return float(numbers[0]), float(numbers[1])
    return None


class _Lines:
    """Reads line by line, and remembers whose section it is in and which scores it has met."""

    def __init__(self) -> None:
        self._scores: dict[int, float] = {}
        self._section = 0
        self._order = (1, 2)
        self._count = 0

    def read(self, line: str) -> tuple[float, float] | None:
        """Return both scores once *line* completes them."""
        self._count += 1
        whose, numbers = _tokens(line)
        if len(whose) == len(numbers) == 2 and whose[0] != whose[1]:
            return _in_order(numbers, (whose[0], whose[1]))
        if not whose and len(numbers) == 2:
            return _in_order(numbers, self._order)
        if len(whose) == 2 and not numbers:
            self._order = (whose[0], whose[1])
        elif len(whose) == 1 and not numbers:
            self._section = whose[0]
        elif len(numbers) == 1 and len(whose) < 2:
            return self._add(whose[0] if whose else self._section, numbers[0])
        return None

    def _add(self, whose: int, score: float) -> tuple[float, float] | None:
        if not whose and self._count <= 2:
            whose = self._count
        self._scores.setdefault(whose, score)
        return (self._scores[1], self._scores[2]) if {1, 2} <= self._scores.keys() else None


def _in_order(scores: list[float], whose: tuple[int, int]) -> tuple[float, float]:
    return (scores[0], scores[1]) if whose[0] < whose[1] else (scores[1], scores[0])


def plain_numbers(reply: str) -> str:
    """Write digits of any script as ASCII, a tag as the label it is, and leave out TeX."""
    plain = reply
    if not reply.isascii():
        plain = "".join(str(int(sign)) if sign.isdecimal() else sign for sign in reply)
    return _TEX.sub(" ", tags_as_labels(plain))


def _tokens(line: str) -> tuple[list[int], list[float]]:
    """Return whose scores a line gives, and the scores; nothing if it is prose."""
    if len(line) > _LONGEST_LINE:
        return [], []
    line = _REASON.split(line, maxsplit=1)[0]
    line = _IS.sub("", _OUT_OF.sub("", _WHOSE.sub(_sign, _counter_as_sign(line))))
    shorter = _REMARK_BELOW.sub("", line)
    for plain in (_REMARK.sub("", line), _LAST_REMARK.sub("", line), shorter, line):
        parts = _TOKEN.findall(plain)
        if parts and not _OTHER.search(_USUAL.sub("", plain)):
            whose = [ord(part) for part in parts if part in _FIRST + _SECOND]
            return whose, [float(part) for part in parts if part not in _FIRST + _SECOND]
    return [], []


def _sign(label: re.Match[str]) -> str:
    is_first = label["first"] or {"1", "一", "A"} & set(label.group("number", "score", "letter"))
    return f" {_FIRST} " if is_first else f" {_SECOND} "


def _counter_as_sign(line: str) -> str:
    counter = _COUNTER.match(line)
    if not counter:
        return line
    return f"{chr(int(counter['number'] or counter['cell']))} {line[counter.end() :]}"


def _from_json(fields: dict[str, Any]) -> tuple[float, float] | None:
    inner = fields.get("scores", fields.get(""))
    values: list[Any]
    if is_list(inner):
        values = inner[0] if len(inner) == 1 and is_list(inner[0]) else inner
    else:
        values = [next((fields[key] for key in keys if key in fields), None) for keys in _KEYS]
    numbers = [number for value in values if (number := _number(value)) is not None]
    return (numbers[0], numbers[1]) if len(numbers) == len(values) == 2 else None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Compare before converting: an integer of 400 digits does not fit a float.
        return float(value) if -1 < value < 11 else -1.0
    return None


def check_scores(first: float, second: float) -> tuple[float, float]:
    """Return both scores.

    Raises:
        ParseError: one is out of range.
    """
    if not (0 <= first <= 10 and 0 <= second <= 10):
        raise ParseError(f"scores must be between 0 and 10, got {first:g} and {second:g}")
    return first, second
