"""Score: ask for a score of either of two answers, for Contrastive Filtering (paper §4.3)."""

import re
from typing import Any, Final

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, excerpt, is_list, parse_json, reply_body
from .schemas import object_of, scores

NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?(?![\w]|\.[0-9])")
_LABEL = re.compile(r"\bassistant[ _]*#?([12])\b", re.IGNORECASE)
_OUT_OF = re.compile(r"(?<=[0-9])[ \t]*(?:/|out of)[ \t]*10(?:\.0)?(?![0-9.])", re.IGNORECASE)
_USUAL = re.compile(
    r"\b(?:assistant|scores?|ratings?|rated?|overall|final|answers?|output|result|first|second|"
    r"for|of|is|are|and|the|to|gets?|points?|vs|versus|tuple|json|text|plaintext)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^()0-9]*[a-z][^()0-9]*\)", re.IGNORECASE)
_OTHER = re.compile(r"[^\s0-9.,;:/|*_#>\"'`()\[\]{}\u2013\u2014-]")
_LONGEST_LINE: Final = 300
_FIRST_KEYS = ("assistant_1", "assistant1", "score_1", "score1", "first", "a", "1")
_SECOND_KEYS = ("assistant_2", "assistant2", "score_2", "score2", "second", "b", "2")


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
    two lines that name the assistants, or by themselves on the first two lines.

    Raises:
        ParseError: there is no such line, or a score is out of range.
    """
    reply = reply_body(text)
    fields = parse_json(reply)
    if fields is not None and (pair := _from_json(fields)):
        return check_scores(*pair)

    by_label: dict[str, float] = {}
    for at, line in enumerate(filter(str.strip, reply.split("\n"))):
        numbers = _numbers(line)
        if len(numbers) == 2:
            return check_scores(*numbers)
        if len(numbers) == 1:
            label = _LABEL.search(line)
            if label or at < 2:
                by_label.setdefault(label[1] if label else str(at + 1), numbers[0])
            if "1" in by_label and "2" in by_label:
                return check_scores(by_label["1"], by_label["2"])
    raise ParseError(f"no line with two scores: {excerpt(reply)}")


def _numbers(line: str) -> list[float]:
    """Return the numbers of a line that gives scores; none if it is prose."""
    if len(line) > _LONGEST_LINE:
        return []
    plain = _OUT_OF.sub("", _LABEL.sub(" ", _REMARK.sub("", line)))
    if _OTHER.search(_USUAL.sub("", plain)):
        return []
    return [float(number) for number in NUMBER.findall(plain)]


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
