"""Rate: ask how accurate an answer is, for AlpaGasus (docs/algorithm.md §8.2)."""

import re

from .prompt import JsonSchema, Priority, Prompt, RawReply, Sizes, Typical, filler
from .reading import ParseError, excerpt, parse_json, reply_body
from .schemas import object_of, scores
from .score import NUMBER, plain_numbers

_OUT_OF_FIVE = re.compile(r"(?<=[0-9])[ \t]*(?:/|out of)[ \t]*5(?:\.0)?(?![0-9.])", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:\b(?:score|rating|bewertung|note|puntuación)|评分|得分|الدرجة)(?: is)?[*_]{0,2}[ \t]*"
    r"(?:[:=\uff1a]|(?<=is))[*_ \t]*(-?[0-9]+(?:\.[0-9]+)?)",
    re.IGNORECASE,
)


class Rate(Prompt[float], frozen=True, kw_only=True):
    """Ask for the accuracy of *answer*, from 0 to 5."""

    name = "rate"
    priority = Priority.SCORE

    instruction: str
    answer: str

    def read(self, reply: RawReply) -> float:
        return read_rating(reply.text)

    def schema(self) -> JsonSchema:
        return object_of(score=scores(0, 5))

    @classmethod
    def typical(cls, sizes: Sizes) -> Typical:
        prompt = cls(instruction=filler(sizes.instruction), answer=filler(sizes.answer))
        return Typical(prompt, 60)


def read_rating(text: str) -> float:
    """Read a rating, from 0 to 5: the first line, else the number after "score:".

    Raises:
        ParseError: there is no rating, or it is out of range.
    """
    reply = reply_body(text)
    field = (parse_json(reply) or {}).get("score")
    if isinstance(field, int | float) and not isinstance(field, bool):
        return _check_rating(float(field) if -1 < field < 6 else -1.0, reply)
    plain = _OUT_OF_FIVE.sub("", plain_numbers(reply)).strip()
    number = NUMBER.fullmatch(plain.split("\n", 1)[0].strip(" \t*_."))
    if number is None and (label := _LABEL.search(plain)):
        number = NUMBER.match(label[1])
    if number is None:
        raise ParseError(f"no rating: {excerpt(reply)}")
    return _check_rating(float(number[0]) if len(number[0]) < 9 else -1.0, reply)


def _check_rating(score: float, reply: str) -> float:
    if not 0 <= score <= 5:
        raise ParseError(f"ratings must be between 0 and 5: {excerpt(reply)}")
    return score
