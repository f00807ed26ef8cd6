"""``codeclm inspect``: one example in full, with every answer, score and call."""

import argparse

from ..data.records import Example
from ..reporting.runs import RunReader, open_run
from ..reporting.transcript import transcript
from ..store.folder import FolderError
from .arguments import add_json, add_run_folder
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument("id", help="the example's id, or the beginning of it")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    with open_run(args.folder) as reader:
        example = _find(reader, args)
        texts = reader.seed_texts([example], print_message)
    if args.json:
        print_json(example)
    else:
        print_text(transcript(example, texts))
    return ExitStatus.DONE


def _find(reader: RunReader, args: argparse.Namespace) -> Example:
    examples = reader.ledger.find(args.id)
    match examples:
        case []:
            raise FolderError(f"{args.folder}: no example's id begins with {args.id!r}")
        case [example]:
            return example
        case _:
            ids = ", ".join(example.id for example in examples[:5])
            raise FolderError(f"{args.folder}: {len(examples)} ids begin with {args.id!r}: {ids}")
