"""When finished seeds hold enough rows: decided in seed order, however they come in.

Pure bookkeeping: nothing here waits or asks.
"""

from collections.abc import Callable, Iterable

Admits = Callable[[int, int], bool]
"""Whether the instruction of a position and number is new among those before it.

Asked only once all of those are known.
"""


def admit_all(_position: int, _number: int) -> bool:
    """Admit everything: only exact repetitions do not count."""
    return True


class Prefix:
    """Counts the rows of the longest prefix in which every position is finished.

    Positions finish in any order; what counts is the prefix, so that the first N rows are the same
    however the run went.

    Args:
        target_rows: rows that are enough; None: no number is.
        max_candidates: basic instructions that are enough; None: no number is.
        per_position: instructions asked for at one position.
        excluded: fingerprints that never count as rows.
        admits: whether a row is new among those before it.
        most_stalled: how many positions in a row may bring no new row before more are pointless;
            None: any number.
        first: the position from which on stalled positions count.
    """

    def __init__(
        self,
        target_rows: int | None,
        max_candidates: int | None,
        *,
        per_position: int = 1,
        excluded: Iterable[int] = (),
        admits: Admits = admit_all,
        most_stalled: int | None = None,
        first: int = 0,
    ) -> None:
        self._target = target_rows
        self._most = max_candidates
        self._per_position = per_position
        self._admits = admits
        self._most_stalled = most_stalled
        self._first = first
        self._stalled = 0
        self._all_candidates = 0
        self._all_kept = 0
        self._next = 0
        self._ahead: dict[int, tuple[int, tuple[tuple[int, int], ...], int | None]] = {}
        """What is finished behind a gap, by position."""
        self._kept: set[int] = set()
        self._seeds: set[int] = set(excluded)
        self.rows = 0
        self.candidates = 0

    @property
    def counts(self) -> bool:
        """Whether there is anything to count: a target, a limit, or rows to compare."""
        return self._target is not None or self._most is not None or self._admits is not admit_all

    @property
    def enough(self) -> bool:
        """Whether nothing more has to be begun."""
        return self._reaches(self.rows, self.candidates) or self.stalled

    @property
    def stalled(self) -> bool:
        """Whether so many positions in a row brought no new row that more are pointless."""
        return self._most_stalled is not None and self._stalled >= self._most_stalled

    @property
    def suffices(self) -> bool:
        """Whether it would be enough if the gaps that transient failures left were filled."""
        return self._reaches(self._all_kept, self._all_candidates) or (
            self._most_stalled is not None and len(self._ahead) >= self._most_stalled
        )

    def enough_in_progress(self, in_progress: int) -> bool:
        """Whether *in_progress* positions will probably suffice, so that no other is begun yet.

        Judged by the share of instructions kept so far, wherever they stand; by all of them until
        twenty are known. It spares calls whose rows would lie beyond the target, and never decides
        what the dataset is.
        """
        if not in_progress:
            return False
        coming = in_progress * self._per_position
        share = self._all_kept / self._all_candidates if self._all_candidates >= 20 else 1.0
        return self._reaches(self._all_kept + coming * share, self._all_candidates + coming)

    def _reaches(self, rows: float, candidates: int) -> bool:
        """Whether so many rows or so many basic instructions are enough."""
        return (self._target is not None and rows >= self._target) or (
            self._most is not None and candidates >= self._most
        )

    @property
    def last(self) -> int:
        """The last position that counts, once there is enough."""
        return self._next - 1

    def finished(
        self,
        position: int,
        candidates: int,
        kept: tuple[tuple[int, int], ...],
        seed_fingerprint: int | None = None,
    ) -> None:
        """Note that *position* is finished.

        What repeats an earlier instruction, or any seed so far, is no row.

        Args:
            position: the seed's or the request's.
            candidates: basic instructions written.
            kept: number and fingerprint of those that were kept, by number.
            seed_fingerprint: of the seed itself, where a seed stands there.
        """
        if not self.counts:
            return
        self._all_candidates += candidates
        self._all_kept += len(kept)
        self._ahead[position] = candidates, kept, seed_fingerprint
        while self._next in self._ahead and not self.enough:
            self._take(self._next, *self._ahead.pop(self._next))

    def _take(
        self, position: int, candidates: int, kept: tuple[tuple[int, int], ...], seed: int | None
    ) -> None:
        before = self.rows
        self._next = position + 1
        self.candidates += candidates
        for number, fingerprint in kept:
            if fingerprint in self._kept or (
                fingerprint not in self._seeds and not self._admits(position, number)
            ):
                continue
            self._kept.add(fingerprint)
            self.rows += fingerprint not in self._seeds
        if seed is not None and seed not in self._seeds:
            self._seeds.add(seed)
            self.rows -= seed in self._kept
        if position >= self._first:
            self._stalled = 0 if self.rows > before else self._stalled + 1
