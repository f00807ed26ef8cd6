"""What a trainer's folder is made of, whichever the trainer: a setup, a row, its settings."""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from ...data.formats import ExportError
from ..config_yaml import config_yaml
from ..hyperparameters import Hyperparameters
from ..pairs import Sample

DATA_FILE = "train.jsonl"
CARD_FILE = "README.md"
CONFIG_FILE = "config.yaml"
DATASET_NAME = "codeclm"

PromptTemplate = Literal["alpaca", "chat"]
"""alpaca: Alpaca's prompt around each instruction. chat: the model's own chat template."""

Method = Literal["sft", "dpo"]
"""sft: supervised, on the better answers. dpo: on preferences between both (Rafailov et al.)."""

BETA: Final = 0.1
"""Of DPO: how strongly the tuned model is held to where it began."""

LORA_RANK: Final = 16
LORA_ALPHA: Final = 32
LORA_DROPOUT: Final = 0.0
LORA_RATE: Final = 10
"""How many times the learning rate of full fine-tuning an adapter takes."""


class TrainingSetup(NamedTuple):
    """The contents of a config: the model to train, and how.

    Attributes:
        model: to train.
        devices: that share a batch.
        hyperparameters: of the training.
        template: of the prompt.
        lora: train an adapter instead of all weights.
        method: what is learned from.
    """

    model: str
    devices: int
    hyperparameters: Hyperparameters
    template: PromptTemplate = "alpaca"
    lora: bool = False
    method: Method = "sft"

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
    row: Callable[[TrainingSetup, Sample], dict[str, Any]]
    files: Callable[[TrainingSetup], dict[str, str]]
    command: Callable[[TrainingSetup], str]


_PAPERS = """
The paper's training (CodecLM, A.4): AdamW {h.beta1:g}/{h.beta2:g}, {h.epochs:g} epochs, learning
rate {h.learning_rate:g} falling linearly to {h.last_learning_rate:g} (polynomial with power 1:
`linear` would end at 0), batches of {h.batch}, {h.max_length} tokens. Chosen here, since the paper
does not say: {template}, loss on the response only, weight decay {h.weight_decay:g}, no
warm-up, bf16. A batch is {h.device_batch} x {accumulation} accumulated x {devices} device(s).
"""

_OURS = """
{what}, not in the paper. AdamW {h.beta1:g}/{h.beta2:g}, {h.epochs:g} epoch(s), learning rate
{h.learning_rate:g} falling linearly to {h.last_learning_rate:g} (polynomial with power 1: `linear`
would end at 0), batches of {h.batch}, {h.max_length} tokens, {template}, weight decay
{h.weight_decay:g}, no warm-up, bf16.
A batch is {h.device_batch} x {accumulation} accumulated x {devices} device(s).
"""

_TEMPLATES: Final[dict[PromptTemplate, str]] = {
    "alpaca": "Alpaca's template",
    "chat": "the model's own chat template",
}


def write_config(setup: TrainingSetup, note: str, values: dict[str, Any]) -> str:
    """Write *values* below a comment that says where the settings are from."""
    adapter = f"LoRA of rank {LORA_RANK} on all linear layers" if setup.lora else ""
    what = " with ".join(filter(None, ("DPO" if setup.method == "dpo" else "", adapter)))
    comment = (_OURS if what else _PAPERS).format(
        h=setup.hyperparameters,
        accumulation=setup.accumulation,
        devices=setup.devices,
        template=_TEMPLATES[setup.template],
        what=what,
    )
    return config_yaml(f"{comment.strip()}\n{note}", values)


BOOKKEEPING: Final[dict[str, Any]] = {
    "bf16": True,
    "logging_steps": 1,
    "save_strategy": "epoch",
    "save_total_limit": 1,
}


def turn(role: str, content: str) -> dict[str, str]:
    """Return a message of a conversation."""
    return {"role": role, "content": content}
