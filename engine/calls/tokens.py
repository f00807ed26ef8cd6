"""How many tokens a call will use, estimated beforehand: what to reserve of a token limit."""

from bisect import bisect_left, insort
from collections import deque
from math import ceil

MEMORY = 64  # answers per stage: enough for a nine-in-ten quantile, few enough to follow a change
UNKNOWN_OUTPUT = 1024


class OutputLengths:
    """How many tokens to reserve for an answer: what nine in ten of the stage's last ones needed.

    The tenth is charged afterwards. Before a stage has been heard 8 times: a quarter of what it
    may use, at least 1,024.
    """

    def __init__(self) -> None:
        self._recent: dict[str, tuple[deque[int], list[int]]] = {}

    def reserve(self, stage: str, max_tokens: int | None) -> int:
        """Tokens to reserve for one answer, at most *max_tokens*."""
        bound = UNKNOWN_OUTPUT * 64 if max_tokens is None else max_tokens
        heard = self._recent.get(stage)
        if heard is None or len(heard[1]) < 8:
            return min(bound, max(UNKNOWN_OUTPUT, (max_tokens or 0) // 4))

        ordered = heard[1]
        return min(bound, ordered[len(ordered) * 9 // 10])

    def learn(self, stage: str, used: int) -> None:
        """Remember that an answer of *stage* took *used* tokens."""
        order, ordered = self._recent.setdefault(stage, (deque(), []))
        if len(order) == MEMORY:
            del ordered[bisect_left(ordered, order.popleft())]
        order.append(used)
        insort(ordered, used)


class PromptLengths:
    """How many tokens a prompt has: a fourth of its characters, corrected by what servers count.

    One for each endpoint: vendors and languages differ by a factor of three.
    """

    def __init__(self) -> None:
        self._characters = 4000.0
        self._tokens = 1000.0

    def estimate(self, characters: int) -> int:
        """Tokens of a prompt of so many *characters*, rounded up."""
        return ceil(characters * self._tokens / self._characters)

    def learn(self, characters: int, tokens: int) -> None:
        """Remember that *characters* were counted as *tokens*; 0 tokens say nothing."""
        if characters <= 0 or tokens <= 0:
            return

        self._characters = self._characters * 0.98 + characters
        self._tokens = self._tokens * 0.98 + tokens
