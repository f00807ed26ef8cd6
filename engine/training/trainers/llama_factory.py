"""LLaMA-Factory."""

from typing import Any

import msgspec

from ....providers import json_codec
from ..pairs import Preference, Sample
from .setup import (
    BETA,
    BOOKKEEPING,
    CONFIG_FILE,
    DATA_FILE,
    DATASET_NAME,
    LORA_ALPHA,
    LORA_DROPOUT,
    LORA_RANK,
    Trainer,
    TrainingSetup,
    write_config,
)


def _row(setup: TrainingSetup, sample: Sample) -> dict[str, Any]:
    del setup
    row = {"instruction": sample.instruction, "input": ""}
    if isinstance(sample, Preference):
        return row | {"chosen": sample.answer, "rejected": sample.rejected}
    return row | {"output": sample.answer}


def _files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "model_name_or_path": setup.model,
        "stage": setup.method,
        "do_train": True,
        **(_lora() if setup.lora else {"finetuning_type": "full"}),
        **({"pref_beta": BETA, "pref_loss": "sigmoid"} if setup.method == "dpo" else {}),
        "dataset": DATASET_NAME,
        "dataset_dir": ".",
        **({"template": "alpaca"} if setup.template == "alpaca" else {}),
        "cutoff_len": setup.hyperparameters.max_length,
        "train_on_prompt": False,
        "packing": False,
        "output_dir": "tuned",
        **setup.transformers_arguments,
        **BOOKKEEPING,
        "report_to": "none",
    }
    note = "cutoff_len shortens prompt and response in proportion, not only on the right."
    if setup.template == "chat":
        note += (
            "\nWithout `template` it parses the tokenizer's own; name the model's if it has one."
        )
    columns = {"prompt": "instruction", "query": "input"}
    info: dict[str, Any] = {"file_name": DATA_FILE, "formatting": "alpaca"}
    if setup.method == "dpo":
        info |= {"ranking": True, "columns": columns | {"chosen": "chosen", "rejected": "rejected"}}
    else:
        info |= {"columns": columns | {"response": "output"}}
    formatted = msgspec.json.format(json_codec.dumps({DATASET_NAME: info}), indent=2)
    return {
        CONFIG_FILE: write_config(setup, note, values),
        "dataset_info.json": formatted.decode() + "\n",
    }


def _lora() -> dict[str, Any]:
    return {
        "finetuning_type": "lora",
        "lora_rank": LORA_RANK,
        "lora_alpha": LORA_ALPHA,
        "lora_dropout": LORA_DROPOUT,
        "lora_target": "all",
    }


def _command(setup: TrainingSetup) -> str:
    del setup
    return f"llamafactory-cli train {CONFIG_FILE}"


LLAMA_FACTORY = Trainer("llama-factory", _row, _files, _command)
