"""``codeclm preview``: a few examples in a temporary folder; paid answers stay in the cache."""

import argparse
import tempfile
from functools import partial

from msgspec import structs

from ..config import Config
from ..data.records import Seed
from ..pipeline.event_loop import run_async
from ..pipeline.prepare import Plan, prepare
from ..pipeline.recipes import recipe_of
from ..pipeline.session import execute
from ..reporting.display import watcher
from ..reporting.transcript import transcript
from ..store.reader import LedgerReader
from ..store.totals import failed_items
from .arguments import add_examples, add_progress, positive_integer
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text
from .sessions import progress_display
from .settings import add_run_settings, read_run_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    groups = add_run_settings(parser)
    groups.make.add_argument(
        "--count",
        type=positive_integer,
        default=3,
        metavar="N",
        help="how many seeds to use, with one instruction from each (default: 3)",
    )
    add_progress(groups.output)
    add_examples(
        parser,
        "codeclm preview",
        "# one example, by models that need no key",
        "codeclm preview --seeds seeds.jsonl --strong scripted/strong \\",
        "    --target scripted/target --count 1",
    )


def run(args: argparse.Namespace) -> int:
    config, where, origin = read_run_settings(args)
    with tempfile.TemporaryDirectory(prefix="codeclm-preview-") as folder:
        plan = prepare(_reduced(config, args.count, folder, where), where=where, origin=origin)
        plan = structs.replace(plan, is_foreign=True)  # nobody packs or resumes it
        plan.folder.make()
        session = run_async(partial(execute, plan, watch=watcher(progress_display(args))))
        with LedgerReader(plan.folder.ledger) as ledger:
            _print_examples(plan, ledger, as_json=args.json)
    if session.ending != "finished":
        print_message(session.reason)
        return ExitStatus.STOPPED if session.ending == "stopped" else ExitStatus.FAILED
    return ExitStatus.DONE


def _reduced(config: Config, seed_count: int, folder: str, where: str) -> Config:
    return structs.replace(recipe_of(config, where).preview(config, seed_count), out=folder)


def _print_examples(plan: Plan, ledger: LedgerReader, *, as_json: bool) -> None:
    """Print the fate of each instruction, and of the seeds that gave none."""
    texts = dict[str, str]()
    if plan.seeds is not None:
        used = plan.seeds.read()
        texts = {record.id: record.instruction for record in used if isinstance(record, Seed)}
    for example in ledger.examples():
        if as_json:
            print_json(example)
        else:
            print_text(transcript(example, texts) + "\n\n")
    for item, reason, detail in failed_items(ledger):
        print_message(f"{item}: {reason}: {detail}")
