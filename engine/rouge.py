"""ROUGE-L (Lin 2004): how much of two texts is the same words in the same order. Pure."""

from collections.abc import Sequence


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of words: 0 to 1, 0 where one is empty."""
    if not one or not other:
        return 0.0
    return 2 * _common(one, other) / (len(one) + len(other))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence: a row of its table at a time, as bits (Hyyrö)."""
    places: dict[str, int] = {}
    for n, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << n
    whole = row = (1 << len(one)) - 1
    for word in other:
        found = row & places.get(word, 0)
        row = (row + found | row - found) & whole
    return len(one) - row.bit_count()
