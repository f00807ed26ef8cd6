"""Answers of the models tuned on each dataset, judged: the paper's Tables 1 and 5, and differences.

The judging itself is `evaluate`'s; here is which evaluations there are, and what they come to side
by side.
"""

from collections.abc import Container, Iterable, Sequence
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from ..config import Config, ConfigError, JudgeConfig
from ..data.records import identity
from ..evaluate import evaluation, outcome
from ..evaluate.contest import Comparison
from ..evaluate.outcome import Difference
from ..evaluate.settings import ContestantConfig, EvaluationConfig
from ..evaluate.verdicts import Counts, Rule, count, verdict
from ..pipeline.recipes import RECIPES
from .settings import UNTUNED, Asked

RUNS_OWN = "judge"
"""What the run's own judge is called where no other is named."""


class Evaluation(Struct, frozen=True):
    """One recipe's answers to one test set before one judge."""

    judge: str
    test: str
    recipe: str
    """Or a recipe at a swept value: ``codeclm@rows=500``."""
    plan: evaluation.Plan | None
    """None: it was made before, and lies in ``folder``."""
    folder: Path


class Cell(Struct, frozen=True, kw_only=True):
    """What became of it."""

    judge: str
    test: str
    recipe: str
    counts: Counts
    crr: float | None
    """In per cent; None where more than 2 % of verdicts are invalid, or none are there."""
    unseen: Counts | None = None
    """Over the prompts that were no seeds; None where none of them was."""
    difference: Difference | None = None
    """To the baseline's answers, with a paired interval."""
    unpaired: str = ""
    """Why there is none: the baseline's answers were judged against other ones."""
    folder: str


def prepare(
    asked: Asked, common: Config, names: Iterable[str], *, folder: str, where: str
) -> list[Evaluation]:
    """Check every evaluation that is asked for. Blocks: it reads test sets and answers.

    Args:
        asked: the comparison.
        common: a run's configuration: its strong model, its judge, how calls are made.
        names: the runs there are.
        folder: the comparison's.
        where: what to call the configuration in complaints.

    Raises:
        ConfigError, SeedError: naming the file, the key and the remedy.
    """
    known, compare = {*names, UNTUNED}, asked.compare
    for recipe in chain(compare.answers, *compare.judged.values()):
        if recipe not in known:
            there = ", ".join(sorted(known))
            raise ConfigError(f"{where}: compare: no answers can be of {recipe!r}: {there}")
    judges = asked.judges or ({} if compare.judged else {RUNS_OWN: _own_judge(common)})
    fresh = (
        _fresh(asked, common, name, judge, recipe, test, answers, folder=folder, where=where)
        for name, judge in judges.items()
        for recipe, tests in compare.answers.items()
        for test, answers in tests.items()
    )
    before = [
        Evaluation(judge, label(test), recipe, None, Path(made).expanduser())
        for judge, recipes in compare.judged.items()
        for recipe, tests in recipes.items()
        for test, made in tests.items()
    ]
    for each in before:
        _read(each)  # what is damaged is to be known now
    return [*fresh, *before]


def _own_judge(common: Config) -> JudgeConfig:
    return msgspec.convert(msgspec.to_builtins(common.scorer), JudgeConfig)


def label(test: str) -> str:
    """Name a test set: as it is known, or its file's name."""
    return Path(test).name.split(".")[0]


def _fresh(
    asked: Asked,
    common: Config,
    judge_name: str,
    judge: JudgeConfig,
    recipe: str,
    test: str,
    answers: str,
    *,
    folder: str,
    where: str,
) -> Evaluation:
    strong = {**msgspec.to_builtins(common.strong), "temperature": 0.0}
    if test in asked.compare.reference:
        strong["answers"] = asked.compare.reference[test]
    out = f"{folder}/evaluations/{judge_name}/{label(test)}/{recipe}"
    config = EvaluationConfig(
        test=test,
        tests=asked.compare.testsets,
        candidate=ContestantConfig(model=recipe, answers=answers),
        reference=msgspec.convert(strong, ContestantConfig),
        judge=judge,
        rule=asked.compare.rule,
        seed=common.seed,
        prompts=common.prompts,
        parse_attempts=common.parse_attempts,
        retry=common.retry,
        cache=common.cache,
        out=out,
    )
    plan = evaluation.prepare(config, where=f"{where}: compare.answers.{recipe}.{test}")
    return Evaluation(judge_name, label(test), recipe, plan, Path(out))


def cells(
    whole: Sequence[Evaluation],
    *,
    baseline: str,
    rule: Rule,
    seed: int,
    seed_ids: Container[str] = (),
) -> list[Cell]:
    """Read what all evaluations came to. Blocks.

    Args:
        whole: the evaluations, all of them made.
        baseline: what differences are to.
        rule: what wins.
        seed: draws the bootstrap's samples.
        seed_ids: prompts that are among the seeds by their ids, to be counted apart.

    Raises:
        ConfigError: the file of one that was made before is damaged.
    """
    found = {(e.judge, e.test, e.recipe): (e, _read(e)) for e in whole}
    made = list[Cell]()
    for (judge, test, recipe), (each, comparisons) in found.items():
        counts = _counts(comparisons, rule)
        unseen = [one for one in comparisons if identity("seed", one.prompt) not in seed_ids]
        cell = Cell(
            judge=judge,
            test=test,
            recipe=recipe,
            counts=counts,
            crr=counts.crr if counts.usable else None,
            unseen=_counts(unseen, rule) if len(unseen) < len(comparisons) else None,
            folder=str(each.folder),
        )
        other = found.get((judge, test, baseline))
        if other is not None and recipe != baseline:
            cell = _paired(cell, comparisons, other[1], baseline, rule=rule, seed=seed)
        made.append(cell)
    return made


def _paired(
    cell: Cell,
    ours: Sequence[Comparison],
    theirs: Sequence[Comparison],
    baseline: str,
    *,
    rule: Rule,
    seed: int,
) -> Cell:
    try:
        gap = outcome.difference(ours, theirs, other=baseline, rule=rule, seed=seed)
    except ConfigError as error:
        return msgspec.structs.replace(cell, unpaired=str(error))
    return msgspec.structs.replace(cell, difference=gap)


def _counts(comparisons: Iterable[Comparison], rule: Rule) -> Counts:
    return count(verdict(each.rulings, rule) for each in comparisons)


def _read(each: Evaluation) -> list[Comparison]:
    return list(evaluation.read_comparisons(each.folder))


def tables(whole: Iterable[Cell], recipes: Iterable[str]) -> dict[str, dict[str, dict[str, float]]]:
    """CRR by judge, test set and recipe, of *recipes* alone: what the claims are tested on."""
    wanted = set(recipes)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for cell in whole:
        if cell.crr is not None and cell.recipe in wanted:
            column = found.setdefault(cell.judge, {}).setdefault(cell.test, {})
            column[_recipe_name(cell.recipe)] = cell.crr
    return found


def _recipe_name(name: str) -> str:
    """Return the recipe's own name where *name* is an alias; a variant keeps the user's name."""
    return RECIPES[name].name if name in RECIPES else name
