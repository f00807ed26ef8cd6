"""Write a trainer's folder from a run: data, config, card."""

import re
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from ..calls.counters import Counters
from ..config import Config
from ..data.formats import ExportError
from ..disk.atomic import check_replaceable, replace_file
from ..pipeline.recipes import RECIPES
from ..reporting.summary import summarise
from ..store.folder import Folder
from ..store.reader import LedgerReader
from .card import CardFacts, card_text, read_contents
from .hyperparameters import Hyperparameters
from .pairs import pairs_of_run, preferences_of_run
from .trainers import (
    CARD_FILE,
    CONFIG_FILE,
    DATA_FILE,
    LORA_RATE,
    Method,
    PromptTemplate,
    Trainer,
    TrainingSetup,
    write_trainer_folder,
)

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class HandoverRequest(NamedTuple):
    """A request for a trainer's folder.

    Attributes:
        trainer: whose folder to write.
        model: to train; None: the run's target, without the provider.
        devices: that share a batch.
        language: of the data, for the card.
        template: of the prompt.
        lora: train an adapter instead of all weights.
        method: sft on the better answers, or dpo on both.
    """

    trainer: Trainer
    model: str | None = None
    devices: int = 1
    language: str = "en"
    template: PromptTemplate = "alpaca"
    lora: bool = False
    method: Method = "sft"

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The paper's; of DPO those of Zephyr (Tunstall et al., 2023)."""
        values = Hyperparameters()
        if self.method == "dpo":
            rates = {"learning_rate": 5e-7, "last_learning_rate": 5e-8}
            values = structs.replace(values, epochs=1.0, **rates)
        if self.lora:
            values = structs.replace(
                values,
                learning_rate=values.learning_rate * LORA_RATE,
                last_learning_rate=values.last_learning_rate * LORA_RATE,
            )
        return values.shared_by(self.devices)

    def setup(self, config: Config) -> TrainingSetup:
        """Return what the trainer's config says, for a run with *config*.

        Raises:
            ExportError: there is no model to train.
        """
        return TrainingSetup(
            model_to_train(config, self),
            self.devices,
            self.hyperparameters,
            self.template,
            self.lora,
            self.method,
        )


def model_to_train(config: Config, request: HandoverRequest) -> str:
    """Return the name of the model to train.

    Raises:
        ExportError: the run has no target model, and the request names none.
    """
    model = request.model or config.target.model.partition("/")[2]
    if not model:
        raise ExportError("this run has no target model: name the model to train with --model")
    return model


def is_doubtful(model: str) -> bool:
    """Whether *model* looks neither like a Hub name (owner/name) nor is an existing folder."""
    return not _HUB_NAME.fullmatch(model) and not Path(model).is_dir()


def write_handover(
    run: Folder,
    config: Config,
    ledger: LedgerReader,
    request: HandoverRequest,
    to: Path,
    *,
    force: bool = False,
) -> int:
    """Write the folder *to* and return the number of rows; existing files only with *force*.

    Raises:
        WriteError: *to* cannot be written.
        ExportError: there is no model to train.
    """
    setup = request.setup(config)
    if request.method == "dpo":
        RECIPES[config.recipe].check_exports(("preference",), str(run.path))
    for name in (DATA_FILE, CARD_FILE, *request.trainer.files(setup)):
        check_replaceable(to / name, force=force)
    samples = preferences_of_run if request.method == "dpo" else pairs_of_run
    rows = samples(ledger.kept(config.target_rows))
    count = write_trainer_folder(to, request.trainer, setup, rows)
    facts = CardFacts(
        config=config,
        manifest=run.read_manifest(),
        summary=summarise(config, ledger, Counters(), ending="so far", reason=""),
        contents=read_contents(ledger.kept(config.target_rows)),
        language=request.language,
        files=(
            (DATA_FILE, f"the rows, as {request.trainer.name} reads them for {request.method}"),
            (CONFIG_FILE, f"a training: `{request.trainer.command(setup)}`"),
        ),
    )
    replace_file(to / CARD_FILE, card_text(facts).encode("utf-8", "backslashreplace"))
    return count
