"""Checks of a run's settings that types cannot express and that hold for every recipe."""

import re
from collections.abc import Iterable
from typing import Final

from ..data.formats import EXPORTS
from ..data.registry import PluginError, UnknownNameError
from .role_settings import JudgeConfig
from .roles import is_program
from .sampling import sampling_settings
from .schema import Config, QualityConfig
from .values import ConfigError


def check_config(config: Config, where: str) -> None:
    """Check that the settings of *config* go together.

    Raises:
        ConfigError: they do not; the message starts with *where* and the key at fault.
    """
    if config.input.field and config.input.template:
        raise ConfigError(f"{where}: input.field and input.template: set only one of them")
    if not config.seeds and not config.metadata.file:
        raise ConfigError(f"{where}: seeds: missing: name a file, or set metadata.file")
    if config.metadata.share and not (config.metadata.augment_to or config.metadata.file):
        raise ConfigError(
            f"{where}: metadata.share: needs a fixed set of metadata: set metadata.augment_to or"
            " metadata.file"
        )
    if config.target_rows and config.max_candidates and config.max_candidates < config.target_rows:
        raise ConfigError(f"{where}: max_candidates: must not be less than target_rows")
    _check_judges(config, where)
    _check_filter(config, where)
    _check_exports(config.export, f"{where}: export")
    _check_quality(config.quality, f"{where}: quality")


def _check_judges(config: Config, where: str) -> None:
    if not config.judges:
        return
    if config.judge != JudgeConfig():
        raise ConfigError(
            f"{where}: judge: with [judges.NAME] each judge has a table of its own: move the"
            " settings of [judge] (or --judge) there"
        )
    for name in config.judges:
        if not _JUDGE_NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: judges: a judge's name is at most 40 letters, digits, - and _,"
                f" got {name[:60]!r}"
            )


_JUDGE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


def _check_filter(config: Config, where: str) -> None:
    setting = config.filter.repetition
    if not setting:
        return
    for name, role in config.judge_roles.items():
        if sampling_settings(role).temperature == 0 and not is_program(role):
            raise ConfigError(
                f"{where}: filter.{setting}: at temperature 0 the judge says the same again: set"
                f" {name}.temperature above 0"
            )


def _check_exports(names: Iterable[str], where: str) -> None:
    for name in names:
        try:
            EXPORTS[name]
        except (UnknownNameError, PluginError) as error:
            raise ConfigError(f"{where}: {error}") from error


def _check_quality(quality: QualityConfig, where: str) -> None:
    for part in ("instruction", "response"):
        least, most = (getattr(quality, f"{end}_{part}_words") for end in ("min", "max"))
        if least is not None and most is not None and least > most:
            raise ConfigError(f"{where}: min_{part}_words: must not be more than max_{part}_words")
    if quality.on_overlap == "drop" and not quality.decontaminate:
        raise ConfigError(f"{where}: on_overlap: drop needs test sets: name them in decontaminate")
