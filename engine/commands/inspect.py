"""``codeclm inspect``: one example in full, with every answer, score and call; or a list."""

import argparse
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice

from msgspec import Struct

from ...prompts import Messages
from ..calls.reply_lookup import open_replies
from ..data.records import Example
from ..reporting.runs import RunReader, open_run
from ..reporting.transcript import transcript
from ..store.folder import FolderError
from ..view.prompt_text import prompts_text
from ..view.sent_prompts import PromptRenderer, SentPrompt
from .arguments import (
    add_examples,
    add_json,
    add_run_folder,
    natural_number,
    non_negative,
    positive_integer,
)
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s RUN [ID] [options]"
    add_run_folder(parser)
    parser.add_argument(
        "id",
        nargs="?",
        metavar="ID",
        help="the example's id or the beginning of it, or its address, such as 5.13; without it,"
        " list examples",
    )
    parser.add_argument(
        "--prompts", action="store_true", help="with an ID: also the prompts that were sent"
    )
    _add_filters(parser)
    add_json(parser)
    add_examples(
        parser,
        "# the first 50, the next 50; then one of them in full",
        "codeclm inspect runs/big",
        "codeclm inspect runs/big --skip 50",
        "codeclm inspect runs/big 47fd3e80 --prompts",
        "codeclm inspect runs/big --fate filtered --reason gap --min-gap 2",
    )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    listing = parser.add_argument_group("which examples to list")
    listing.add_argument("--fate", choices=("kept", "filtered", "failed"), help="with this fate")
    listing.add_argument("--reason", metavar="WORD", help="dropped for this reason, as in status")
    listing.add_argument("--winner", choices=("strong", "target"), help="won by this model")
    listing.add_argument(
        "--min-gap", type=non_negative, metavar="POINTS", help="with at least this gap, either way"
    )
    listing.add_argument(
        "--round", type=positive_integer, metavar="N", help="that ended in this round"
    )
    listing.add_argument("--use-case", metavar="TEXT", help="whose use case holds TEXT")
    listing.add_argument("--search", metavar="TEXT", help="whose instruction or answer holds TEXT")
    listing.add_argument(
        "--limit",
        type=positive_integer,
        default=50,
        metavar="N",
        help="at most N examples (default: 50)",
    )
    listing.add_argument(
        "--skip", type=natural_number, default=0, metavar="N", help="but not the first N of them"
    )


def run(args: argparse.Namespace) -> int:
    if args.prompts and args.id is None:
        raise FolderError("--prompts shows one example's: name it by its id or address")
    with open_run(args.folder) as reader:
        if args.id is None:
            return _list(reader, args)
        example = _find(reader, args)
        texts = reader.seed_texts([example], print_message)
        prompts = _read_prompts(reader, example, texts) if args.prompts else None
    if args.json:
        print_json(prompts or example)
        return ExitStatus.DONE
    print_text(transcript(example, texts))
    if prompts is not None:
        print_text(prompts_text(prompts.encode, prompts.prompts))
    return ExitStatus.DONE


# -- one example ------------------------------------------------------------------------------

_ADDRESS = re.compile(r"([0-9]{1,10})\.([0-9]{1,6})")


def _find(reader: RunReader, args: argparse.Namespace) -> Example:
    """Return the example that ``args.id`` names.

    Several may have one id: those of equal seeds, which share their calls. The dataset holds the
    first of them that was kept; their addresses differ.
    """
    if address := _ADDRESS.fullmatch(args.id):
        return _at(reader, args, int(address[1]), int(address[2]))
    examples = reader.ledger.find(args.id)
    match sorted({example.id for example in examples}):
        case []:
            raise FolderError(f"{args.folder}: no example's id begins with {args.id!r}")
        case [_]:
            return _first_kept(examples)
        case ids:
            raise FolderError(
                f"{args.folder}: {len(ids)} ids begin with {args.id!r}: {', '.join(ids[:5])}"
            )


