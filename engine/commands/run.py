"""run, resume and preview: carry the job out, sum it up, say how to go on."""

import argparse
import shlex
import signal
import sys
import tempfile
from itertools import islice
from typing import TYPE_CHECKING

from .arguments import (
    Verbs,
    add_display,
    add_folder,
    add_override,
    add_settings,
    add_verb,
    display_of,
    positive,
    quoted,
    read_dotenv,
    read_settings,
    show,
)
from .status import DONE, FAILED, SHORT

if TYPE_CHECKING:
    from ..config import Config
    from ..pipeline.session import Plan, Session
    from ..reporting.progress import Display
    from ..reporting.summary import Summary
    from ..store.reader import LedgerReader
    from ..store.totals import failed_items


def add(verbs: Verbs) -> None:
    _add_run(verbs)
    _add_resume(verbs)
    _add_preview(verbs)


def _add_run(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "run", _run, "make the dataset; the same command again goes on where it stopped"
    )
    add_settings(parser)
    add_display(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="start the folder's run anew with a changed configuration; paid answers are reused",
    )


def _add_resume(verbs: Verbs) -> None:
    parser = add_verb(verbs, "resume", _resume, "go on with a run that was stopped or failed")
    add_folder(parser)
    add_override(parser)
    add_display(parser)


def _add_preview(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "preview",
        _preview,
        "one instruction from each of the first seeds with its whole story, before a run is paid",
    )
    add_settings(parser)
    add_display(parser)
    parser.add_argument(
        "--count", type=positive, default=3, metavar="N", help="seeds to look at (default: 3)"
    )


def _run(args: argparse.Namespace) -> int:
    from ..pipeline.session import prepare

    config, where = read_settings(args)
    return _execute(prepare(config, where=where), args, allow_change=args.allow_change)


def _resume(args: argparse.Namespace) -> int:
    from .. import config
    from ..pipeline.session import prepare
    from ..store.folder import Folder, FolderError

    folder = Folder(args.folder)
    if not folder.config.exists():
        raise FolderError(f"{args.folder}: there is no run in this folder")
    read_dotenv()
    settings = config.load(folder.config, [f"out={quoted(str(args.folder))}", *args.overrides])
    return _execute(prepare(settings, where=str(folder.config)), args, allow_change=False)


def _execute(plan: "Plan", args: argparse.Namespace, *, allow_change: bool) -> int:
    summary, ended = carry_out(plan, display_of(args), allow_change=allow_change)
    show(summary, as_json=args.json)
    # All is said but how to go on: a late second Ctrl-C must not change the exit status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _status_of(summary, plan, ended)


def carry_out(plan: "Plan", display: "Display", *, allow_change: bool) -> "tuple[Summary, Session]":
    """Work until the run has ended one way or another, sum it up, and write its files."""
    from ..reporting import log

    # While a run works it heeds signals itself; before and after it SIGTERM is as good as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan.folder.make()
    with plan.folder.locked(), log.to_file(plan.folder.events):
        print(f"codeclm: {plan.folder.path}", file=sys.stderr)
        try:
            ended = _session(plan, display, allow_change=allow_change)
        except BaseException:
            # It is ending: a second Ctrl-C must not cut off the ending's own words.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _say_how_to_go_on(plan)
            raise
        summary = _unchanged(plan, ended) or _sum_up(plan, ended)
        log.to_nowhere()
    return summary, ended


def _session(plan: "Plan", display: "Display", *, allow_change: bool) -> "Session":
    import anyio

    from ..pipeline.session import execute
    from ..reporting import progress

    async def session() -> "Session":
        return await execute(plan, watch=progress.watcher(display), allow_change=allow_change)

    return anyio.run(session, backend_options={"use_uvloop": _has_uvloop()})


def _preview(args: argparse.Namespace) -> int:
    """Run a few seeds in a folder that is thrown away; what was paid for stays in the cache."""
    from ..pipeline.session import prepare
    from ..reporting import log
    from ..store.reader import LedgerReader

    config, where = read_settings(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="codeclm-preview-") as folder:
        plan = prepare(_taste(config, args.count, folder, where), where=where)
        plan.folder.make()
        log.to_nowhere()
        session = _session(plan, display_of(args), allow_change=False)
        ledger = LedgerReader(plan.folder.ledger)
        try:
            _show_stories(plan, ledger, as_json=args.json)
        finally:
            ledger.close()
    if session.ending != "finished":
        print(f"codeclm: {session.reason}", file=sys.stderr)
        return FAILED
    return DONE


