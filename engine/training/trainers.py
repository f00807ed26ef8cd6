"""The trainers that `codeclm export --trainer` writes a folder for: data and a config each.

A trainer is one row of `TRAINERS`. The keys come from the trainers' sources, see
``tests/trainer_keys.json``. All three pass the schedule to transformers, whose ``linear`` ends at 0
and whose ``polynomial`` with ``power`` 1 is a straight line from the learning rate to ``lr_end``.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...providers import json_codec
from ...providers.transformers.alpaca import ALPACA, alpaca
from ..data.formats import ExportError
from ..disk.atomic import replace_file, replacing
from .config_yaml import config_yaml
from .hyperparameters import Hyperparameters
from .pairs import Pair

DATA_FILE = "train.jsonl"
CARD_FILE = "README.md"
CONFIG_FILE = "config.yaml"
DATASET_NAME = "codeclm"


class TrainingSetup(NamedTuple):
    """The contents of a config: the model to train, and how. ``devices`` share a batch."""

    model: str
    devices: int
    hyperparameters: Hyperparameters

    @property
    def accumulation(self) -> int:
        """The forward passes of each device per optimiser step.

        Raises:
            ExportError: the devices cannot share a batch evenly.
        """
        try:
            return self.hyperparameters.accumulation(self.devices)
        except ValueError as error:
            raise ExportError(str(error)) from error

    @property
    def transformers_arguments(self) -> dict[str, Any]:
        """The hyperparameters as ``transformers.TrainingArguments``, without precision.

        Raises:
            ExportError: the devices cannot share a batch evenly.
        """
        values = self.hyperparameters
        return {
            "num_train_epochs": values.epochs,
            "learning_rate": values.learning_rate,
            "lr_scheduler_type": "polynomial",
            "lr_scheduler_kwargs": {"lr_end": values.last_learning_rate, "power": 1.0},
            "warmup_steps": 0,
            "optim": "adamw_torch",
            "adam_beta1": values.beta1,
            "adam_beta2": values.beta2,
            "weight_decay": values.weight_decay,
            "per_device_train_batch_size": values.device_batch,
            "gradient_accumulation_steps": self.accumulation,
            "seed": values.seed,
        }


class Trainer(NamedTuple):
    """A trainer, and how its folder is written.

    Attributes:
        name: as in ``--trainer``.
        row: makes a line of the data.
        files: makes the other files, by name.
        command: starts the training; run inside the folder.
    """

    name: str
    row: Callable[[Pair], dict[str, Any]]
    files: Callable[[TrainingSetup], dict[str, str]]
    command: str


def write_trainer_folder(
    folder: Path, trainer: Trainer, setup: TrainingSetup, pairs: Iterable[Pair]
) -> int:
    """Write data and config for *trainer* into *folder*; return the number of rows.

    Raises:
        WriteError: *folder* cannot be written.
        ExportError: the devices cannot share a batch evenly.
    """
    count = 0
    with replacing(folder / DATA_FILE) as file:
        for pair in pairs:
            file.write(json_codec.dumps(trainer.row(pair)) + b"\n")
            count += 1
    for name, text in trainer.files(setup).items():
        replace_file(folder / name, text.encode())
    return count


_COMMENT = """
The paper's training (CodecLM, A.4): AdamW {h.beta1:g}/{h.beta2:g}, {h.epochs:g} epochs, learning
rate {h.learning_rate:g} falling linearly to {h.last_learning_rate:g} (polynomial with power 1:
`linear` would end at 0), batches of {h.batch}, {h.max_length} tokens. Chosen here, since the paper
does not say: Alpaca's template, loss on the response only, weight decay {h.weight_decay:g}, no
warm-up, bf16. A batch is {h.device_batch} x {accumulation} accumulated x {devices} device(s).
"""


def _config(setup: TrainingSetup, note: str, values: dict[str, Any]) -> str:
    comment = _COMMENT.format(
        h=setup.hyperparameters, accumulation=setup.accumulation, devices=setup.devices
    )
    return config_yaml(f"{comment.strip()}\n{note}", values)


_BOOKKEEPING: dict[str, Any] = {
    "bf16": True,
    "logging_steps": 1,
    "save_strategy": "epoch",
    "save_total_limit": 1,
}


# -- TRL --------------------------------------------------------------------------------------


def _trl_row(pair: Pair) -> dict[str, Any]:
    return {"prompt": alpaca(pair.instruction), "completion": pair.answer}


def _trl_files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "model_name_or_path": setup.model,
        "datasets": [{"path": "json", "data_files": DATA_FILE, "split": "train"}],
        "output_dir": "tuned",
        "max_length": setup.hyperparameters.max_length,
        "truncation_mode": "keep_start",
        "completion_only_loss": True,
        **setup.transformers_arguments,
        **_BOOKKEEPING,
        "report_to": "none",
    }
    note = "TRL adds the end-of-text token to each completion."
    return {CONFIG_FILE: _config(setup, note, values)}


# -- axolotl ----------------------------------------------------------------------------------

_AXOLOTL_PROMPT: dict[str, Any] = {
    "field_instruction": "instruction",
    "field_output": "output",
    "format": ALPACA,
    "no_input_format": ALPACA,
}


def _axolotl_row(pair: Pair) -> dict[str, Any]:
    return {"instruction": pair.instruction, "output": pair.answer}


def _axolotl_files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "base_model": setup.model,
        "datasets": [{"path": DATA_FILE, "ds_type": "json", "type": _AXOLOTL_PROMPT}],
        "output_dir": "tuned",
        "train_on_inputs": False,
        "sequence_len": setup.hyperparameters.max_length,
        "excess_length_strategy": "truncate",
        "sample_packing": False,
        **_axolotl_arguments(setup),
        **_BOOKKEEPING,
        "gradient_checkpointing": True,
    }
    note = "The prompt is spelled out: what `type: alpaca` adds has changed between versions."
    return {CONFIG_FILE: _config(setup, note, values)}


def _axolotl_arguments(setup: TrainingSetup) -> dict[str, Any]:
    """Return transformers' settings under axolotl's names."""
    names = {
        "num_train_epochs": "num_epochs",
        "lr_scheduler_type": "lr_scheduler",
        "optim": "optimizer",
        "per_device_train_batch_size": "micro_batch_size",
    }
    return {names.get(key, key): value for key, value in setup.transformers_arguments.items()}


# -- LLaMA-Factory ----------------------------------------------------------------------------


def _llama_factory_row(pair: Pair) -> dict[str, Any]:
    return {"instruction": pair.instruction, "input": "", "output": pair.answer}


def _llama_factory_files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "model_name_or_path": setup.model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "dataset": DATASET_NAME,
        "dataset_dir": ".",
        "template": "alpaca",
        "cutoff_len": setup.hyperparameters.max_length,
        "train_on_prompt": False,
        "packing": False,
        "output_dir": "tuned",
        **setup.transformers_arguments,
        **_BOOKKEEPING,
        "report_to": "none",
    }
    note = "cutoff_len shortens prompt and response in proportion, not only on the right."
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    info = {DATASET_NAME: {"file_name": DATA_FILE, "formatting": "alpaca", "columns": columns}}
    return {
        CONFIG_FILE: _config(setup, note, values),
        "dataset_info.json": msgspec.json.format(json_codec.dumps(info), indent=2).decode() + "\n",
    }


TRAINERS = (
    Trainer("trl", _trl_row, _trl_files, "trl sft --config config.yaml"),
    Trainer("axolotl", _axolotl_row, _axolotl_files, "axolotl train config.yaml"),
    Trainer(
        "llama-factory",
        _llama_factory_row,
        _llama_factory_files,
        "llamafactory-cli train config.yaml",
    ),
)


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
