"""When finished seeds hold enough rows: decided in seed order, in whatever order they finish.

Pure bookkeeping: nothing here waits or calls a model.
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
    in every run.

    Args:
        target_rows: rows that are enough; None: unlimited.
        max_candidates: basic instructions that are enough; None: unlimited.
        per_position: instructions asked for at one position.
        excluded: fingerprints that never count as rows.
        admits: whether a row is new among those before it.
        most_stalled: how many positions in a row may yield no new row before more are pointless;
            None: any number.
        first: the position from which stalled positions count.
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
        """Finished positions behind a gap."""
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
        """Whether nothing more needs to be started."""
        return self._reaches(self.rows, self.candidates) or self.stalled

    @property
    def stalled(self) -> bool:
        """Whether too many positions in a row have yielded no new row."""
        return self._most_stalled is not None and self._stalled >= self._most_stalled

    @property
    def suffices(self) -> bool:
        """Whether there would be enough if the gaps left by transient failures were filled."""
        return self._reaches(self._all_kept, self._all_candidates) or (
            self._most_stalled is not None and len(self._ahead) >= self._most_stalled
        )

    def enough_in_progress(self, in_progress: int) -> bool:
        """Whether *in_progress* positions will probably suffice, so that no other is started yet.

        Estimated from the share of instructions kept so far, at any position; until twenty are
        known, all are assumed to be kept. It spares calls whose rows would lie beyond the target,
        and never decides what the dataset is.
        """
        if not in_progress:
            return False
        coming = in_progress * self._per_position
        share = self._all_kept / self._all_candidates if self._all_candidates >= 20 else 1.0
        return self._reaches(self._all_kept + coming * share, self._all_candidates + coming)

    def _reaches(self, rows: float, candidates: int) -> bool:
        """Whether a number of rows or of basic instructions is enough."""
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

        An instruction that repeats an earlier one, or any seed so far, is not a row.

        Args:
            position: the seed's or the request's.
            candidates: basic instructions written.
            kept: number and fingerprint of those that were kept, by number.
            seed_fingerprint: of the seed itself, if the position is a seed's.
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
