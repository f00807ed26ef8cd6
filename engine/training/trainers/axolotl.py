"""axolotl."""

from typing import Any, Final

from ....providers.transformers.alpaca import ALPACA, alpaca
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

_PROMPT: Final[dict[str, Any]] = {
    "field_instruction": "instruction",
    "field_output": "output",
    "format": ALPACA,
    "no_input_format": ALPACA,
}

_PREFERENCE: Final[dict[str, Any]] = {
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "prompt_format": "{prompt}",
    "chosen_format": "{chosen}",
    "rejected_format": "{rejected}",
}


def _row(setup: TrainingSetup, sample: Sample) -> dict[str, Any]:
    is_chat = setup.template == "chat"
    question = turn("user", sample.instruction)
    if not isinstance(sample, Preference):
        if is_chat:
            return {"messages": [question, turn("assistant", sample.answer)]}
        return {"instruction": sample.instruction, "output": sample.answer}
    answers = {"chosen": sample.answer, "rejected": sample.rejected}
    if is_chat:
        turns = {name: turn("assistant", text) for name, text in answers.items()}
        return {"messages": [question], **turns}
    return {"prompt": alpaca(sample.instruction), **answers}


def _dataset(setup: TrainingSetup) -> dict[str, Any]:
    data = {"path": DATA_FILE, "ds_type": "json", "split": "train"}
    if setup.method == "sft":
        chat = {"type": "chat_template", "field_messages": "messages"}
        return data | (chat if setup.template == "chat" else {"type": _PROMPT})
    chat = {"type": "chat_template.default", "field_messages": "messages"}
    return data | (chat if setup.template == "chat" else {"type": _PREFERENCE})


def _files(setup: TrainingSetup) -> dict[str, str]:
    values: dict[str, Any] = {
        "base_model": setup.model,
        **({"rl": "dpo", "rl_beta": BETA} if setup.method == "dpo" else {}),
        **({"chat_template": "tokenizer_default"} if setup.template == "chat" else {}),
        "datasets": [_dataset(setup)],
        "output_dir": "tuned",
        "train_on_inputs": False,
        "sequence_len": setup.hyperparameters.max_length,
        "excess_length_strategy": "truncate",
        "sample_packing": False,
        **(_lora() if setup.lora else {}),
        **_arguments(setup),
        **BOOKKEEPING,
        "gradient_checkpointing": True,
    }
    return {CONFIG_FILE: write_config(setup, _note(setup), values)}


def _note(setup: TrainingSetup) -> str:
    if setup.template == "chat":
        return "The tokenizer must have a chat template: name another with `chat_template`."
    return "The prompt is spelled out: what `type: alpaca` adds has changed between versions."


def _lora() -> dict[str, Any]:
    return {
        "adapter": "lora",
        "lora_r": LORA_RANK,
        "lora_alpha": LORA_ALPHA,
        "lora_dropout": LORA_DROPOUT,
        "lora_target_linear": True,
    }


def _arguments(setup: TrainingSetup) -> dict[str, Any]:
    """Return transformers' settings under axolotl's names."""
    names = {
        "num_train_epochs": "num_epochs",
        "lr_scheduler_type": "lr_scheduler",
        "optim": "optimizer",
        "per_device_train_batch_size": "micro_batch_size",
    }
    return {names.get(key, key): value for key, value in setup.transformers_arguments.items()}


def _command(setup: TrainingSetup) -> str:
    del setup
    return f"axolotl train {CONFIG_FILE}"


AXOLOTL = Trainer("axolotl", _row, _files, _command)
