"""Read the replies of the filter's scorer, the final judge, raters, and of the yes-or-no check."""

import re
from typing import Any, Final

from .reading import ParseError, is_list, json_reply, one_word, opened, quoted

_NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?(?![\w]|\.[0-9])")
_LABEL = re.compile(r"\bassistant[ _]*#?([12])\b", re.IGNORECASE)
_OUT_OF = re.compile(r"(?<=[0-9])[ \t]*(?:/|out of)[ \t]*10(?:\.0)?(?![0-9.])", re.IGNORECASE)
_SAID = re.compile(
    r"\b(?:assistant|scores?|ratings?|rated?|overall|final|answers?|output|result|first|second|"
    r"for|of|is|are|and|the|to|gets?|points?|vs|versus|tuple|json|text|plaintext)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^()0-9]*[a-z][^()0-9]*\)", re.IGNORECASE)
_OTHER = re.compile(r"[^\s0-9.,;:/|*_#>\"'`()\[\]{}\u2013\u2014-]")
_OUT_OF_FIVE = re.compile(r"(?<=[0-9])[ \t]*(?:/|out of)[ \t]*5(?:\.0)?(?![0-9.])", re.IGNORECASE)
_SCORE = re.compile(
    r"\b(?:score|rating)[*_]{0,2}[ \t]*[:=][*_ \t]*(-?[0-9]+(?:\.[0-9]+)?)", re.IGNORECASE
)
_LONGEST_LINE: Final = 300
_FIRST_KEYS = ("assistant_1", "assistant1", "score_1", "score1", "first", "a", "1")
_SECOND_KEYS = ("assistant_2", "assistant2", "score_2", "score2", "second", "b", "2")
_YES = re.compile(r"\W*(?:(?:final )?answer\W+)?(yes|no|true|false)\b", re.IGNORECASE)


def read_scores(text: str) -> tuple[float, float]:
    """Read the two scores, from 0 to 10, Assistant 1's first.

    They stand on the first line that holds two numbers and no other words than such lines have, or
    on two lines that name the assistants, or alone on the first two lines.

    Raises:
        ParseError: no such line, or a score out of range.
    """
    reply = opened(text)
    fields = json_reply(reply)
    if fields is not None and (pair := _from_json(fields)):
        return _checked(*pair)

    apart: dict[str, float] = {}
    for at, line in enumerate(filter(str.strip, reply.split("\n"))):
        numbers = _numbers(line)
        if len(numbers) == 2:
            return _checked(*numbers)
        if len(numbers) == 1:
            label = _LABEL.search(line)
            if label or at < 2:
                apart.setdefault(label[1] if label else str(at + 1), numbers[0])
            if "1" in apart and "2" in apart:
                return _checked(apart["1"], apart["2"])
    raise ParseError(f"no line with two scores: {quoted(reply)}")


def read_verdict(text: str) -> tuple[float, float]:
    """Read the final judge's two scores: its first line is two numbers, the rest explains them.

    Raises:
        ParseError: as `read_scores`, which reads what the strict form does not.
    """
    first = opened(text).split("\n", 1)[0].replace(",", " ").split()
    if len(first) == 2 and all(_NUMBER.fullmatch(word) for word in first):
        return _checked(float(first[0]), float(first[1]))
    return read_scores(text)


def read_yes(text: str) -> bool:
    """Read a yes or a no, which must be the first word.

    Raises:
        ParseError: it is neither.
    """
    reply = one_word(text)
    if isinstance(reply, bool):
        return reply
    word = _YES.match(reply)
    if not word:
        raise ParseError(f"neither yes nor no: {quoted(reply)}")
    return word[1].lower() in {"yes", "true"}


def read_rating(text: str) -> float:
    """Read AlpaGasus' rating, from 0 to 5: the first line, else the number after "score:".

    Raises:
        ParseError: there is none, or it is out of range.
    """
    reply = opened(text)
    given = (json_reply(reply) or {}).get("score")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _rated(float(given) if -1 < given < 6 else -1.0, reply)
    first = _OUT_OF_FIVE.sub("", reply.split("\n", 1)[0]).strip(" \t*_.")
    found = _NUMBER.fullmatch(first)
    if found is None and (labelled := _SCORE.search(reply)):
        found = _NUMBER.match(labelled[1])
    if found is None:
        raise ParseError(f"no rating: {quoted(reply)}")
    return _rated(float(found[0]) if len(found[0]) < 9 else -1.0, reply)


def _rated(score: float, reply: str) -> float:
    if not 0 <= score <= 5:
        raise ParseError(f"ratings run from 0 to 5: {quoted(reply)}")
    return score


def _numbers(line: str) -> list[float]:
    """The numbers of a line that gives scores; none where it is prose."""
    if len(line) > _LONGEST_LINE:
        return []
    plain = _OUT_OF.sub("", _LABEL.sub(" ", _REMARK.sub("", line)))
    if _OTHER.search(_SAID.sub("", plain)):
        return []
    return [float(number) for number in _NUMBER.findall(plain)]


def _from_json(fields: dict[str, Any]) -> tuple[float, float] | None:
    inner = fields.get("scores", fields.get(""))
    values: list[Any]
    if is_list(inner):
        values = inner[0] if len(inner) == 1 and is_list(inner[0]) else inner
    else:
        values = [
            next((fields[key] for key in keys if key in fields), None)
            for keys in (_FIRST_KEYS, _SECOND_KEYS)
        ]
    numbers = [number for value in values if (number := _number(value)) is not None]
    return (numbers[0], numbers[1]) if len(numbers) == len(values) == 2 else None


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Compared before it is converted: an integer of 400 digits has no float.
        return float(value) if -1 < value < 11 else -1.0
    return None


def _checked(first: float, second: float) -> tuple[float, float]:
    if not (0 <= first <= 10 and 0 <= second <= 10):
        raise ParseError(f"scores run from 0 to 10, not {first:g} and {second:g}")
    return first, second
