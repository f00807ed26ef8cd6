"""ROUGE-L: how much two texts have in common, by their longest common run of words in order. Pure.

The measure by which Self-Instruct keeps near-duplicates out (F above 0.7; spec §8.1).
"""

import re
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import LCSseq

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Cut *text* into what is compared: words in any script, without case or punctuation."""
    return _WORD.findall(text.casefold())


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """Return the F measure of the longest common subsequence of two word lists, from 0 to 1.

    Two empty lists have nothing in common: 0.
    """
    total = len(a) + len(b)
    return 2 * LCSseq.similarity(a, b) / total if total else 0.0


def resembles(a: Sequence[str], others: Iterable[Sequence[str]], *, above: float) -> bool:
    """Tell whether any of *others* has a `rouge_l` with *a* that is strictly above *above*."""
    return any(
        # No common subsequence is longer than the shorter list: most pairs end here.
        2 * min(len(a), len(b)) > above * (len(a) + len(b)) and rouge_l(a, b) > above
        for b in others
    )
