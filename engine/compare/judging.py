"""Judge the answers of models tuned on each dataset: the paper's Tables 1 and 5.

`evaluate` does the judging. This module says which evaluations a comparison has, and lays their
results out by judge, test set and recipe.
"""

from collections.abc import Container, Iterable, Sequence
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from ..calls.gate import Origin
from ..config import Config, ConfigError, JudgeConfig
from ..data.files import user_path
from ..data.records import identity
from ..evaluate.difference import Difference, OtherCandidate, paired_difference
from ..evaluate.pairwise import PairwiseComparison
from ..evaluate.prepare import EvaluationPlan, prepare_evaluation
from ..evaluate.results import read_comparisons
from ..evaluate.scoring import Scoring
from ..evaluate.settings import AnswererConfig, EvaluationConfig
from ..evaluate.verdicts import VerdictCounts, count_verdicts, pairwise_verdict
from ..pipeline.recipes import RECIPES
from .claims import ScoreTable
from .settings import UNTUNED, ComparisonSettings


class Evaluation(Struct, frozen=True):
    """The evaluation of one recipe's answers to one test set by one judge.

    Attributes:
        judge: by the name it has in the comparison.
        test: the test set's label.
        recipe: or a recipe at a value of a sweep, such as ``codeclm@rows=500``.
        plan: None for an existing evaluation.
        folder: the evaluation's.
    """

    judge: str
    test: str
    recipe: str
    plan: EvaluationPlan | None
    folder: Path


class Cell(Struct, frozen=True, kw_only=True):
    """The result of one `Evaluation`.

    Attributes:
        judge: as in the evaluation.
        test: as in the evaluation.
        recipe: as in the evaluation.
        counts: the verdicts on all prompts.
        crr: in per cent; None if more than 2 % of the verdicts are invalid, or there is none.
        unseen: the verdicts on the prompts that were not seeds; None if none was a seed.
        difference: to the baseline's answers, with a paired interval.
        unpaired: why there is no difference: the baseline was judged against other answers.
        folder: the evaluation's.
    """

    judge: str
    test: str
    recipe: str
    counts: VerdictCounts
    crr: float | None
    unseen: VerdictCounts | None = None
    difference: Difference | None = None
    unpaired: str = ""
    folder: str


# -- before the first call --------------------------------------------------------------------


def prepare_evaluations(
    settings: ComparisonSettings,
    shared: Config,
    variants: Iterable[str],
    *,
    folder: str,
    where: str,
    origin: Origin,
) -> list[Evaluation]:
    """Check every evaluation of a comparison. Blocks: it reads test sets and answers.

    Args:
        settings: of the comparison.
        shared: what all runs share: the strong model, the judge, how calls are made.
        variants: the names of the runs.
        folder: the comparison's.
        where: the configuration's name in messages.
        origin: where it comes from.

    Raises:
        ConfigError, SeedError: naming the file, the key and the remedy.
    """
    names, compare = {*variants, UNTUNED}, settings.compare
    for recipe in chain(compare.answers, *compare.evaluations.values()):
        if recipe not in names:
            raise ConfigError(
                f"{where}: compare: answers of {recipe!r}: no such run; available:"
                f" {', '.join(sorted(names))}"
            )
    existing = _existing_evaluations(settings)
    for old in existing:
        _read_comparisons(old)  # a damaged file must be reported now
    builder = _EvaluationBuilder(settings, shared, folder, where, origin)
    return [*builder.build_all(), *existing]


def _existing_evaluations(settings: ComparisonSettings) -> list[Evaluation]:
    return [
        Evaluation(judge, test_label(test), recipe, None, user_path(folder))
        for judge, recipes in settings.compare.evaluations.items()
        for recipe, tests in recipes.items()
        for test, folder in tests.items()
    ]


def test_label(test: str) -> str:
    """Return the name of a test set, or of its file without suffixes."""
    return Path(test).name.split(".")[0]


