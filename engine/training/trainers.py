"""A dataset folder that a trainer takes as it is: rows in its format, a config with the recipe.

The keys were looked up in the trainers' sources, see ``tests/trainer_keys.json``. All three hand
the schedule to transformers, whose ``linear`` ends at 0 and whose ``polynomial`` with ``power`` 1
is a line from the learning rate to ``lr_end``: so "linearly to 1e-6" is written everywhere.
Knows no ledger and no card.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...providers import json_codec
from ..data.formats import ExportError
from ..disk.atomic import replace_file, replacing
from .pairs import Pair
from .recipe import ALPACA, Recipe, alpaca

DATA = "train.jsonl"
NAME = "codeclm"


class Job(NamedTuple):
    """What a config says beside the recipe: ``model`` is the one to train, ``devices`` how many."""

    model: str
    devices: int
    recipe: Recipe


class Trainer(NamedTuple):
    row: Callable[[Pair], dict[str, Any]]
    files: Callable[[Job], dict[str, str]]
    command: str


def write(folder: Path, trainer: str, job: Job, pairs: Iterable[Pair]) -> int:
    """Write the data and the config of *trainer* into *folder*, and count the rows.

    Raises:
        WriteError: *folder* cannot be written.
    """
    chosen = TRAINERS[trainer]
    count = 0
    with replacing(folder / DATA) as file:
        for pair in pairs:
            file.write(json_codec.dumps(chosen.row(pair)) + b"\n")
            count += 1
    for name, text in chosen.files(job).items():
        replace_file(folder / name, text.encode())
    return count


# -- the YAML all three read ------------------------------------------------------------------


def _yaml(said: str, values: dict[str, Any]) -> str:
    """Write *values* so that YAML 1.1 and 1.2 read the same; *said* becomes a comment on top."""
    lines = [f"# {line}".rstrip() for line in said.strip().splitlines()]
    return "\n".join([*lines, *_lines(values, "")]) + "\n"


def _lines(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                first, *rest = _lines(item, f"{indent}    ")  # pyright: ignore[reportUnknownArgumentType]
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        # PyYAML takes 1e-05 for a text: it wants the point.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"
    return msgspec.json.encode(value).decode()  # JSON's texts, numbers and booleans are YAML's


_SAID = """
The paper's training (CodecLM, A.4): AdamW {r.beta1:g}/{r.beta2:g}, {r.epochs:g} epochs, learning
rate {r.learning_rate:g} falling linearly to {r.last_learning_rate:g} (polynomial with power 1:
`linear` would end at 0), batches of {r.batch}, {r.max_length} tokens. Chosen where the paper is
silent: Alpaca's template, loss on the response only, weight decay {r.weight_decay:g}, no warm-up,
bf16. A batch is {r.device_batch} x {accumulation} accumulated x {devices} device(s).
"""


def _said(job: Job, *more: str) -> str:
    told = _SAID.format(r=job.recipe, accumulation=_accumulation(job), devices=job.devices)
    return "\n".join([told.strip(), *more])


def _accumulation(job: Job) -> int:
    try:
        return job.recipe.accumulation(job.devices)
    except ValueError as error:
        raise ExportError(str(error)) from error


def transformers_arguments(recipe: Recipe, devices: int = 1) -> dict[str, Any]:
    """Return the recipe as ``transformers.TrainingArguments`` names it, without precision."""
    return {
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "polynomial",
        "lr_scheduler_kwargs": {"lr_end": recipe.last_learning_rate, "power": 1.0},
        "warmup_steps": 0,
        "optim": "adamw_torch",
        "adam_beta1": recipe.beta1,
        "adam_beta2": recipe.beta2,
        "weight_decay": recipe.weight_decay,
        "per_device_train_batch_size": recipe.device_batch,
        "gradient_accumulation_steps": recipe.accumulation(devices),
        "seed": recipe.seed,
    }


# -- TRL --------------------------------------------------------------------------------------


def _trl_row(pair: Pair) -> dict[str, Any]:
    return {"prompt": alpaca(pair.instruction), "completion": pair.answer}


def _trl_files(job: Job) -> dict[str, str]:
    _accumulation(job)
    values: dict[str, Any] = {
        "model_name_or_path": job.model,
        "datasets": [{"path": "json", "data_files": DATA, "split": "train"}],
        "output_dir": "tuned",
        "max_length": job.recipe.max_length,
        "truncation_mode": "keep_start",
        "completion_only_loss": True,
        **transformers_arguments(job.recipe, job.devices),
        "bf16": True,
        "logging_steps": 1,
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "report_to": "none",
    }
    return {
        "config.yaml": _yaml(
            _said(job, "TRL adds the end-of-text token to each completion."), values
        )
    }


# -- axolotl ----------------------------------------------------------------------------------


def _axolotl_row(pair: Pair) -> dict[str, Any]:
    return {"instruction": pair.instruction, "output": pair.answer}


def _axolotl_files(job: Job) -> dict[str, str]:
    recipe = job.recipe
    prompt = {
        "field_instruction": "instruction",
        "field_output": "output",
        "format": ALPACA,
        "no_input_format": ALPACA,
    }
    values: dict[str, Any] = {
        "base_model": job.model,
        "datasets": [{"path": DATA, "ds_type": "json", "type": prompt}],
        "output_dir": "tuned",
        "train_on_inputs": False,
        "sequence_len": recipe.max_length,
        "excess_length_strategy": "truncate",
        "sample_packing": False,
        "num_epochs": recipe.epochs,
        "micro_batch_size": recipe.device_batch,
        "gradient_accumulation_steps": _accumulation(job),
        "optimizer": "adamw_torch",
        "adam_beta1": recipe.beta1,
        "adam_beta2": recipe.beta2,
        "weight_decay": recipe.weight_decay,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler": "polynomial",
        "lr_scheduler_kwargs": {"lr_end": recipe.last_learning_rate, "power": 1.0},
        "warmup_steps": 0,
        "bf16": True,
        "gradient_checkpointing": True,
        "logging_steps": 1,
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "seed": recipe.seed,
    }
    why = "The prompt is spelled out: what `type: alpaca` puts around it has changed over versions."
    return {"config.yaml": _yaml(_said(job, why), values)}


# -- LLaMA-Factory ----------------------------------------------------------------------------


def _factory_row(pair: Pair) -> dict[str, Any]:
    return {"instruction": pair.instruction, "input": "", "output": pair.answer}


def _factory_files(job: Job) -> dict[str, str]:
    _accumulation(job)
    values: dict[str, Any] = {
        "model_name_or_path": job.model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "dataset": NAME,
        "dataset_dir": ".",
        "template": "alpaca",
        "cutoff_len": job.recipe.max_length,
        "train_on_prompt": False,
        "packing": False,
        "output_dir": "tuned",
        **transformers_arguments(job.recipe, job.devices),
        "bf16": True,
        "logging_steps": 1,
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "report_to": "none",
    }
    why = "cutoff_len shortens prompt and response in proportion, not the right end alone."
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    info = {NAME: {"file_name": DATA, "formatting": "alpaca", "columns": columns}}
    return {
        "config.yaml": _yaml(_said(job, why), values),
        "dataset_info.json": msgspec.json.format(json_codec.dumps(info), indent=2).decode() + "\n",
    }


TRAINERS = {
    "trl": Trainer(_trl_row, _trl_files, "trl sft --config config.yaml"),
    "axolotl": Trainer(_axolotl_row, _axolotl_files, "axolotl train config.yaml"),
    "llama-factory": Trainer(_factory_row, _factory_files, "llamafactory-cli train config.yaml"),
}
"""By the names that ``--trainer`` takes; ``command`` is run inside the folder."""
