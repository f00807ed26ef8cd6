"""Chat completions: the log-probabilities of the numbers in a reply.

Only numbers are kept: a score is one, and the probabilities of all tokens of a long answer would
take more room than the answer.
"""

from collections.abc import Iterator, Mapping
from math import exp, log
from typing import Any, Final, cast

from .base import NumberToken

MOST: Final = 64
"""Numbers of a reply whose log-probabilities are kept: the last ones, where scores stand."""

_LEAST: Final = 1e4
"""Servers write -9999 or less for what cannot be."""

_LARGEST_SUM: Final = 1.05
"""Of the probabilities of one position: what rounding may make of 1."""

_LONGEST: Final = 4
"""Characters of a number: scores have one or two digits."""


def read_number_tokens(logprobs: object) -> tuple[NumberToken, ...]:
    """Return the tokens that are numbers, of a choice's *logprobs* (OpenAI, vLLM, llama.cpp).

    What has another shape is passed over: the reply itself is good. A number keeps no alternatives
    where the probabilities sum to more than 1.
    """
    tokens = (_number_token(token) for token in _list(_member(logprobs, "content")))
    return tuple(token for token in tokens if token is not None)[-MOST:]


def _number_token(token: object) -> NumberToken | None:
    text = _number(_member(token, "token"))
    if not text:
        return None
    by_token: dict[str, float] = {}
    for one in (*_list(_member(token, "top_logprobs")), token):
        other, logprob = _member(one, "token"), _logprob(_member(one, "logprob"))
        if isinstance(other, str) and logprob is not None:
            by_token[other] = logprob
    if sum(map(exp, by_token.values())) > _LARGEST_SUM:
        return NumberToken(text, {})
    probabilities: dict[str, float] = {}
    for other, logprob in by_token.items():  # " 8" and "8" are two tokens and one number
        if number := _number(other):
            probabilities[number] = probabilities.get(number, 0.0) + exp(logprob)
    return NumberToken(text, {number: log(p) for number, p in probabilities.items() if p > 0})


def _number(text: object) -> str:
    """Return the digits that a token consists of; empty if it is no number."""
    if not isinstance(text, str) or len(text) > 2 * _LONGEST:
        return ""
    digits = text.strip("\u2581\u0120 \n\t")  # some servers show SentencePiece's or GPT-2's space
    return digits if digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST else ""


def _logprob(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_LEAST < value <= 0 else None


def _member(value: object, name: str) -> object:
    return cast("Mapping[str, Any]", value).get(name) if isinstance(value, dict) else None


def _list(value: object) -> Iterator[object]:
    return iter(cast("list[object]", value)) if isinstance(value, list) else iter(())
