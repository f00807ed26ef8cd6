"""Several judges: how far each can be trusted, and how far they agree."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from .correlation import Correlation
from .judge import JudgeScores, JudgeTally, RoundScores


class Agreement(Struct, frozen=True):
    """How far two judges agree on the quality gaps of first rounds.

    Attributes:
        judges: their names.
        correlation: Pearson's, between their gaps, each the mean of both orders; None if one's are
            all the same.
        same_winner: share of the instructions for which the same answer leads, or neither.
    """

    judges: tuple[str, str]
    correlation: float | None
    same_winner: float

    def describe(self) -> str:
        """Write it as a line."""
        one, other = self.judges
        value = "cannot be compared" if self.correlation is None else f"{self.correlation:.2f}"
        return (
            f"{one} and {other}: correlation of their gaps {value}, same winner"
            f" {self.same_winner:.0%}"
        )


class PanelScores(Struct, frozen=True):
    """The scores of several judges.

    Attributes:
        judges: each one's own, by name.
        agreement: of every two of them.
    """

    judges: dict[str, JudgeScores] = {}
    agreement: tuple[Agreement, ...] = ()


class PanelTally:
    """Counts the scores of several judges, instruction by instruction.

    Attributes:
        names: the judges'.
    """

    def __init__(self, programs: Mapping[str, bool]) -> None:
        """Count for *programs*: the judges by name, and whether each is a program."""
        self.names = tuple(programs)
        self._tallies = {name: JudgeTally(is_program=is_one) for name, is_one in programs.items()}
        self._pairs = {pair: _PairTally() for pair in combinations(programs, 2)}

    def add(self, rounds: Sequence[Mapping[str, RoundScores]]) -> None:
        """Count the scored *rounds* of one instruction, at least one, by judge."""
        if not rounds[0]:
            return
        for name, tally in self._tallies.items():
            tally.add([of_judge[name] for of_judge in rounds if name in of_judge])
        for (one, other), pair in self._pairs.items():
            pair.add(rounds[0][one].gap, rounds[0][other].gap)

    def scores(self) -> PanelScores:
        """Return what was counted."""
        own = {name: tally.scores() for name, tally in self._tallies.items()}
        return PanelScores(
            {name: scores for name, scores in own.items() if scores is not None},
            tuple(pair.agreement(names) for names, pair in self._pairs.items() if pair.count),
        )


class _PairTally:
    def __init__(self) -> None:
        self._gaps = Correlation()
        self._same_winner = 0

    @property
    def count(self) -> int:
        return self._gaps.count

    def add(self, one: float, other: float) -> None:
        self._gaps.add(one, other)
        self._same_winner += (one > 0) - (one < 0) == (other > 0) - (other < 0)

    def agreement(self, names: tuple[str, str]) -> Agreement:
        return Agreement(names, self._gaps.value(), self._same_winner / self.count)
