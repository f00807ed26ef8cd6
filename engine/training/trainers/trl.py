"""TRL: `trl sft` and `trl dpo`; Unsloth's trainers read the same rows."""

from typing import Any

from ....providers.transformers.alpaca import alpaca
from ..pairs import Preference, Sample
from .setup import (
    BETA,
    BOOKKEEPING,
    CONFIG_FILE,
    DATA_FILE,
    LORA_ALPHA,
    LORA_DROPOUT,
    LORA_RANK,
    Trainer,
    TrainingSetup,
    turn,
    write_config,
)


def _row(setup: TrainingSetup, sample: Sample) -> dict[str, Any]:
    """Return a prompt with a completion, or with what was chosen and what was rejected."""
    answers = {"completion": sample.answer}
    if isinstance(sample, Preference):
        answers = {"chosen": sample.answer, "rejected": sample.rejected}
    if setup.template == "alpaca":
        return {"prompt": alpaca(sample.instruction), **answers}
    turns = {name: [turn("assistant", text)] for name, text in answers.items()}
    return {"prompt": [turn("user", sample.instruction)], **turns}


def _files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "model_name_or_path": setup.model,
        "datasets": [{"path": "json", "data_files": DATA_FILE, "split": "train"}],
        "output_dir": "tuned",
        "max_length": setup.hyperparameters.max_length,
        "truncation_mode": "keep_start",
        **({"beta": BETA} if setup.method == "dpo" else {"completion_only_loss": True}),
        **(_lora() if setup.lora else {}),
        **setup.transformers_arguments,
        **BOOKKEEPING,
        "report_to": "none",
    }
    note = "TRL adds the end-of-text token to each completion."
    return {CONFIG_FILE: write_config(setup, note, values)}


def _lora() -> dict[str, Any]:
    return {
        "use_peft": True,
        "lora_r": LORA_RANK,
        "lora_alpha": LORA_ALPHA,
        "lora_dropout": LORA_DROPOUT,
        "lora_target_modules": "all-linear",
    }


def _command(setup: TrainingSetup) -> str:
    return f"trl {setup.method} --config {CONFIG_FILE}"


TRL = Trainer("trl", _row, _files, _command)
