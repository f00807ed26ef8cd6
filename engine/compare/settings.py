"""What a comparison is asked for: the ``[compare]`` table of a run's configuration.

Everything outside the table is what all runs have in common: models, limits, the cache.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from msgspec import Meta, Struct

from ..config import Config, ConfigError, Count, JudgeConfig, build_config, build_table, check_role
from ..evaluate.verdicts import Rule

Tree = dict[str, Any]

UNTUNED = "target"
"""Stands beside the recipes in ``answers`` and ``judged`` for the target before any training."""

PLAIN = "codeclm"
"""The recipe that a run is without being told."""


class CompareConfig(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Which recipes are laid side by side, and by what."""

    recipes: tuple[str, ...] = ()
    """Names of recipes; another name is a variant, whose ``overrides`` say which recipe it is."""
    rows: Count | None = None
    """Rows of every dataset. None: ``target_rows``."""
    validation: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """The share of the seed file that all recipes get as seeds, drawn by the run's seed (the paper:
    20 % of a benchmark); 1: all of it."""
    overrides: dict[str, Tree] = {}
    """Settings of one recipe's run alone. With ``seeds`` among them it has its own, unsplit."""
    tests: tuple[str, ...] = ()
    """Test sets, by name or file: datasets are searched for them, and answers to them judged."""
    testsets: str = "."
    """The folder of the test sets known by name."""
    answers: dict[str, dict[str, str]] = {}
    """By recipe and test set: a file of the answers of the model tuned on that dataset."""
    reference: dict[str, str] = {}
    """By test set: a file of the strong model's answers. Without: the strong model is asked."""
    judges: dict[str, Tree] = {}
    """Models that judge the answers, by a name of yours. None: the run's own judge."""
    judged: dict[str, dict[str, dict[str, str]]] = {}
    """By judge, recipe and test set: the folder of an evaluation that was made before."""
    rule: Rule = "both"
    """As for `codeclm evaluate`."""
    baseline: str | None = None
    """Differences are to this one. None: self-instruct if it is there, else the first."""

    @property
    def against(self) -> str:
        usual = "self-instruct" if "self-instruct" in self.recipes else self.recipes[0]
        return self.baseline or usual


class Sweep(Struct, frozen=True):
    """One setting at several values. ``key`` is ``rows`` or a run's, as ``metadata.share``."""

    key: str
    values: tuple[Any, ...]


class Variant(Struct, frozen=True):
    """One run of the comparison. ``swept`` and ``value`` say at which value of a sweep."""

    name: str
    recipe: str
    """As it is called in ``recipes``."""
    config: Config
    swept: str = ""
    value: Any = None


class Asked(Struct, frozen=True):
    """A file's settings, parted."""

    compare: CompareConfig
    base: Tree
    """What all runs have in common."""
    overrides: tuple[str, ...]
    judges: dict[str, JudgeConfig]

    def common(self, *, where: str) -> Config:
        """What all runs have in common, before any recipe's own settings.

        Raises:
            ConfigError: naming the key at fault.
        """
        return build_config(_common(self.base), self.overrides, where=where, check=False)


def read(tree: Mapping[str, Any], overrides: Sequence[str], *, where: str) -> Asked:
    """Part *tree* into the comparison's settings and those of every run.

    Raises:
        ConfigError: naming the key at fault.
    """
    base = dict(tree)
    asked = base.pop("compare", {})
    if not isinstance(asked, dict):
        raise ConfigError(f"{where}: compare: it is a table: write [compare]")
    ours = [text.removeprefix("compare.") for text in overrides if text.startswith("compare.")]
    others = tuple(text for text in overrides if not text.startswith("compare."))
    table = cast("Tree", asked)
    compare = build_table(CompareConfig, table, ours, where=f"{where}: compare")
    judges = {
        name: build_table(JudgeConfig, judge, where=f"{where}: compare.judges.{name}")
        for name, judge in compare.judges.items()
    }
    _check(compare, judges, where)
    return Asked(compare, base, others, judges)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def _check(compare: CompareConfig, judges: Mapping[str, JudgeConfig], where: str) -> None:
    if not compare.recipes:
        raise ConfigError(f'{where}: compare.recipes: name some: recipes = ["codeclm", …]')
    for name in (*compare.recipes, *judges, *compare.judged):
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}: compare: {name!r}: a name has letters, digits, . + - _")
    if len(set(compare.recipes)) < len(compare.recipes):
        raise ConfigError(f"{where}: compare.recipes: one is there twice")
    named = {"overrides": compare.overrides, "baseline": filter(None, [compare.baseline])}
    for key, names in named.items():
        if unknown := sorted(set(names) - set(compare.recipes)):
            raise ConfigError(f"{where}: compare.{key}: {unknown[0]!r} is not one of the recipes")
    for name, judge in judges.items():
        if not judge.model:
            raise ConfigError(f"{where}: compare.judges.{name}: model: write provider/model")
        check_role(judge, f"{where}: compare.judges.{name}")


