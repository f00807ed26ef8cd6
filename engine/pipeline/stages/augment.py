"""Augment: mix use cases and skills of encoded seeds into more metadata (docs/algorithm.md §3.2).

It needs all encoded seeds, so it is the one barrier of the pipeline. The same metadata and run seed
give the same set.
"""

from collections.abc import Sequence
from random import Random

from msgspec import structs

from ...config import MetadataConfig
from ...data.records import Metadata, identity
from ...data.text.fingerprint import normalised

TRIES = 1000
"""Draws in a row without a new combination before the set counts as exhausted."""

Combination = tuple[str, frozenset[str]]


MAX_SKILLS = 3
"""Most skills of a mixed item (paper A.3)."""


def merge(encoded: Sequence[Metadata]) -> list[Metadata]:
    """Number *encoded* from 0, with items of the same use case and skills merged into one.

    A merged item keeps the ids of all its seeds. How often a use case occurs still counts in
    `Mixer`, which is given the items before they are merged.
    """
    merged: dict[Combination, Metadata] = {}
    for item in encoded:
        key = _combination(item.use_case, item.skills)
        earlier = merged.get(key)
        merged[key] = (
            structs.replace(item, position=len(merged))
            if earlier is None
            else structs.replace(earlier, seed_ids=earlier.seed_ids + item.seed_ids)
        )
    return list(merged.values())


class Mixer:
    """Draws combinations that are not among *encoded* and were not drawn before.

    Language and material are those of the first seed of the use case.
    """

    def __init__(
        self, encoded: Sequence[Metadata], settings: MetadataConfig, run_seed: int
    ) -> None:
        self._random = Random(f"{run_seed}/augment")
        self._settings = settings
        use_cases = [item.use_case for item in encoded]
        if settings.draw_use_case == "distinct":
            use_cases = list(_distinct(use_cases))
        self._use_cases = use_cases
        self._sources = {normalised(item.use_case): item for item in reversed(encoded)}
        self._skills = list(_distinct([s for item in encoded for s in item.skills]))
        self._sizes = [min(len(i.skills), MAX_SKILLS) for i in encoded if i.skills] or [1]
        self._combinations = {_combination(item.use_case, item.skills) for item in encoded}

    def draw(self, position: int) -> Metadata | None:
        """Return a new combination, or None if `TRIES` draws gave nothing new."""
        if not self._use_cases or not self._skills:
            return None
        for _ in range(TRIES):
            use_case, skills = self._combine()
            key = _combination(use_case, skills)
            if key not in self._combinations:
                self._combinations.add(key)
                source = self._sources[normalised(use_case)]
                return Metadata(
                    position=position,
                    id=identity("metadata", "mixed", use_case, *skills),
                    use_case=use_case,
                    skills=skills,
                    origin="mixed",
                    language=source.language,
                    given_text=source.given_text,
                )
        return None

    def draw_some(self, count: int, *, start: int) -> list[Metadata]:
        """Draw up to *count* new combinations, numbered from *start*."""
        items = list[Metadata]()
        while len(items) < count and (item := self.draw(start + len(items))) is not None:
            items.append(item)
        return items

    def _combine(self) -> tuple[str, tuple[str, ...]]:
        random = self._random
        size = (
            random.choice(self._sizes)
            if self._settings.skill_count == "empirical"
            else random.randint(1, MAX_SKILLS)
        )
        use_case = random.choice(self._use_cases)
        return use_case, tuple(random.sample(self._skills, min(size, len(self._skills))))


def _distinct(texts: Sequence[str]) -> list[str]:
    """Drop repetitions, compared without case; the first spelling stays."""
    by_fold: dict[str, str] = {}
    for text in texts:
        by_fold.setdefault(normalised(text), text)
    return list(by_fold.values())


def _combination(use_case: str, skills: Sequence[str]) -> Combination:
    return normalised(use_case), frozenset(normalised(skill) for skill in skills)
