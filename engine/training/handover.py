"""Write a trainer's folder from a run: data, config, card."""

import re
from pathlib import Path
from typing import NamedTuple

from ..calls.counters import Counters
from ..config import Config
from ..data.formats import ExportError
from ..disk.atomic import check_replaceable, replace_file
from ..reporting.summary import summarise
from ..store.folder import Folder
from ..store.reader import LedgerReader
from .card import CardFacts, card_text, read_contents
from .hyperparameters import Hyperparameters
from .pairs import pairs_of_run
from .trainers import (
    CARD_FILE,
    CONFIG_FILE,
    DATA_FILE,
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
    """

    trainer: Trainer
    model: str | None = None
    devices: int = 1
    language: str = "en"

    @property
    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters().shared_by(self.devices)


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
    setup = TrainingSetup(model_to_train(config, request), request.devices, request.hyperparameters)
    for name in (DATA_FILE, CARD_FILE, *request.trainer.files(setup)):
        check_replaceable(to / name, force=force)
    pairs = pairs_of_run(ledger.kept(config.target_rows))
    count = write_trainer_folder(to, request.trainer, setup, pairs)
    facts = CardFacts(
        config=config,
        manifest=run.read_manifest(),
        summary=summarise(config, ledger, Counters(), ending="so far", reason=""),
        contents=read_contents(ledger.kept(config.target_rows)),
        language=request.language,
        files=(
            (DATA_FILE, f"the pairs, as {request.trainer.name} reads them"),
            (CONFIG_FILE, f"the paper's training: `{request.trainer.command}`"),
        ),
    )
    replace_file(to / CARD_FILE, card_text(facts).encode("utf-8", "backslashreplace"))
    return count
