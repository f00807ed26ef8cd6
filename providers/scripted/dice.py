"""Pseudo-random numbers from one hash."""

from math import gcd


class Dice:
    """A congruential generator: good enough for prose, far cheaper than `random.Random`."""

    __slots__ = ("_state",)

    def __init__(self, state: int) -> None:
        self._state = state | 1

    def roll(self, sides: int) -> int:
        """Return a number from 0 up to, but without, *sides*."""
        self._state = state = self._state * 0x2360ED051FC65DA44385DF649FCCF645 + 99 & _MASK
        return (state >> 88) % sides

    def pick(self, words: tuple[str, ...]) -> str:
        return words[self.roll(len(words))]

    def sample(self, words: tuple[str, ...], number: int) -> list[str]:
        """Return *number* different words, or all of them where there are fewer."""
        size = len(words)
        start, step = self.roll(size), 1 + self.roll(7)
        if gcd(step, size) > 1:
            step = 1
        return [words[(start + step * index) % size] for index in range(min(number, size))]


_MASK = 2**128 - 1
