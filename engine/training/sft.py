"""Supervised fine-tuning with TRL, resumed from checkpoints."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from ...providers.transformers.model import LocalModel
from .hyperparameters import Hyperparameters
from .models import EncodedPair, library
from .trainers import TrainingSetup


class TrainingStep(Struct, frozen=True):
    """An optimiser step. ``loss`` is the mean over the step's response tokens, in nats."""

    number: int
    loss: float
    learning_rate: float


class SFTSettings(NamedTuple):
    """How to train.

    Attributes:
        hyperparameters: of the training.
        precision: bf16 or fp32.
        device: cuda or cpu.
        save_steps: steps between checkpoints; None: one at the end of each epoch.
    """

    hyperparameters: Hyperparameters
    precision: str
    device: str
    save_steps: int | None


class SFTResult(NamedTuple):
    """All optimiser steps, and the seconds that this session took."""

    steps: tuple[TrainingStep, ...]
    seconds: float


def train(
    local: LocalModel,
    pairs: Sequence[EncodedPair],
    settings: SFTSettings,
    checkpoints: Path,
    report: Callable[[str], object],
) -> SFTResult:
    """Train *local* in place, from the last checkpoint in *checkpoints* if there is one."""
    trl, datasets = library("trl"), library("datasets")
    datasets.disable_progress_bars()
    library("transformers").set_seed(settings.hyperparameters.seed)
    table = {"input_ids": [p.ids for p in pairs], "labels": [p.labels for p in pairs]}
    trainer = trl.SFTTrainer(
        model=local.model,
        args=trl.SFTConfig(**_arguments(settings, checkpoints)),
        train_dataset=datasets.Dataset.from_dict(table),
        processing_class=local.tokenizer,
        callbacks=[_reporter(report)],
    )
    trainer.remove_callback(library("transformers").PrinterCallback)
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
    steps = tuple(
        TrainingStep(entry["step"], entry["loss"], entry["learning_rate"])
        for entry in trainer.state.log_history
        if "loss" in entry
    )
    return SFTResult(steps, round(time.monotonic() - start, 1))


def _arguments(settings: SFTSettings, checkpoints: Path) -> dict[str, Any]:
    """Return the arguments of TRL's ``SFTConfig``."""
    hyperparameters, on_cpu = settings.hyperparameters, settings.device == "cpu"
    saving: dict[str, Any] = {"save_strategy": "epoch"}
    if settings.save_steps:
        saving = {"save_strategy": "steps", "save_steps": settings.save_steps}
    return {
        **TrainingSetup("", 1, hyperparameters).transformers_arguments,
        **saving,
        "output_dir": str(checkpoints),
        "max_length": hyperparameters.max_length,
        "bf16": settings.precision == "bf16",
        "use_cpu": on_cpu,
        **({_checkpointing_argument(): False} if on_cpu else {}),  # TRL's default is on
        "dataloader_pin_memory": not on_cpu,
        "save_total_limit": 1,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": "none",
    }


def _checkpointing_argument() -> str:
    """Return transformers' name for recomputing activations: version 5 renamed it."""
    fields = library("trl").SFTConfig.__dataclass_fields__
    new, old = "activation_checkpointing", "gradient_checkpointing"
    return new if new in fields else old


def _last_checkpoint(folder: Path) -> str | None:
    """Return the last complete checkpoint, and remove those that were being written."""
    complete = list[tuple[int, Path]]()
    for path in folder.glob("checkpoint-*"):
        # the last file that transformers writes into a checkpoint
        if (path / "trainer_state.json").exists():
            complete.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path)
    return str(max(complete)[1]) if complete else None


def _reporter(report: Callable[[str], object]) -> Any:
    """Make a transformers callback that reports about twenty steps."""
    base: Any = library("transformers").TrainerCallback

    def on_log(_self: Any, _args: Any, state: Any, _control: Any, **more: Any) -> None:
        logs, every = more["logs"], max(1, state.max_steps // 20)
        if "loss" in logs and (state.global_step % every == 0 or state.global_step == 1):
            report(
                f"step {state.global_step:,} of {state.max_steps:,}: loss {logs['loss']:.3f},"
                f" learning rate {logs['learning_rate']:.2e}"
            )

    return type("Reporter", (base,), {"on_log": on_log})()
