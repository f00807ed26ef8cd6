"""What a dataset is like: diversity, lengths, overlap with test sets. Pure.

Each function returns None where there is nothing to measure. How each is defined, and what it does
not say, is in docs/evaluation.md. Knows no run and no file.
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

SAMPLE = 200
"""Texts that are compared with each other: every pair of them, so that 2,000 would take minutes."""
NGRAM = 13
"""Words in a row that are no chance, as GPT-3's authors took them for their overlap with tests."""


def distinct(texts: Iterable[str], size: int) -> float | None:
    """Different n-grams of words by all of them, from above 0 to 1 (Li et al. 2016, distinct-n).

    It falls as texts are added: only datasets of one size can be compared.
    """
    found = [gram for text in texts for gram in ngrams(words(text), size)]
    return len(set(found)) / len(found) if found else None


def self_similarity(texts: Sequence[str], random: Random, *, most: int = SAMPLE) -> float | None:
    """How alike a text and the one most like it are: the mean of the highest ROUGE-L F, 0 to 1.

    Of more than *most* texts a sample is taken. It rises with the number of texts compared.
    """
    chosen = random.sample(texts, most) if len(texts) > most else texts
    if len(chosen) < 2:
        return None
    tokens = [words(text) for text in chosen]
    nearest = [0.0] * len(tokens)
    for one, other in combinations(range(len(tokens)), 2):
        alike = rouge_l(tokens[one], tokens[other])
        nearest[one] = max(nearest[one], alike)
        nearest[other] = max(nearest[other], alike)
    return sum(nearest) / len(nearest)


def entropy(names: Iterable[str]) -> float | None:
    """Shannon entropy of how often each name occurs, in bits; case and spaces do not count.

    2 to its power is the number of equally frequent names that would be as varied.
    """
    counts = Counter(map(normalised, names))
    total = counts.total()
    if not total:
        return None
    return sum(n / total * log2(total / n) for n in counts.values())


class Spread(Struct, frozen=True):
    """The middle of many numbers, and what a tenth of them lies below and above."""

    p10: float
    median: float
    p90: float


def spread(values: Sequence[float]) -> Spread | None:
    """Interpolate linearly between neighbours, the least value at 0 % and the largest at 100 %."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    tenths = quantiles(values, n=10, method="inclusive")
    return Spread(tenths[0], tenths[4], tenths[8])


def lengths(texts: Iterable[str]) -> Spread | None:
    """Lengths in words, as white space parts them."""
    return spread([len(text.split()) for text in texts])


class Overlap(Struct, frozen=True):
    """How many rows hold part of a test prompt, and of how many prompts part is in some row."""

    rows: int
    prompts: int


def overlap(texts: Iterable[str], prompts: Iterable[str], *, size: int = NGRAM) -> Overlap:
    """Count the *texts* that share *size* words in a row with one of *prompts*.

    A shorter text is compared as a whole: it overlaps with what holds the same words and no others.
    """
    index = NgramIndex(enumerate(prompts), size)
    rows, matched = 0, set[int]()
    for text in texts:
        matches = index.matches(text)
        rows += bool(matches)
        matched |= matches
    return Overlap(rows, len(matched))
