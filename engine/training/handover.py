"""From a run to a folder that a trainer takes: rows, config, card."""

import re
from pathlib import Path
from typing import NamedTuple

from ..calls.counters import Counters
from ..config import Config
from ..data.formats import ExportError
from ..disk.atomic import replace_file
from ..reporting.summary import summarise
from ..store.folder import Folder
from ..store.reader import LedgerReader
from . import card, pairs, trainers
from .recipe import Recipe

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class Wanted(NamedTuple):
    """``model`` None: what the run calls its target, without the provider."""

    trainer: str
    model: str | None = None
    devices: int = 1
    language: str = "en"


def command(trainer: str) -> str:
    """Say what to run in the folder."""
    return trainers.TRAINERS[trainer].command


def model_of(config: Config, wanted: Wanted) -> str:
    """Return the name of the model to train.

    Raises:
        ExportError: the run has no target model, and none is wanted.
    """
    model = wanted.model or config.target.model.partition("/")[2]
    if not model:
        raise ExportError("this run has no target model: name the one to train with --model")
    return model


def is_doubtful(model: str) -> bool:
    """Whether *model* looks like neither a Hub name (owner/name) nor a folder that is there."""
    return not _HUB_NAME.fullmatch(model) and not Path(model).is_dir()


def write(run: Folder, config: Config, ledger: LedgerReader, wanted: Wanted, to: Path) -> int:
    """Write the folder *to*, and count its rows.

    Raises:
        WriteError: *to* cannot be written.
        ExportError: there is no model to train.
    """
    model = model_of(config, wanted)
    job = trainers.Job(model, wanted.devices, Recipe().shared_by(wanted.devices))
    kept = config.target_rows
    count = trainers.write(to, wanted.trainer, job, pairs.of_run(ledger.kept(kept)))
    facts = card.Facts(
        config=config,
        manifest=run.read_manifest(),
        summary=summarise(config, ledger, Counters(), ending="so far", reason=""),
        contents=card.contents(ledger.kept(kept)),
        language=wanted.language,
        files=(
            (trainers.DATA, f"the pairs, as {wanted.trainer} reads them"),
            ("config.yaml", f"the paper's training: `{command(wanted.trainer)}`"),
        ),
    )
    replace_file(to / "README.md", card.card(facts).encode("utf-8", "backslashreplace"))
    return count
