"""The ``[compare]`` table of a configuration file.

Everything outside the table is what all runs share: models, limits, the cache.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, cast

from msgspec import Meta, Struct

from ..config import Config, ConfigError, Count, JudgeConfig, build_config, build_table, check_role
from ..evaluate.verdicts import Rule
from .claims import SELF_INSTRUCT

SettingsTree = dict[str, Any]

UNTUNED = "target"
"""In ``answers`` and ``evaluations``: the target model before training."""


class CompareConfig(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """Which recipes to compare, and how."""

    recipes: tuple[str, ...] = ()
    """Names of recipes. Any other name is a variant, whose ``overrides`` name its recipe."""
    rows: Count | None = None
    """Rows of every dataset. None: ``target_rows``."""
    validation: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """The share of the seed file that all recipes get as seeds, chosen by the run's random seed
    (paper: 20 % of a benchmark)."""
    overrides: dict[str, SettingsTree] = {}
    """Settings of one recipe's run alone. If they name ``seeds``, the run has its own, unsplit."""
    tests: tuple[str, ...] = ()
    """Test sets, by name or file: datasets are searched for overlap with their prompts."""
    testsets: str = "."
    """The folder of the named test sets."""
    answers: dict[str, dict[str, str]] = {}
    """By recipe and test set: a file of answers by the model tuned on the recipe's dataset."""
    reference: dict[str, str] = {}
    """By test set: a file of the strong model's answers. Without one, the model is asked."""
    judges: dict[str, SettingsTree] = {}
    """Models that judge the answers, by a name of your choice. Empty: the run's own."""
    evaluations: dict[str, dict[str, dict[str, str]]] = {}
    """By judge, recipe and test set: the folder of an existing evaluation."""
    rule: Rule = "both"
    """As for `codeclm evaluate`."""
    baseline: str | None = None
    """The recipe that differences refer to. None: self-instruct if compared, else the first."""

    @property
    def baseline_recipe(self) -> str:
        default = SELF_INSTRUCT if SELF_INSTRUCT in self.recipes else self.recipes[0]
        return self.baseline or default


class Sweep(Struct, frozen=True):
    """One setting at several values. ``key`` is ``rows``, or a run's such as ``metadata.share``."""

    key: str
    values: tuple[Any, ...]


class ComparisonSettings(Struct, frozen=True):
    """The settings of a comparison.

    Attributes:
        compare: the ``[compare]`` table.
        base: all other settings: what the runs share.
        overrides: assignments from the command line to settings that the runs share.
        judges: the judges of ``compare``.
    """

    compare: CompareConfig
    base: SettingsTree
    overrides: tuple[str, ...]
    judges: dict[str, JudgeConfig]

    def shared_config(self, *, where: str) -> Config:
        """Return what all runs share, before any recipe's own settings.

        Raises:
            ConfigError: naming the key at fault.
        """
        return build_config(self.shared_tree, self.overrides, where=where, check=False)

    @property
    def shared_tree(self) -> SettingsTree:
        return {key: value for key, value in self.base.items() if key != "recipe"}


def build_comparison_settings(
    tree: Mapping[str, Any], overrides: Sequence[str], *, where: str
) -> ComparisonSettings:
    """Separate the comparison's settings in *tree* from those of the runs.

    Raises:
        ConfigError: naming the key at fault.
    """
    base = dict(tree)
    table = base.pop("compare", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: compare: must be a table: write [compare]")
    prefix = "compare."
    ours = [text.removeprefix(prefix) for text in overrides if text.startswith(prefix)]
    others = tuple(text for text in overrides if not text.startswith(prefix))
    compare = build_table(
        CompareConfig, cast("SettingsTree", table), ours, where=f"{where}: compare"
    )
    judges = {
        name: build_table(JudgeConfig, judge, where=f"{where}: compare.judges.{name}")
        for name, judge in compare.judges.items()
    }
    _check(compare, judges, where)
    return ComparisonSettings(compare, base, others, judges)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def _check(compare: CompareConfig, judges: Mapping[str, JudgeConfig], where: str) -> None:
    if not compare.recipes:
        raise ConfigError(f'{where}: compare.recipes: missing: write recipes = ["codeclm", …]')
    for name in (*compare.recipes, *judges, *compare.evaluations):
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: compare: {name!r}: a name consists of letters, digits and . + - _"
            )
    if len(set(compare.recipes)) < len(compare.recipes):
        raise ConfigError(f"{where}: compare.recipes: names one recipe twice")
    _check_recipe_names(compare, "overrides", compare.overrides, where)
    _check_recipe_names(compare, "baseline", filter(None, [compare.baseline]), where)
    for name, judge in judges.items():
        if not judge.model:
            raise ConfigError(
                f"{where}: compare.judges.{name}.model: missing: write provider/model"
            )
        check_role(judge, f"{where}: compare.judges.{name}")


def _check_recipe_names(compare: CompareConfig, key: str, names: Iterable[str], where: str) -> None:
    if unknown := sorted(set(names) - set(compare.recipes)):
        raise ConfigError(f"{where}: compare.{key}: {unknown[0]!r} is not one of the recipes")


def parse_sweep(text: str) -> Sweep:
    """Parse ``key=value,value,…``.

    Raises:
        ConfigError: *text* has another form.
    """
    key, equals, listing = text.partition("=")
    values = [value.strip() for value in listing.split(",")]
    if not equals or not key.strip() or not all(values) or len(set(values)) < len(values):
        raise ConfigError(f"--sweep {text}: write key=value,value, such as rows=500,1000,2000")
    return Sweep(key.strip(), tuple(map(_parse_value, values)))


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
