"""Read a pilot run: its scored rounds, and what its calls cost. Makes no call."""

from collections.abc import Iterable, Mapping
from math import inf
from pathlib import Path

from msgspec import Struct, structs

from ...calls.prices import prices_by_role
from ...calls.spending import Usage
from ...config import Config, RoleConfig, load_config
from ...data.judge import JudgeScores, RoundScores
from ...data.judges import PanelScores
from ...data.records import Call, Example, Iteration
from ...pipeline.recipes import RECIPES
from ...pipeline.stages.score import calls_per_scoring
from ...reporting.judge import judge_tallies
from ...store.folder import Folder, FolderError
from ...store.reader import LedgerReader
from ...store.totals import Totals, count_dataset
from .yields import ScoredInstruction, StageCosts, UnitCost


class Pilot(Struct, frozen=True):
    """The parts of a run that calibration needs.

    Attributes:
        folder: the run's, for display.
        config: its settings.
        instructions: those that were scored.
        judge: the distribution of the judge's scores; of several judges, of the means.
        costs: averages over its calls.
        unique: share of selected instructions that do not duplicate others or seeds.
    """

    folder: str
    config: Config
    instructions: tuple[ScoredInstruction, ...]
    judge: JudgeScores
    costs: StageCosts
    unique: float
    panel: PanelScores = PanelScores()
    """Of several judges: each one's own scores."""

    @property
    def selectable(self) -> tuple[ScoredInstruction, ...]:
        """The instructions with the gaps that θ may select: the target's leads may not count."""
        if self.config.filter.keep == "both":
            return self.instructions
        return tuple(
            structs.replace(one, gaps=tuple(max(0.0, gap) for gap in one.gaps))
            for one in self.instructions
        )

    @property
    def threshold(self) -> float:
        """The pilot's own θ."""
        return self.config.filter.threshold

    @property
    def exact_up_to(self) -> float:
        """The highest θ whose yield is known exactly.

        Above its own θ, a pilot lacks the rounds that selected instructions would have gone
        through. If only one round is scored, no round is missing.
        """
        finishing = RECIPES[self.config.recipe].finishing
        return inf if finishing.scored_rounds(self.config) == 1 else self.threshold


def read_pilot(path: Path) -> Pilot:
    """Read the run in *path*. Blocks: it reads every example.

    Raises:
        FolderError: *path* holds no run, its recipe scores nothing, or nothing was scored yet.
        StorageError: the ledger cannot be read.
    """
    folder = Folder(path)
    if not folder.config.exists():
        raise FolderError(f"{path}: not a run's folder (it has no config.toml)")
    config = load_config(folder.config, check=False)
    recipe = RECIPES[config.recipe]
    if not recipe.scores_gaps(config):
        raise FolderError(
            f"{path}: recipe {config.recipe} scores no answers against each other, so it has no"
            " quality gaps: use a run of a recipe that filters by θ"
        )
    with LedgerReader(folder.ledger) as ledger:
        pilot = make_pilot(str(path), config, ledger, ledger.examples())
    if pilot is None:
        raise FolderError(f"{path}: nothing was scored in this run yet: it has no quality gaps")
    return pilot


def make_pilot(
    folder: str,
    config: Config,
    ledger: LedgerReader,
    examples: Iterable[Example],
    *,
    share: float = 1.0,
) -> Pilot | None:
    """Make a pilot of *examples*; None if none of them was scored. Blocks.

    Args:
        folder: the run's, for display.
        config: its settings.
        ledger: the run's.
        examples: all of the run's, or a sample of them.
        share: how much of the run they are.
    """
    rounds = _PilotRounds(config, RECIPES[config.recipe].role_configs(config), examples)
    with count_dataset(ledger) as counts:
        totals, calls = (
            counts.instructions(),
            counts.predicted_calls(config.decode.chunk, 2 + calls_per_scoring(config)),
        )
    judge = rounds.judge.scores()
    if judge is None:
        return None
    return Pilot(
        folder,
        config,
        tuple(rounds.instructions),
        judge,
        rounds.costs(round(calls * share)),
        _unique_share(totals),
        rounds.panel.scores(),
    )


def _unique_share(totals: Totals) -> float:
    copies = sum(totals.filtered.get(reason, 0) for reason in ("duplicate", "copy_of_a_seed"))
    return totals.kept / (totals.kept + copies) if totals.kept else 1.0


class _PilotRounds:
    """The scored rounds of *examples*, and their cost; keeps no texts."""

    def __init__(
        self, config: Config, roles: Mapping[str, RoleConfig], examples: Iterable[Example]
    ) -> None:
        self.instructions: list[ScoredInstruction] = []
        self.judge, self.panel = judge_tallies(config)
        self._calls_per_round = 2 + calls_per_scoring(config)
        self._rounds = 0
        self._prices = prices_by_role(roles)
        self._rewrites = 0
        self._spent: dict[str, float] = {}
        self._shared_keys: set[str] = set()
        for example in examples:
            self._add(example)

    def _add(self, example: Example) -> None:
        for call in example.calls:
            self._add_price(call)
        rounds = [round_ for round_ in example.iterations if round_.judgements is not None]
        if not rounds:
            return
        gaps = tuple(round_.gap for round_ in rounds if round_.gap is not None)
        self.instructions.append(ScoredInstruction(rounds[0].number, gaps, example.position))
        self._rewrites += len(example.iterations) - 1
        self._rounds += len(rounds)
        self.judge.add([_scores(round_) for round_ in rounds])
        self.panel.add([_scores_by_judge(round_) for round_ in rounds])

    def _add_price(self, call: Call) -> None:
        """Add the price to its stage's; a call that several instructions share counts once."""
        if call.stage in {"decode", "rubrics"}:
            if call.key in self._shared_keys:
                return
            self._shared_keys.add(call.key)
        prices = self._prices.get(call.role)
        if prices is not None:
            used = Usage(1, call.prompt_tokens, completion_tokens=call.completion_tokens)
            self._spent[call.stage] = self._spent.get(call.stage, 0.0) + prices.cost(used)

    def costs(self, calls: int) -> StageCosts:
        """Average over *calls* in total. Encoding counts among the calls, but has no price."""
        rounds, instructions = self._rounds, len(self.instructions)
        before = calls - self._calls_per_round * rounds - self._rewrites
        return StageCosts(
            UnitCost(
                before / max(1, instructions), self._mean_price(instructions, "decode", "rubrics")
            ),
            UnitCost(float(self._calls_per_round), self._mean_price(rounds, "respond", "score")),
            UnitCost(1.0, self._mean_price(self._rewrites, "improve")),
        )

    def _mean_price(self, count: int, *stages: str) -> float | None:
        if not self._prices:
            return None
        return sum(self._spent.get(stage, 0.0) for stage in stages) / max(1, count)


def _scores(iteration: Iteration) -> RoundScores:
    assert iteration.judgements is not None
    one, two = iteration.judgements
    return RoundScores((one.strong, one.target), (two.strong, two.target))


def _scores_by_judge(iteration: Iteration) -> dict[str, RoundScores]:
    assert iteration.judgements is not None
    there, back = (judgement.by_judge for judgement in iteration.judgements)
    return {name: RoundScores(there[name], back[name]) for name in there}
