"""The settings of a loop: a run, how to tune on its rows, and what to evaluate on."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field

from ...providers.transformers.model import Template
from ..config import Config, ConfigError, Count, JudgeConfig, RoleConfig, SettingsTable
from ..data.files import user_path
from ..evaluate.settings import AnswererConfig, EvaluationConfig
from ..training.hyperparameters import Hyperparameters
from ..training.models import Precision

PROVIDER: Final = "transformers/"
"""How the target's name begins: only such a model can be tuned here and then asked."""


class TuneConfig(Hyperparameters, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the target is tuned, as for `codeclm tune`."""

    rows: Literal["all", "round"] = "all"
    """all: tune the first model on the rows of all rounds. round: tune the round's target on the
    rows of the round."""
    template: Template | None = None
    """The prompt's format. None: the model's own chat template, Alpaca's if it has none."""
    precision: Precision = "auto"
    """auto: bf16 on a GPU that has it, else fp32."""
    save_steps: Count | None = None
    """Steps between checkpoints. None: one at the end of each epoch."""

    @property
    def hyperparameters(self) -> Hyperparameters:
        values = {name: getattr(self, name) for name in Hyperparameters.__struct_fields__}
        return Hyperparameters(**{**values, "device_batch": min(self.device_batch, self.batch)})


class AnswerConfig(SettingsTable, frozen=True):
    """How the target answers the test set, greedily, as for `codeclm answer`."""

    max_tokens: Count = 2048
    batch: Count = 8
    """Prompts at a time."""


class LoopConfig(SettingsTable, frozen=True):
    """A loop."""

    rounds: Annotated[int, Meta(ge=1, le=100)] = 3
    """More than before continue a loop."""
    out: str | None = None
    """The loop's folder. None: ``runs/NAME``, after the configuration."""
    run: Config = field(default_factory=Config)
    """Makes the rows, as for `codeclm run`. Each round has a random seed of its own: ``seed``, and
    one more for each round. ``target.model`` is the model to tune: ``transformers/NAME``."""
    tune: TuneConfig = field(default_factory=TuneConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    evaluate: EvaluationConfig = field(default_factory=EvaluationConfig)
    """The test set, and what the target's answers are compared with, as for `codeclm evaluate`. The
    reference is by default the strong model, the judge the run's, the cache the run's."""

    @property
    def folder(self) -> Path:
        return user_path(self.out or "runs/loop")

    @property
    def first_model(self) -> str:
        """The model that is tuned, as `codeclm tune` calls it."""
        return self.run.target.model.removeprefix(PROVIDER)

    @property
    def evaluation(self) -> EvaluationConfig:
        """The evaluation with its defaults filled in, without a candidate."""
        settings = self.evaluate
        has_reference = settings.reference.model or settings.reference.answers
        return msgspec.structs.replace(
            settings,
            reference=settings.reference if has_reference else _as_reference(self.run.strong),
            judge=settings.judge if settings.judge.model else _first_judge(self.run),
            cache=settings.cache if settings.cache.folder else self.run.cache,
        )


def _first_judge(run: Config) -> JudgeConfig:
    """Return the run's judge; `check_loop` wants one to be named where there are several."""
    return next(iter(run.evaluation_judges.values()))


def _as_reference(strong: RoleConfig) -> AnswererConfig:
    return msgspec.convert(strong.without_temperature(), AnswererConfig)


def check_loop(config: LoopConfig, where: str) -> None:
    """Check what types cannot express, and the steps do not check themselves.

    Raises:
        ConfigError: naming the key at fault.
    """
    if not config.run.target.model.startswith(PROVIDER):
        raise ConfigError(
            f"{where}: run.target.model: must be {PROVIDER}NAME, a model that this machine can tune"
            f" and ask (a folder, a .gguf file, smollm2), got {config.run.target.model!r}"
        )
    if config.run.out or config.evaluate.out:
        raise ConfigError(f"{where}: out: the loop has one folder for all its steps: set only out")
    if config.evaluate.candidate != AnswererConfig():
        raise ConfigError(
            f"{where}: evaluate.candidate: is the tuned target: remove it; its answers are set in"
            " [answer]"
        )
    if config.run.judges and not config.evaluate.judge.model:
        raise ConfigError(
            f"{where}: evaluate.judge.model: missing: of several judges, one compares the answers"
        )
    _check_tuning(config.tune, f"{where}: tune")


def _check_tuning(config: TuneConfig, where: str) -> None:
    try:
        config.hyperparameters.accumulation()
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    if config.last_learning_rate >= config.learning_rate:
        raise ConfigError(f"{where}.last_learning_rate: must be below learning_rate")
