"""status, report, export, inspect: what a run has come to, also while it works."""

import argparse
import shlex
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Verbs, add_folder, add_verb, natural, open_run, positive, show
from .status import DONE

if TYPE_CHECKING:
    from ..config import Config
    from ..data.records import Example
    from ..store.reader import LedgerReader


def add(verbs: Verbs) -> None:
    _add_status(verbs)
    _add_report(verbs)
    _add_export(verbs)
    _add_inspect(verbs)


def _add_status(verbs: Verbs) -> None:
    parser = add_verb(verbs, "status", _status, "what a run has come to, also while it works")
    add_folder(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_report(verbs: Verbs) -> None:
    parser = add_verb(verbs, "report", _report, "the same as one HTML page, with stories to read")
    add_folder(parser)
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="where (default: report.html in the run's folder)"
    )
    parser.add_argument(
        "--stories", type=natural, default=20, metavar="N", help="how many (default: 20)"
    )


def _add_export(verbs: Verbs) -> None:
    parser = add_verb(verbs, "export", _export, "write the dataset, also while the run works")
    add_folder(parser)
    parser.add_argument("--format", default="alpaca", metavar="FORMAT", help="alpaca, sharegpt, …")
    parser.add_argument(
        "--trainer",
        choices=("trl", "axolotl", "llama-factory"),
        help="a folder ready for this trainer: data, config with the paper's settings, card",
    )
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help=".jsonl, .parquet; with --trainer a folder",
    )
    parser.add_argument(
        "--model", metavar="DIR|NAME", help="with --trainer: the model to train (the target)"
    )
    parser.add_argument(
        "--devices", type=positive, default=1, metavar="N", help="with --trainer: how many GPUs (1)"
    )
    parser.add_argument(
        "--language", default="en", metavar="CODE", help="with --trainer: the data's, for the card"
    )
    parser.add_argument(
        "--with-metadata", action="store_true", help="add use case, skills, gap, … to each row"
    )


def _add_inspect(verbs: Verbs) -> None:
    parser = add_verb(verbs, "inspect", _inspect, "one example's whole story")
    add_folder(parser)
    parser.add_argument("id", help="an example's id, or its beginning")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _status(args: argparse.Namespace) -> int:
    from ..calls.counters import Counters
    from ..reporting import summary as report

    config, ledger = open_run(args.folder)
    ending, reason = _ending(args.folder)
    try:
        summary = report.summarise(config, ledger, Counters(), ending=ending, reason=reason)
    finally:
        ledger.close()
    show(summary, as_json=args.json)
    return DONE


def _ending(path: Path) -> tuple[str, str]:
    """Say how the run in *path* stands: at work, or how its last session ended."""
    import msgspec

    from ...providers import json_codec
    from ..reporting.summary import Summary
    from ..store.folder import Folder

    folder = Folder(path)
    if folder.is_locked:
        return "working", ""
    try:
        last = json_codec.loads(folder.summary.read_bytes(), msgspec.json.Decoder(Summary))
    except (OSError, msgspec.MsgspecError):
        return "interrupted", f"go on with: codeclm resume {shlex.quote(str(path))}"
    return last.ending, last.reason


def _report(args: argparse.Namespace) -> int:
    from ..calls.counters import Counters
    from ..disk.atomic import replace_file
    from ..reporting import page
    from ..reporting import summary as report
    from ..store.folder import Folder

    config, ledger = open_run(args.folder)
    ending, reason = _ending(args.folder)
    try:
        summary = report.summarise(config, ledger, Counters(), ending=ending, reason=reason)
        examples = list(islice(ledger.kept(config.target_rows), args.stories))
        seeds = _seed_texts(config, ledger, examples)
    finally:
        ledger.close()
    manifest = Folder(args.folder).read_manifest()
    made = page.html(args.folder.resolve().name, config, summary, examples, seeds, manifest)
    path = args.to or args.folder / "report.html"
    replace_file(path, made.encode("utf-8"))
    print(f"wrote {path}", file=sys.stderr)
    return DONE


def _export(args: argparse.Namespace) -> int:
    if args.trainer:
        return _export_for_trainer(args)
    from ..data.formats import EXPORTS, selections
    from ..pipeline.recipes import RECIPES
    from ..store.export import export

    export_format = EXPORTS[args.format]
    replaced = list[str]()
    config, ledger = open_run(args.folder)
    try:
        RECIPES[config.recipe].check_exports((args.format,), str(args.folder))
        with closing(ledger.kept(config.target_rows)) as kept:
            count = export(
                selections(
                    kept, strong_model=config.strong.model, target_model=config.target.model
                ),
                args.to,
                export_format,
                with_metadata=args.with_metadata,
                on_replacement=replaced.append,
            )
    finally:
        ledger.close()
    print(f"wrote {count:,} rows to {args.to}", file=sys.stderr)
    if replaced:
        print(
            f"{len(replaced):,} rows held half a surrogate pair, which Parquet cannot store; it is"
            f" U+FFFD there (first row: {replaced[0]})",
            file=sys.stderr,
        )
    return DONE


def _export_for_trainer(args: argparse.Namespace) -> int:
    from ..store.folder import Folder
    from ..training import handover
    from ..training.recipe import Recipe

    wanted = handover.Wanted(args.trainer, args.model, args.devices, args.language)
    config, ledger = open_run(args.folder)
    try:
        count = handover.write(Folder(args.folder), config, ledger, wanted, args.to)
    finally:
        ledger.close()
    model, batch = handover.model_of(config, wanted), Recipe().shared_by(args.devices).batch
    if handover.is_doubtful(model):
        print(f"check the model's name in config.yaml, {model!r}, or give --model", file=sys.stderr)
    if batch != Recipe().batch:
        told = f"{args.devices} devices share batches of {batch}, not {Recipe().batch}"
        print(told, file=sys.stderr)
    command = handover.command(args.trainer)
    print(f"wrote {count:,} rows, a config and a card to {args.to}; train with:", file=sys.stderr)
    print(f"  cd {shlex.quote(str(args.to))} && {command}", file=sys.stderr)
    return DONE


def _inspect(args: argparse.Namespace) -> int:
    from ...providers import json_codec
    from ..reporting import transcript as story
    from ..store.folder import FolderError

    config, ledger = open_run(args.folder)
    try:
        found = ledger.find(args.id)
        seeds = _seed_texts(config, ledger, found)
    finally:
        ledger.close()
    if not found:
        raise FolderError(f"{args.folder}: no example's id begins with {args.id!r}")
    if len(found) > 1:
        ids = ", ".join(example.id for example in found[:5])
        raise FolderError(f"{args.folder}: {len(found)} ids begin with {args.id!r}: {ids}")
    print(
        json_codec.dumps(found[0]).decode() if args.json else story.text(found[0], seeds), end="\n"
    )
    return DONE


def _seed_texts(config: "Config", ledger: "LedgerReader", found: "list[Example]") -> dict[str, str]:
    """Look the seeds of *found* up in the seed files, as far as these are still there."""
    from ..data import seeds
    from ..data.records import Seed
    from ..pipeline.session import seed_source

    wanted = {ledger.seed_position(seed_id) for e in found for seed_id in e.metadata.seed_ids}
    texts: dict[str, str] = {}
    if not wanted - {None}:
        return texts
    last = max(position for position in wanted if position is not None)
    try:
        for record in seeds.read(seed_source(config)):
            if isinstance(record, Seed) and record.position in wanted:
                texts[record.id] = record.instruction
            if record.position >= last:
                break
    except seeds.SeedError as error:
        print(f"codeclm: {error}", file=sys.stderr)
    return texts
