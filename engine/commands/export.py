"""``codeclm export``: the dataset in one of the export formats, or as a trainer's folder."""

import argparse
import shlex
from pathlib import Path
from typing import get_args

from ..api import exports
from ..data.formats import EXPORTS, ExportError
from ..disk.atomic import check_replaceable
from ..reporting.runs import open_run
from ..training.handover import HandoverRequest, is_doubtful, model_to_train, write_handover
from ..training.hyperparameters import Hyperparameters
from ..training.trainers import TRAINERS, PromptTemplate, find_trainer
from .arguments import add_examples, add_force, add_json, add_run_folder, language, positive_integer
from .documents import Written
from .exit_status import ExitStatus
from .output import print_json, print_message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN --to FILE|DIR [options]"
    add_run_folder(parser)
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help=f"{', '.join(EXPORTS.names())} (default: alpaca); with --trainer, preference writes a"
        " folder for DPO",
    )
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help="file to write: .jsonl, .json, .parquet, .jsonl.gz; with --trainer a folder",
    )
    parser.add_argument(
        "--with-metadata", action="store_true", help="add use case, skills, gap, … to each row"
    )
    add_force(parser)
    add_json(parser)
    _add_trainer(parser)
    add_examples(
        parser,
        "codeclm export runs/big --to rows.jsonl",
        "codeclm export runs/big --format messages --to rows.parquet --with-metadata",
        "# data, configuration and card for a trainer",
        "codeclm export runs/big --trainer trl --to sft",
        "# an adapter, trained on preferences in the model's own chat format",
        "codeclm export runs/big --trainer trl --format preference --lora \\",
        "    --template chat --to dpo",
    )


def _add_trainer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trainer",
        choices=[trainer.name for trainer in TRAINERS],
        help="write a folder for this trainer: data, configuration (the paper's), dataset card",
    )
    parser.add_argument(
        "--template",
        choices=get_args(PromptTemplate),
        default="alpaca",
        help="with --trainer: Alpaca's prompt, or the model's own chat template (default: alpaca)",
    )
    parser.add_argument(
        "--lora", action="store_true", help="with --trainer: train an adapter, not all weights"
    )
    parser.add_argument(
        "--model",
        metavar="DIR|NAME",
        help="with --trainer: the model to train (default: the target model)",
    )
    parser.add_argument(
        "--devices",
        type=positive_integer,
        default=1,
        metavar="N",
        help="with --trainer: the number of GPUs (default: 1)",
    )
    parser.add_argument(
        "--language",
        type=language,
        default="en",
        metavar="CODE",
        help="with --trainer: the data's language, for the card (default: en)",
    )


def run(args: argparse.Namespace) -> int:
    return _export_for_trainer(args) if args.trainer else _export(args)


def _export(args: argparse.Namespace) -> int:
    check_replaceable(args.to, force=args.force)
    repaired = list[str]()
    count = exports.export(
        args.folder,
        args.to,
        format=args.format or "alpaca",
        with_metadata=args.with_metadata,
        force=True,
        on_replacement=repaired.append,
    )
    _report(args, count, f"wrote {count:,} rows to {args.to}")
    if repaired:
        print_message(
            f"in {len(repaired):,} rows U+FFFD replaces half a surrogate pair, which Parquet cannot"
            f" store (the first: {repaired[0]})"
        )
    return ExitStatus.DONE


def _export_for_trainer(args: argparse.Namespace) -> int:
    if args.format not in {None, "preference"}:
        raise ExportError(f"--trainer writes its own format: leave out --format {args.format}")
    request = HandoverRequest(
        find_trainer(args.trainer),
        args.model,
        args.devices,
        args.language,
        template=args.template,
        lora=args.lora,
        method="dpo" if args.format == "preference" else "sft",
    )
    with open_run(args.folder) as reader:
        count = write_handover(
            reader.folder, reader.config, reader.ledger, request, args.to, force=args.force
        )
    model = model_to_train(reader.config, request)
    batch = request.hyperparameters.batch
    if is_doubtful(model):
        print_message(f"check the model's name in config.yaml, {model!r}, or pass --model")
    if batch != Hyperparameters().batch:
        print_message(
            f"{args.devices} devices share batches of {batch}, not {Hyperparameters().batch}"
        )
    folder = shlex.quote(str(args.to))
    _report(
        args,
        count,
        f"wrote {count:,} rows, a config and a card to {args.to}; to train:\n"
        f"  cd {folder} && {request.trainer.command(request.setup(reader.config))}",
    )
    return ExitStatus.DONE


def _report(args: argparse.Namespace, count: int, message: str) -> None:
    if args.json:
        print_json(Written(str(args.to), count))
    else:
        print_message(message)
