"""The trainers that `codeclm export --trainer` writes a folder for: data and a config each.

A trainer is one row of `TRAINERS`. The keys come from the trainers' sources, see
``tests/trainer_keys.json``. All three pass the schedule to transformers, whose ``linear`` ends at 0
and whose ``polynomial`` with ``power`` 1 is a straight line from the learning rate to ``lr_end``.
"""

from collections.abc import Iterable
from pathlib import Path

from ....providers import json_codec
from ...data.formats import ExportError
from ...disk.atomic import replace_file, replacing
from ..pairs import Sample
from .axolotl import AXOLOTL
from .llama_factory import LLAMA_FACTORY
from .setup import (
    CARD_FILE,
    CONFIG_FILE,
    DATA_FILE,
    LORA_RATE,
    Method,
    PromptTemplate,
    Trainer,
    TrainingSetup,
)
from .trl import TRL

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "DATA_FILE",
    "LORA_RATE",
    "TRAINERS",
    "Method",
    "PromptTemplate",
    "Trainer",
    "TrainingSetup",
    "find_trainer",
    "write_trainer_folder",
]

TRAINERS = (TRL, AXOLOTL, LLAMA_FACTORY)


def write_trainer_folder(
    folder: Path, trainer: Trainer, setup: TrainingSetup, samples: Iterable[Sample]
) -> int:
    """Write data and config for *trainer* into *folder*; return the number of rows.

    Raises:
        WriteError: *folder* cannot be written.
        ExportError: the devices cannot share a batch evenly.
    """
    count = 0
    with replacing(folder / DATA_FILE) as file:
        for sample in samples:
            file.write(json_codec.dumps(trainer.row(setup, sample)) + b"\n")
            count += 1
    for name, text in trainer.files(setup).items():
        replace_file(folder / name, text.encode())
    return count


def find_trainer(name: str) -> Trainer:
    """Return the trainer called *name*.

    Raises:
        ExportError: no trainer has this name; the message lists those that exist.
    """
    for trainer in TRAINERS:
        if trainer.name == name:
            return trainer
    available = ", ".join(trainer.name for trainer in TRAINERS)
    raise ExportError(f"unknown trainer {name!r}: available: {available}")