def _at(reader: RunReader, args: argparse.Namespace, position: int, number: int) -> Example:
    example = reader.ledger.example_at(position, number)
    if example is None:
        raise FolderError(
            f"{args.folder}: no example {args.id}: `codeclm inspect` without an id lists them"
        )
    return example


def _first_kept(examples: list[Example]) -> Example:
    """Return the first of *examples*, which have one id, that the dataset holds, or else the first.

    The others are named in a message.
    """
    example = next((one for one in examples if one.fate == "kept"), examples[0])
    others = [_address(other) for other in examples if other is not example]
    if others:
        print_message(f"this is {_address(example)}; with the same id: {', '.join(others[:5])}")
    return example


def _address(example: Example) -> str:
    """Write what no other example of the run has: its metadata item, and its number there."""
    return f"{example.position}.{example.number}"


class ExamplePrompts(Struct, frozen=True):
    """An example with the prompts behind its calls.

    Attributes:
        encode: the prompt that asked for its metadata; empty if it is not known.
        prompts: those of its own calls, in their order.
    """

    example: Example
    encode: Messages
    prompts: tuple[SentPrompt, ...]


def _read_prompts(reader: RunReader, example: Example, seeds: Mapping[str, str]) -> ExamplePrompts:
    renderer = PromptRenderer(reader.config, reader.folder.read_manifest())
    for problem in renderer.problems:
        print_message(problem)
    encode: Messages = ()
    if example.metadata.origin == "seed" and seeds:
        encode = renderer.of_encode(next(iter(seeds.values())))
    with open_replies(reader.config.cache.path() / "cache.db") as replies:
        prompts = renderer.of_example(example, replies)
    return ExamplePrompts(example, encode, tuple(prompts))


# -- a list -----------------------------------------------------------------------------------


def _list(reader: RunReader, args: argparse.Namespace) -> int:
    reasons = set[str]()
    with closing(_matching(reader, args, reasons)) as matching:
        examples = list(islice(matching, args.skip, args.skip + args.limit))
        more = next(matching, None) is not None
    for example in examples:
        if args.json:
            print_json(example)
        else:
            print_text(_line(example))
    if more:
        following = args.skip + len(examples)
        print_message(f"{len(examples):,} shown; --skip {following} shows the next")
    elif not examples:
        hint = f"; there is {', '.join(sorted(reasons))}" if args.reason and reasons else ""
        print_message(f"no example matches{hint}")
    return ExitStatus.DONE


def _matching(reader: RunReader, args: argparse.Namespace, reasons: set[str]) -> Generator[Example]:
    """Yield the examples to list, and add why those that are read were dropped to *reasons*."""
    for example in reader.ledger.with_fates():
        if example.fate != "kept":
            reasons.add(example.reason)
        if _matches(example, args):
            yield example


def _matches(example: Example, args: argparse.Namespace) -> bool:
    return (
        args.fate in {None, example.fate}
        and args.reason in {None, example.reason, example.reason.replace("_", " ")}
        and args.winner in {None, example.winner}
        and args.round in {None, len(example.iterations)}
        and (args.min_gap is None or abs(example.gap or 0.0) >= args.min_gap)
        and _holds((example.metadata.use_case,), args.use_case)
        and (args.search is None or _holds(_texts(example), args.search))
    )


def _holds(texts: Iterable[str], part: str | None) -> bool:
    return part is None or any(part.casefold() in text.casefold() for text in texts)


def _texts(example: Example) -> Iterator[str]:
    yield example.instruction
    for iteration in example.iterations:
        yield iteration.instruction
        for answer in (iteration.strong, iteration.target):
            if answer is not None:
                yield answer.text


_WIDTH = 72
"""Characters of an instruction in a list."""


def _line(example: Example) -> str:
    """Write one example as a line: what names it, its fate and gap, its instruction's beginning."""
    fate = f"{example.fate}: {example.reason}" if example.reason else example.fate
    gap = "" if example.gap is None else f"{example.gap:+g}"
    text = " ".join(example.instruction.split())
    short = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
    names = f"{_address(example):<7} {example.id}"
    return f"{names}  {fate:<24} {example.winner or '':<6} {gap:>5}  {short}"
