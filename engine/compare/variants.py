"""The runs of a comparison: each recipe, and each recipe at each value of a sweep."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from ..config import Config, ConfigError, build_config
from .settings import ComparisonSettings, SettingsTree, Sweep
from .split import STRATUM


class Variant(Struct, frozen=True):
    """One run of a comparison.

    Attributes:
        name: of the run; ``codeclm@rows=500`` in a sweep.
        recipe: as named in ``compare.recipes``.
        config: the run's settings.
        sweep_key: the setting that is varied; empty outside sweeps.
        sweep_value: the value it has here.
    """

    name: str
    recipe: str
    config: Config
    sweep_key: str = ""
    sweep_value: Any = None


def build_variants(
    settings: ComparisonSettings,
    sweeps: Sequence[Sweep],
    seeds: str | None,
    *,
    folder: str,
    where: str,
) -> list[Variant]:
    """Build the configuration of every run.

    Args:
        settings: of the comparison.
        sweeps: settings to vary, one at a time.
        seeds: the file of the seeds that the recipes share; None if they share none.
        folder: the comparison's.
        where: the configuration's name in messages.

    Raises:
        ConfigError: naming the run and the key at fault.
    """
    builder = _VariantBuilder(settings, seeds, folder, where)
    recipes = settings.compare.recipes
    plain = [builder.build(recipe) for recipe in recipes]
    _check_fairness(plain, settings.shared_config(where=where).strong.model, where)
    return plain + [
        builder.build(recipe, sweep.key, value)
        for sweep in sweeps
        for value in sweep.values
        for recipe in recipes
    ]


class _VariantBuilder(Struct, frozen=True):
    """What all runs are built from; see `build_variants`."""

    settings: ComparisonSettings
    seeds: str | None
    folder: str
    where: str

    def build(self, recipe: str, sweep_key: str = "", value: Any = None) -> Variant:
        name = f"{recipe}@{sweep_key}={value}".replace("/", "-") if sweep_key else recipe
        tree = {**self._tree(recipe), "out": f"{self.folder}/runs/{name}"}
        overrides = list(self.settings.overrides)
        if sweep_key:
            key = "target_rows" if sweep_key == "rows" else sweep_key
            overrides.append(f"{key}={json.dumps(value)}")
        config = build_config(tree, overrides, where=f"{self.where}: {name}")
        if config.target_rows is None:
            raise ConfigError(f"{self.where}: compare.rows: missing: set the rows of every dataset")
        return Variant(name, recipe, config, sweep_key, value)

    def _tree(self, recipe: str) -> SettingsTree:
        """Merge the shared settings with the *recipe*'s own."""
        compare = self.settings.compare
        own = compare.overrides.get(recipe, {})
        tree = self.settings.shared_tree
        if self.seeds is not None and "seeds" not in own:
            own_seeds = {"input", "limit", "head"}
            tree = {key: value for key, value in tree.items() if key not in own_seeds}
            tree["seeds"] = self.seeds
            if self.settings.shared_config(where=self.where).input.stratify is not None:
                tree["input"] = {"stratify": STRATUM}
        if compare.rows is not None:
            tree["target_rows"] = compare.rows
        return _merged({**tree, "recipe": recipe}, own)


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> SettingsTree:
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        both_tables = isinstance(value, dict) and isinstance(old, dict)
        merged[key] = (
            _merged(cast("SettingsTree", old), cast("SettingsTree", value))
            if both_tables
            else value
        )
    return merged


def _check_fairness(variants: Sequence[Variant], strong: str, where: str) -> None:
    """Check that all runs have the same strong model and number of rows (docs/algorithm.md §8)."""
    rows = variants[0].config.target_rows
    for variant in variants:
        overrides = f"{where}: compare.overrides.{variant.recipe}"
        if variant.config.strong.model != strong:
            raise ConfigError(
                f"{overrides}.strong.model: all recipes use the same strong model, {strong}"
            )
        if variant.config.target_rows != rows:
            raise ConfigError(
                f"{overrides}.target_rows: all recipes make the same number of rows: set"
                " compare.rows"
            )
