"""Estimate how many tokens a call will use: what to reserve of a token limit."""

from bisect import bisect_left, insort
from collections import deque
from math import ceil

MEMORY = 64
"""Answers per stage: enough for the 90th percentile, few enough to follow a change."""

MIN_ANSWERS = 8
"""Answers of a stage before its lengths count."""

UNKNOWN_OUTPUT = 1024
"""Tokens reserved at least while a stage's lengths are unknown."""

UNBOUNDED_OUTPUT = 65536
"""Tokens that an answer may have where no limit is sent."""


class OutputLengths:
    """How many tokens to reserve for an answer: enough for 90 % of the stage's latest answers.

    The rest is charged afterwards. Before a stage has ``MIN_ANSWERS`` answers, a quarter of what it
    may use is reserved, but at least ``UNKNOWN_OUTPUT``.
    """

    def __init__(self) -> None:
        self._recent: dict[str, tuple[deque[int], list[int]]] = {}

    def reserve(self, stage: str, max_tokens: int | None) -> int:
        """Return the tokens to reserve for one answer, at most *max_tokens*."""
        bound = UNBOUNDED_OUTPUT if max_tokens is None else max_tokens
        _, ordered = self._recent.get(stage, ((), ()))
        if len(ordered) < MIN_ANSWERS:
            return min(bound, max(UNKNOWN_OUTPUT, (max_tokens or 0) // 4))

        return min(bound, ordered[len(ordered) * 9 // 10])

    def bound(self, stage: str, max_tokens: int | None) -> int:
        """Return the tokens that an answer will hardly exceed: all it may use until it is known."""
        _, ordered = self._recent.get(stage, ((), ()))
        if len(ordered) < MIN_ANSWERS:
            return max_tokens or UNBOUNDED_OUTPUT

        return self.reserve(stage, max_tokens)

    def learn(self, stage: str, used: int) -> None:
        """Learn that an answer of *stage* took *used* tokens."""
        order, ordered = self._recent.setdefault(stage, (deque(), []))
        if len(order) == MEMORY:
            del ordered[bisect_left(ordered, order.popleft())]
        order.append(used)
        insort(ordered, used)


class PromptLengths:
    """How many tokens a prompt has: a quarter of its characters, corrected by what servers count.

    One per endpoint, since vendors and languages differ by a factor of three.
    """

    def __init__(self) -> None:
        self._characters = 4000.0
        self._tokens = 1000.0

    def estimate(self, characters: int) -> int:
        """Return the tokens of a prompt of *characters*, rounded up."""
        return ceil(characters * self._tokens / self._characters)

    def learn(self, characters: int, tokens: int) -> None:
        """Learn that *characters* were counted as *tokens*; 0: the server did not say."""
        if characters <= 0 or tokens <= 0:
            return

        self._characters = self._characters * 0.98 + characters
        self._tokens = self._tokens * 0.98 + tokens