class _EvaluationBuilder(Struct, frozen=True):
    """What new evaluations are built from; see `prepare_evaluations`."""

    settings: ComparisonSettings
    shared: Config
    folder: str
    where: str
    origin: Origin

    def build_all(self) -> Iterable[Evaluation]:
        compare = self.settings.compare
        judges = self.settings.judges or (
            {} if compare.evaluations else self.shared.evaluation_judges
        )
        for name, judge in judges.items():
            for recipe, tests in compare.answers.items():
                for test, answers in tests.items():
                    yield self._build(
                        name, judge, AnswererConfig(model=recipe, answers=answers), test
                    )

    def _build(
        self, judge_name: str, judge: JudgeConfig, candidate: AnswererConfig, test: str
    ) -> Evaluation:
        recipe, label = candidate.model, test_label(test)
        out = f"{self.folder}/evaluations/{judge_name}/{label}/{recipe}"
        config = EvaluationConfig(
            test=test,
            tests=self.settings.compare.testsets,
            candidate=candidate,
            reference=self._reference(test),
            judge=judge,
            rule=self.settings.compare.rule,
            seed=self.shared.seed,
            prompts=self.shared.prompts,
            parse_attempts=self.shared.parse_attempts,
            retry=self.shared.retry,
            cache=self.shared.cache,
            out=out,
        )
        where = f"{self.where}: compare.answers.{recipe}.{test}"
        plan = prepare_evaluation(config, where=where, origin=self.origin)
        return Evaluation(judge_name, label, recipe, plan, Path(out))

    def _reference(self, test: str) -> AnswererConfig:
        strong = self.shared.strong.without_temperature()
        if test in self.settings.compare.reference:
            strong["answers"] = self.settings.compare.reference[test]
        return msgspec.convert(strong, AnswererConfig)


# -- afterwards -------------------------------------------------------------------------------


class Judging(Struct, frozen=True):
    """Turns verdicts into the cells of a comparison.

    Attributes:
        baseline: the recipe that differences refer to.
        scoring: how verdicts become figures.
        seed_ids: of the seeds that recipes share; prompts among them are left out of ``unseen``.
    """

    baseline: str
    scoring: Scoring
    seed_ids: Container[str] = ()

    def cells(self, evaluations: Iterable[Evaluation]) -> list[Cell]:
        """Read the results of *evaluations*, all of them finished. Blocks.

        Raises:
            ConfigError: the file of an existing evaluation is damaged.
        """
        results = {(e.judge, e.test, e.recipe): (e, _read_comparisons(e)) for e in evaluations}
        cells = list[Cell]()
        for (judge, test, recipe), (evaluated, comparisons) in results.items():
            cell = self._cell(evaluated, comparisons)
            baseline = results.get((judge, test, self.baseline))
            if baseline is not None and recipe != self.baseline:
                cell = self._paired(cell, comparisons, baseline[1])
            cells.append(cell)
        return cells

    def _cell(self, evaluated: Evaluation, comparisons: Sequence[PairwiseComparison]) -> Cell:
        counts = self._counts(comparisons)
        unseen = [c for c in comparisons if identity("seed", c.prompt) not in self.seed_ids]
        return Cell(
            judge=evaluated.judge,
            test=evaluated.test,
            recipe=evaluated.recipe,
            counts=counts,
            crr=counts.crr if counts.usable else None,
            unseen=self._counts(unseen) if len(unseen) < len(comparisons) else None,
            folder=str(evaluated.folder),
        )

    def _paired(
        self, cell: Cell, ours: Sequence[PairwiseComparison], theirs: Sequence[PairwiseComparison]
    ) -> Cell:
        try:
            other = OtherCandidate(self.baseline, theirs)
            difference = paired_difference(ours, other, self.scoring)
        except ConfigError as error:
            return msgspec.structs.replace(cell, unpaired=str(error))
        return msgspec.structs.replace(cell, difference=difference)

    def _counts(self, comparisons: Iterable[PairwiseComparison]) -> VerdictCounts:
        return count_verdicts(
            pairwise_verdict(comparison.rulings, self.scoring.rule) for comparison in comparisons
        )


def _read_comparisons(evaluated: Evaluation) -> list[PairwiseComparison]:
    return list(read_comparisons(evaluated.folder))


def crr_tables(cells: Iterable[Cell], recipes: Iterable[str]) -> dict[str, ScoreTable]:
    """Return CRR by judge, test set and recipe, of *recipes* only: the input of the claims."""
    names = set(recipes)
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for cell in cells:
        if cell.crr is not None and cell.recipe in names:
            column = tables.setdefault(cell.judge, {}).setdefault(cell.test, {})
            column[_recipe_name(cell.recipe)] = cell.crr
    return dict(tables)


def _recipe_name(name: str) -> str:
    """Return the recipe's own name if *name* is an alias; a variant keeps the user's name."""
    return RECIPES[name].name if name in RECIPES else name
