"""Score by log-probabilities: the mean over the scores that a judge might have given.

A judge that would say 8 with a probability of 0.6 and 7 with 0.4 means 7.6. The mean of its
distribution agrees better with people than the one score it writes (Wang et al., Findings of EMNLP
2025, arXiv 2503.03064).
"""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Final, NamedTuple, Protocol, runtime_checkable

from .prompt import RawReply
from .reading import ParseError, excerpt
from .score import Score, label_spans, read_scores

_SCALE: Final = range(11)
_MOST_NUMBERS: Final = 24
"""Numbers of a reply that may be scores."""


class NoLogprobsError(ParseError):
    """The reply has no log-probabilities of its scores: the server gives none."""


class ScoreToken(Protocol):
    """A token that is a number."""

    @property
    def text(self) -> str: ...

    @property
    def alternatives(self) -> Mapping[str, float]:
        """The numbers that might have stood in its place, itself included: log-probabilities."""
        ...


@runtime_checkable
class _WithLogprobs(Protocol):
    @property
    def number_tokens(self) -> Sequence[ScoreToken]: ...


class ScoreByLogprobs(Score, frozen=True, kw_only=True):
    """Ask as `Score` does, and take the mean of each score's distribution."""

    def read(self, reply: RawReply) -> tuple[float, float]:
        """Return the mean scores.

        Raises:
            NoLogprobsError: the server gave no probabilities of either score, or impossible ones.
            ParseError: the reply holds no two scores.
        """
        written = read_scores(reply.text)
        tokens = reply.number_tokens if isinstance(reply, _WithLogprobs) else ()
        means = mean_scores(reply.text, written, tokens)
        if means is None:
            raise NoLogprobsError(f"no log-probabilities of the scores: {excerpt(reply.text)}")
        return means


def mean_scores(
    text: str, written: tuple[float, float], tokens: Sequence[ScoreToken]
) -> tuple[float, float] | None:
    """Return the means of both scores' distributions; None if neither has one.

    A distribution that lacks what was written is none: the written score stands.

    Args:
        text: what the judge wrote.
        written: the scores that it wrote there.
        tokens: the numbers among the reply's tokens, in order; the text may lack the first ones.
    """
    numbers = _numbers(text, tokens)
    is_whole = any("10" in token.alternatives for number in numbers for token in number.tokens)
    means: list[float | None] = [None, None]
    labels = label_spans(text)
    for number in numbers[-_MOST_NUMBERS:]:
        if any(start <= number.start < end for start, end in labels):
            continue
        place = _place(text, number, written)
        if place is not None:
            means[place] = _mean(number, is_whole=is_whole)
    first, second = means
    if first is None and second is None:
        return None
    return written[0] if first is None else first, written[1] if second is None else second


class _Number(NamedTuple):
    """A number in a text, and the tokens that it consists of."""

    start: int
    end: int
    tokens: tuple[ScoreToken, ...]


def _numbers(text: str, tokens: Sequence[ScoreToken]) -> list[_Number]:
    """Find *tokens* in *text*, from its end, and join those that touch: "1" and "0" are 10."""
    numbers: list[_Number] = []
    end = len(text)
    for token in reversed(tokens):
        start = text.rfind(token.text, 0, end)
        if start < 0:
            break
        end = start + len(token.text)
        if numbers and numbers[-1].start == end:
            last = numbers.pop()
            numbers.append(_Number(start, last.end, (token, *last.tokens)))
        else:
            numbers.append(_Number(start, end, (token,)))
        end = start
    return numbers[::-1]


def _place(text: str, number: _Number, written: tuple[float, float]) -> int | None:
    """Return which score *number* is, 0 or 1: the one that another number in its place changes."""
    if float(text[number.start : number.end]) not in written:
        return None
    other = next(value for value in (3, 4, 5) if value not in written)
    try:
        changed = read_scores(f"{text[: number.start]}{other}{text[number.end :]}")
    except ParseError:
        return None
    if changed == (other, written[1]):
        return 0
    return 1 if changed == (written[0], other) else None


def _mean(number: _Number, *, is_whole: bool) -> float | None:
    """Return the mean of the scores that might stand in the place of *number*; None: unknown.

    Args:
        number: one of the reply's.
        is_whole: whether 10 is a token of this model. Where it is two, a "1" that was not written
            may have been the beginning of either 1 or 10, and is left out.
    """
    if any(token.text not in token.alternatives for token in number.tokens):
        return None
    first, *rest = number.tokens
    weights = {
        int(text): exp(logprob)
        for text, logprob in first.alternatives.items()
        if int(text) in _SCALE
    }
    if rest:
        if len(rest) > 1 or (first.text, rest[0].text) != ("1", "0"):
            return None
        ends_in_zero = min(exp(rest[0].alternatives["0"]), 1.0)
        weights[10] = weights.get(1, 0.0) * ends_in_zero
        weights[1] = weights.get(1, 0.0) - weights[10]
    elif not is_whole and first.text != "1":
        weights.pop(1, None)
    total = sum(weights.values())
    return sum(score * weight for score, weight in weights.items()) / total if total else None