def sweep(text: str) -> Sweep:
    """Read ``key=value,value,…``.

    Raises:
        ConfigError: it is not of this form.
    """
    key, equals, listed = text.partition("=")
    values = [value.strip() for value in listed.split(",")]
    if not equals or not key.strip() or not all(values) or len(set(values)) < len(values):
        raise ConfigError(f"--sweep {text}: write key=value,value, as in rows=500,1000,2000")
    return Sweep(key.strip(), tuple(map(_value, values)))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def variants(
    asked: Asked, sweeps: Sequence[Sweep], seeds: str | None, *, folder: str, where: str
) -> list[Variant]:
    """Make the configuration of every run: each recipe, and each recipe at each swept value.

    Args:
        asked: the comparison.
        sweeps: settings that are varied, each by itself.
        seeds: the file of the seeds that all have in common; None where they have none.
        folder: the comparison's.
        where: what to call the configuration in complaints.

    Raises:
        ConfigError: naming the run and the key at fault.
    """
    common = asked.common(where=where)

    def made(recipe: str, swept: str = "", value: Any = None) -> Variant:
        name = f"{recipe}@{swept}={value}".replace("/", "-") if swept else recipe
        tree = _tree(asked, recipe, seeds)
        changed = list(asked.overrides)
        if swept:
            changed.append(f"{'target_rows' if swept == 'rows' else swept}={json.dumps(value)}")
        config = build_config(
            {**tree, "out": f"{folder}/runs/{name}"}, changed, where=f"{where}: {name}"
        )
        if config.target_rows is None:
            raise ConfigError(f"{where}: compare.rows: it is missing: say how many rows each makes")
        return Variant(name, recipe, config, swept, value)

    plain = [made(recipe) for recipe in asked.compare.recipes]
    for each in plain:
        _check_fairness(each, plain[0].config.target_rows, common.strong.model, where)
    varied = [
        made(recipe, sweep.key, value)
        for sweep in sweeps
        for value in sweep.values
        for recipe in asked.compare.recipes
    ]
    return plain + varied


def _check_fairness(variant: Variant, rows: int | None, strong: str, where: str) -> None:
    """See that all have one strong model and one number of rows (spec §8)."""
    own = f"{where}: compare.overrides.{variant.recipe}"
    if variant.config.strong.model != strong:
        raise ConfigError(f"{own}.strong.model: all recipes have one strong model, {strong}")
    if variant.config.target_rows != rows:
        raise ConfigError(f"{own}.target_rows: all recipes make as many rows: set compare.rows")


def _common(base: Tree) -> Tree:
    return {key: value for key, value in base.items() if key != "recipe"}


def _tree(asked: Asked, recipe: str, seeds: str | None) -> Tree:
    """Lay a recipe's own settings over the common ones."""
    own = asked.compare.overrides.get(recipe, {})
    base = _common(asked.base)
    if seeds is not None and "seeds" not in own:
        base = {k: v for k, v in base.items() if k not in {"input", "limit"}} | {"seeds": seeds}
    if asked.compare.rows is not None:
        base["target_rows"] = asked.compare.rows
    tree = _merged({**base, "recipe": recipe}, own)
    if tree["recipe"] == PLAIN:
        del tree["recipe"]
    return tree


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            value = _merged(cast("Tree", below), cast("Tree", value))  # noqa: PLW2901
        merged[key] = value
    return merged
