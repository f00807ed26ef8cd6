"""``codeclm answer``: a model's greedy answers to a test set, for ``codeclm evaluate``."""

import argparse
from pathlib import Path

from msgspec import Struct

from ..data.files import user_path
from ..data.test_sets import TestSource, read_questions
from ..training.answering import AnsweringSettings, write_answers
from .arguments import (
    add_examples,
    add_json,
    add_limit,
    add_model,
    add_tests_folder,
    positive_integer,
)
from .exit_status import ExitStatus
from .output import print_json, print_message


class Answered(Struct, frozen=True):
    """The answers written, and how many of them were cut off."""

    path: str
    answers: int
    truncated: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s --model DIR|NAME --test NAME|FILE --to FILE [options]"
    add_model(parser)
    _add_test(parser)
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="JSON-lines file to write"
    )
    parser.add_argument(
        "--max-tokens",
        type=positive_integer,
        default=2048,
        metavar="N",
        help="length limit of an answer (default: 2048)",
    )
    parser.add_argument(
        "--batch",
        type=positive_integer,
        default=8,
        metavar="N",
        help="prompts at a time (default: 8)",
    )
    add_limit(parser, "prompts")
    add_json(parser)
    add_examples(
        parser,
        "codeclm answer --model tuned --test vicuna --tests data/tests --to tuned.jsonl",
        "# then let a judge compare them with another model's",
        "codeclm evaluate --test vicuna --candidate-answers tuned.jsonl \\",
        "    --reference-answers before.jsonl --judge openai/gpt-5-mini",
    )


def _add_test(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test", required=True, metavar="NAME|FILE", help="a test set, named as for evaluate"
    )
    add_tests_folder(parser)
    parser.add_argument("--field", metavar="NAME", help="field that holds a test prompt")
    parser.add_argument(
        "--template",
        metavar="TEXT",
        help='how to join several fields, such as "{instruction}\\n{input}"',
    )
    parser.add_argument("--id-field", metavar="NAME", help="field that holds a prompt's id")


def run(args: argparse.Namespace) -> int:
    source = TestSource(
        args.test, user_path(str(args.tests)), args.field, args.template, None, args.id_field
    )
    questions = read_questions(source)[: args.limit]
    settings = AnsweringSettings(args.model, args.max_tokens, args.batch)
    truncated = write_answers(questions, settings, args.to, _print_progress)
    if args.json:
        print_json(Answered(str(args.to), len(questions), truncated))
    else:
        print_message(
            f"wrote {len(questions):,} answers to {args.to};"
            f" {truncated:,} were cut off at {args.max_tokens:,} tokens"
        )
    return ExitStatus.DONE


def _print_progress(done: int, total: int) -> None:
    print_message(f"{done:,} of {total:,} answered")
