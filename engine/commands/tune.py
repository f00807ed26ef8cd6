"""``codeclm tune``: fine-tune a model on this machine with the paper's settings."""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from ..config import ConfigError
from ..data.formats import ExportError
from ..reporting.runs import open_run
from ..store.folder import Folder
from ..training.hyperparameters import Hyperparameters
from ..training.pairs import Pair, pairs_of_run, read_pairs
from ..training.tuning import MODEL_FILES, RECORD_FILE, TuningJob, TuningRecord, tune
from .arguments import (
    add_examples,
    add_force,
    add_json,
    add_limit,
    add_model,
    positive_integer,
)
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN|FILE --model DIR|NAME --out DIR [options]"
    parser.add_argument(
        "data", type=Path, metavar="RUN|FILE", help="a run's folder, or a JSON-lines file"
    )
    add_model(parser)
    parser.add_argument(
        "--out", "-o", type=Path, required=True, metavar="DIR", help="folder of the tuned model"
    )
    _add_hyperparameters(parser)
    _add_training(parser)
    add_force(parser)
    add_json(parser)
    add_examples(
        parser,
        "codeclm tune runs/big --model Qwen/Qwen3-0.6B --out tuned",
        "codeclm tune rows.jsonl --model smollm2 --out tuned --epochs 3 --lr 2e-5",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--template",
        choices=("alpaca", "chat"),
        default="alpaca",
        help="format of the prompt: alpaca (default), or chat: the model's own chat template",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp32"),
        default="auto",
        help="number format (default: auto: bf16 on a GPU, else fp32)",
    )
    add_limit(parser, "rows")
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="FILE",
        help="rows that are not trained on; their loss is measured before and after",
    )
    parser.add_argument(
        "--save-steps",
        type=positive_integer,
        metavar="N",
        help="save a checkpoint every N steps (default: after each epoch)",
    )


_HYPERPARAMETERS = (
    ("--epochs", "epochs", float, "passes over the data (paper: 15)"),
    ("--lr", "learning_rate", float, "learning rate at the start (paper: 1e-5)"),
    ("--last-lr", "last_learning_rate", float, "learning rate at the end (paper: 1e-6)"),
    ("--batch", "batch", int, "examples per optimiser step (paper: 64)"),
    ("--device-batch", "device_batch", int, "examples at a time; fewer take less memory (8)"),
    ("--max-length", "max_length", int, "tokens per example; longer ones are truncated (2,048)"),
    ("--weight-decay", "weight_decay", float, "weight decay of AdamW (0.1)"),
    ("--seed", "seed", int, "random seed of the order of examples (0)"),
)


def _add_hyperparameters(parser: argparse.ArgumentParser) -> None:
    for flag, field, kind, text in _HYPERPARAMETERS:
        parser.add_argument(flag, dest=f"hyperparameter {field}", type=kind, metavar="N", help=text)


def run(args: argparse.Namespace) -> int:
    job = TuningJob(
        model=args.model,
        pairs=_read_pairs(args.data, args.limit),
        held_out=read_pairs(args.held_out) if args.held_out else (),
        hyperparameters=_read_hyperparameters(args),
        template=args.template,
        precision=args.precision,
        save_steps=args.save_steps,
    )
    folder = Folder(args.out)
    is_ours = (args.out / RECORD_FILE).is_file()
    folder.make(force=args.force, results=() if is_ours else MODEL_FILES)
    with folder.locked():
        result = tune(job, args.out, print_message)
    if args.json:
        print_json(result)
    else:
        print_text(_result_text(result, args.out))
    return ExitStatus.DONE


def _read_hyperparameters(args: argparse.Namespace) -> Hyperparameters:
    values: dict[str, Any] = {
        field: value
        for _, field, *_ in _HYPERPARAMETERS
        if (value := vars(args)[f"hyperparameter {field}"]) is not None
    }
    if "batch" in values and "device_batch" not in values:
        values["device_batch"] = min(values["batch"], Hyperparameters().device_batch)
    try:
        hyperparameters = msgspec.convert(values, Hyperparameters)
        hyperparameters.accumulation()
    except ValueError as error:
        raise ConfigError(f"command line: {error}") from error
    if hyperparameters.last_learning_rate >= hyperparameters.learning_rate:
        raise ConfigError("command line: --last-lr must be below --lr")
    return hyperparameters


def _read_pairs(data: Path, limit: int | None) -> list[Pair]:
    if not data.is_dir():
        return read_pairs(data, limit)
    with open_run(data) as reader:
        rows = list(islice(pairs_of_run(reader.rows()), limit))
    if not rows:
        raise ExportError(f"{data}: the run has no rows yet")
    return rows


def _result_text(result: TuningRecord, out: Path) -> str:
    first, last = result.steps[0], result.steps[-1]
    lines = [
        (
            f"{result.trained:,} rows, {len(result.steps):,} steps, {result.seconds:,.0f} s"
            f" on {result.device}"
        ),
        f"training loss: {first.loss:.3f} in the first step, {last.loss:.3f} in the last",
    ]
    if (held_out := result.held_out) and held_out.after is not None:
        lines.append(
            f"held out: {held_out.before:.3f} nats per token before, {held_out.after:.3f} after"
            f" ({held_out.rows:,} answers, {held_out.tokens:,} tokens)"
        )
    return "\n".join([*lines, f"model: {out}"])
