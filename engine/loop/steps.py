"""The steps of a loop: which run, tuning and evaluation each round consists of."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from ...providers.optional import install_command
from ...providers.transformers.location import digest_model, find_model
from ..calls.gate import Origin
from ..config import Config, ConfigError
from ..data.test_sets import Question, prompts_of, read_questions
from ..data.text.fingerprint import fingerprint
from ..evaluate.prepare import check_models
from ..evaluate.settings import EvaluationConfig, check_evaluation
from ..pipeline.prepare import Plan, prepare
from ..quality.contamination import PromptIndex
from ..reporting.runs import open_run
from ..store.folder import Folder
from ..training.answering import AnsweringSettings
from ..training.pairs import Pair, pairs_of_run
from ..training.tuning import TuningJob
from .settings import PROVIDER, LoopConfig, check_loop

_LIBRARIES: Final = ("accelerate", "datasets", "torch", "transformers", "trl")


class TrainingRows(Struct, frozen=True):
    """What a round's model is trained on.

    Attributes:
        pairs: to train on.
        overlapping: rows left out since they overlap with a prompt of the test set.
        repeated: rows left out since an earlier one has the same instruction.
    """

    pairs: tuple[Pair, ...]
    overlapping: int
    repeated: int


class LoopPlan(Struct, frozen=True):
    """A checked loop. Round 0 is the untuned target's, which has answers and an evaluation only.

    Attributes:
        config: the settings.
        where: names them in messages.
        origin: who wrote them.
        questions: the test set.
    """

    config: LoopConfig
    where: str
    origin: Origin
    questions: tuple[Question, ...]

    @property
    def folder(self) -> Folder:
        return Folder(self.config.folder)

    def first_digest(self) -> str:
        """Return a digest of the first model's weights. Blocks: it reads them.

        Raises:
            ConfigError: they cannot be read.
        """
        try:
            return digest_model(find_model(self.config.first_model))
        except OSError as error:
            raise ConfigError(f"{self.where}: run.target.model: {error}") from error

    def round_folder(self, number: int) -> Path:
        return self.folder.path / (f"round-{number}" if number else "start")

    def data(self, number: int) -> Path:
        return self.round_folder(number) / "data"

    def answers(self, number: int) -> Path:
        return self.round_folder(number) / "answers.jsonl"

    def model(self, number: int) -> str:
        """Return the model that round *number* ends with."""
        return str(self.round_folder(number) / "model") if number else self.config.first_model

    def run_config(self, number: int) -> Config:
        """Return the run of round *number*, whose target is what the round before ended with."""
        run = self.config.run
        return structs.replace(
            run,
            out=str(self.data(number)),
            seed=run.seed + number - 1,
            target=structs.replace(run.target, model=f"{PROVIDER}{self.model(number - 1)}"),
        )

    def prepare_run(self, number: int) -> Plan:
        """Check the run of round *number*, as `prepare` does."""
        return prepare(self.run_config(number), where=f"{self.where}: run", origin=self.origin)

    def training_rows(self, number: int) -> TrainingRows:
        """Read the rows for the model of round *number*. Blocks.

        Rows whose instruction overlaps with a prompt of the test set are never trained on.
        """
        settings = self.config.run.quality
        index = PromptIndex(prompts_of({"test": self.questions}), settings.ngram)
        pairs: dict[int, Pair] = {}
        overlapping = repeated = 0
        for pair in self._rows(number):
            key = fingerprint(pair.instruction)
            repeated += key in pairs
            if index.overlaps(pair.instruction):
                overlapping += 1
            else:
                pairs.setdefault(key, pair)
        return TrainingRows(tuple(pairs.values()), overlapping, repeated)

    def _rows(self, number: int) -> Iterator[Pair]:
        first = 1 if self.config.tune.rows == "all" else number
        for earlier in range(first, number + 1):
            with open_run(self.data(earlier)) as reader:
                yield from pairs_of_run(reader.rows())

    def tuning_job(self, number: int, rows: TrainingRows) -> TuningJob:
        """Return the tuning of round *number*."""
        tune = self.config.tune
        return TuningJob(
            model=self.model(0 if tune.rows == "all" else number - 1),
            pairs=rows.pairs,
            hyperparameters=tune.hyperparameters,
            template=tune.template,
            precision=tune.precision,
            save_steps=tune.save_steps,
        )

    def answering(self, number: int) -> AnsweringSettings:
        """Return how the model of round *number* answers the test set."""
        answer = self.config.answer
        longest = self.config.evaluate.max_prompt_tokens
        return AnsweringSettings(self.model(number), answer.max_tokens, answer.batch, longest)

    def evaluation(self, number: int) -> EvaluationConfig:
        """Return the evaluation of round *number*'s answers."""
        config = self.config.evaluation
        return structs.replace(
            config,
            candidate=structs.replace(config.candidate, answers=str(self.answers(number))),
            out=str(self.round_folder(number) / "evaluation"),
        )


def prepare_loop(config: LoopConfig, *, where: str, origin: Origin) -> LoopPlan:
    """Check everything that can be checked without a call. Blocks: it reads seeds and test set.

    Raises:
        UserError: naming the file or the key at fault, and the remedy.
    """
    check_loop(config, where)
    if missing := [name for name in _LIBRARIES if find_spec(name) is None]:
        raise ConfigError(
            f"{where}: tune: {missing[0]} is not installed: {install_command('train')}"
        )
    evaluation = config.evaluation
    questions = tuple(read_questions(evaluation.source)[: evaluation.limit])
    plan = LoopPlan(config, where, origin, questions)
    check_evaluation(plan.evaluation(0), f"{where}: evaluate")
    plan.prepare_run(1)
    check_models(plan.evaluation(0), f"{where}: evaluate", origin)
    return plan
