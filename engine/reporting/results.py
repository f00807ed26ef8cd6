"""Write a session's results: the exports, and ``summary.json``."""

import os

import msgspec

from ...providers import json_codec
from ..data.files import read_bounded
from ..data.formats import EXPORTS
from ..disk.atomic import replace_file
from ..pipeline.prepare import Plan
from ..pipeline.session import Session
from ..store.export import export_dataset
from ..store.reader import LedgerReader
from .summary import Summary, summarise

_summary = msgspec.json.Decoder(Summary)


def write_results(plan: Plan, session: Session) -> Summary:
    """Summarise *session*; write its exports unless it failed. Blocks."""
    return _unchanged_summary(plan, session) or _write(plan, session)


def _unchanged_summary(plan: Plan, session: Session) -> Summary | None:
    """Return the summary of a finished run with nothing left to do, if its files exist.

    Counting a million rows again would take seconds.
    """
    if session.ending != "finished" or not session.counters.idle:
        return None
    try:
        summary = json_codec.loads(read_bounded(plan.folder.summary, flags=os.O_NOFOLLOW), _summary)
    except (OSError, msgspec.MsgspecError):
        return None
    exports = [plan.folder.export(layout) for layout in plan.config.export]
    if summary.ending != "finished" or not all(path.exists() for path in exports):
        return None
    return msgspec.structs.replace(summary, calls={}, money=None)


def _write(plan: Plan, session: Session) -> Summary:
    with LedgerReader(plan.folder.ledger) as ledger:
        summary = summarise(
            plan.config,
            ledger,
            session.counters,
            ending=session.ending,
            reason=session.reason,
        )
        files = {} if session.ending == "failed" else _write_exports(plan, ledger)
    files |= {"ledger": str(plan.folder.ledger), "summary": str(plan.folder.summary)}
    summary = msgspec.structs.replace(summary, files=files)
    pretty = msgspec.json.format(json_codec.dumps(summary), indent=2)
    replace_file(plan.folder.summary, pretty, private=True)
    return summary


def _write_exports(plan: Plan, ledger: LedgerReader) -> dict[str, str]:
    files: dict[str, str] = {}
    for layout in plan.config.export:
        path = plan.folder.export(layout)
        export_dataset(ledger, plan.config, path, EXPORTS[layout], private=True)
        files[layout] = str(path)
    return files
