"""Measures of a dataset: diversity, lengths, overlap with test sets.

Each function returns None if there is nothing to measure. docs/evaluation.md defines each measure
and says what it does not show.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import log2
from random import Random
from statistics import quantiles

from msgspec import Struct

from ..data.text.fingerprint import normalised
from ..data.text.ngrams import NgramIndex, ngrams
from ..data.text.rouge import rouge_l
from ..data.text.words import words

MAX_COMPARED = 200
"""Texts compared with each other. All pairs are compared: 2,000 texts would take minutes."""

OVERLAP_WORDS = 13
"""Consecutive words that count as overlap (Brown et al. 2020, appendix C)."""


def distinct_n(texts: Iterable[str], size: int) -> float | None:
    """Return the share of n-grams that are distinct, above 0 and at most 1 (Li et al. 2016).

    It falls as texts are added: compare datasets of one size only.
    """
    grams = [gram for text in texts for gram in ngrams(words(text), size)]
    return len(set(grams)) / len(grams) if grams else None


def self_similarity(
    texts: Sequence[str], random: Random, *, limit: int = MAX_COMPARED
) -> float | None:
    """Return the mean, over texts, of the highest ROUGE-L F1 with any other text, 0 to 1.

    Of more than *limit* texts a sample is compared. The mean rises with the number compared.
    """
    compared = random.sample(texts, limit) if len(texts) > limit else texts
    if len(compared) < 2:
        return None
    tokens = [words(text) for text in compared]
    nearest = [0.0] * len(tokens)
    for one, other in combinations(range(len(tokens)), 2):
        similarity = rouge_l(tokens[one], tokens[other])
        nearest[one] = max(nearest[one], similarity)
        nearest[other] = max(nearest[other], similarity)
    return sum(nearest) / len(nearest)


def entropy(names: Iterable[str]) -> float | None:
    """Return the Shannon entropy of *names* in bits, ignoring case and spaces.

    2 to this power is the number of equally frequent names with the same entropy.
    """
    counts = Counter(map(normalised, names))
    total = counts.total()
    if not total:
        return None
    return sum(n / total * log2(total / n) for n in counts.values())


class Spread(Struct, frozen=True):
    """The 10th, 50th and 90th percentile of many numbers."""

    p10: float
    median: float
    p90: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return percentiles, interpolated linearly; the least value is 0 %, the largest 100 %."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    tenths = quantiles(values, n=10, method="inclusive")
    return Spread(tenths[0], tenths[4], tenths[8])


def lengths(texts: Iterable[str]) -> Spread | None:
    """Return the spread of lengths in words, separated by white space."""
    return spread([len(text.split()) for text in texts])


class OverlapCounts(Struct, frozen=True):
    """Rows that share words with a test prompt, and test prompts that share words with a row."""

    rows: int
    prompts: int


def overlap(
    texts: Iterable[str], prompts: Iterable[str], *, size: int = OVERLAP_WORDS
) -> OverlapCounts:
    """Count the *texts* that share *size* consecutive words with one of *prompts*.

    A shorter text matches only a text of the same words.
    """
    index = NgramIndex(enumerate(prompts), size)
    rows, matched = 0, set[int]()
    for text in texts:
        matches = index.matches(text)
        rows += bool(matches)
        matched |= matches
    return OverlapCounts(rows, len(matched))