def _taste(config: "Config", seeds: int, folder: str, where: str) -> "Config":
    from msgspec import structs

    from ..pipeline.recipes import recipe_of

    return structs.replace(
        config,
        out=folder,
        limit=seeds,
        target_rows=None,
        # A pool's requests have no end of their own: one of them.
        max_candidates=1 if recipe_of(config, where).start == "pool" else None,
        metadata=structs.replace(config.metadata, augment_to=None),
        decode=structs.replace(config.decode, per_metadata=1),
    )


def _show_stories(plan: "Plan", ledger: "LedgerReader", *, as_json: bool) -> None:
    """Print what became of each instruction, and of the seeds that came to none."""
    from ...providers import json_codec
    from ..data import seeds
    from ..data.records import Seed
    from ..reporting import transcript as story

    texts = dict[str, str]()
    if plan.source is not None:
        first = islice(seeds.read(plan.source), plan.config.limit)
        texts = {record.id: record.instruction for record in first if isinstance(record, Seed)}
    for example in ledger.examples():
        print(
            json_codec.dumps(example).decode() if as_json else story.text(example, texts),
            end="\n\n",
        )
    for what, reason, detail in failed_items(ledger):
        print(f"codeclm: {what}: {reason}: {story.printable(detail)}", file=sys.stderr)


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


def _unchanged(plan: "Plan", session: "Session") -> "Summary | None":
    """Return the summary of a finished run that had nothing left to do, if its files are there.

    To count a million rows again takes seconds.
    """
    import msgspec

    from ...providers import json_codec
    from ..reporting.summary import Summary

    if session.ending != "finished" or not session.counters.idle:
        return None
    try:
        found = json_codec.loads(plan.folder.summary.read_bytes(), msgspec.json.Decoder(Summary))
    except (OSError, msgspec.MsgspecError):
        return None
    exports = [plan.folder.export(layout) for layout in plan.config.export]
    if found.ending != "finished" or not all(path.exists() for path in exports):
        return None
    return msgspec.structs.replace(found, calls={}, money=None)


def _sum_up(plan: "Plan", session: "Session") -> "Summary":
    import msgspec

    from ...providers import json_codec
    from ..disk.atomic import replace_file
    from ..reporting import summary as report
    from ..store.reader import LedgerReader

    ledger = LedgerReader(plan.folder.ledger)
    try:
        summary = report.summarise(
            plan.config,
            ledger,
            session.counters,
            ending=session.ending,
            reason=session.reason,
        )
        files = _write_exports(plan, ledger) if session.ending == "finished" else {}
    finally:
        ledger.close()
    files |= {"ledger": str(plan.folder.ledger), "summary": str(plan.folder.summary)}
    summary = msgspec.structs.replace(summary, files=files)
    replace_file(plan.folder.summary, msgspec.json.format(json_codec.dumps(summary), indent=2))
    return summary


def _write_exports(plan: "Plan", ledger: "LedgerReader") -> dict[str, str]:
    from ..data.formats import EXPORTS, selections
    from ..store.export import export

    files: dict[str, str] = {}
    for layout in plan.config.export:
        path = plan.folder.export(layout)
        kept = selections(
            ledger.kept(plan.config.target_rows),
            strong_model=plan.config.strong.model,
            target_model=plan.config.target.model,
        )
        export(kept, path, EXPORTS[layout])
        files[layout] = str(path)
    return files


def _say_how_to_go_on(plan: "Plan") -> None:
    resume = f"codeclm resume {shlex.quote(str(plan.folder.path))}"
    print(f"codeclm: go on with: {resume}", file=sys.stderr)


def unfinished(summary: "Summary", session: "Session") -> bool:
    """Whether the same command again would go on: it was stopped, or items are left for later."""
    short = not summary.target_rows or summary.rows < summary.target_rows
    left = summary.seeds.unfinished or summary.instructions.unfinished
    # Metadata of the user's own that is left for later is neither a seed nor an instruction.
    return bool(summary.ending != "finished" or left or (session.left_for_later and short))


def _status_of(summary: "Summary", plan: "Plan", session: "Session") -> int:
    if unfinished(summary, session):
        if summary.ending == "finished":
            print("codeclm: some items failed for a passing reason", file=sys.stderr)
        _say_how_to_go_on(plan)
        return FAILED
    if not summary.rows:
        print("codeclm: there is not one row; the reasons are above", file=sys.stderr)
        return SHORT
    if summary.target_rows and summary.rows < summary.target_rows:
        print(
            f"codeclm: {summary.target_rows - summary.rows} rows are missing: raise"
            " size.max_expansion or max_candidates, lower filter.threshold, or add seeds",
            file=sys.stderr,
        )
        return SHORT
    return DONE
