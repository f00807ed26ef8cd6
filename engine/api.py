"""The functions of the public API; `codeclm.engine` documents and exports them."""

from functools import partial

import anyio
import anyio.to_thread

from .config import Config
from .pipeline import prepare as preparation
from .pipeline.prepare import Plan
from .pipeline.session import Session, Watcher, execute
from .reporting import log
from .reporting.results import write_results
from .reporting.summary import Summary


def prepare(config: Config) -> Plan:
    """Check everything that can be checked without a call. Blocks: it reads the seed files.

    Raises:
        UserError: naming the file or the key at fault, and the remedy.
    """
    return preparation.prepare(config, where="configuration")


async def make_dataset(
    plan: Plan, *, watch: Watcher | None = None, allow_change: bool = False
) -> Summary:
    """Run *plan* until it is finished or stopped, and write its exports and ``summary.json``.

    Calling it again with the same plan continues a run that was stopped. While it works, the first
    SIGINT or SIGTERM stops it gracefully and the second at once: call it in the main thread.

    Args:
        plan: what `prepare` returned.
        watch: displays the session's progress until it is cancelled.
        allow_change: start over in a folder that holds a run with another configuration.

    Returns:
        The summary. ``ending`` says whether the run is finished, and ``reason`` why it is not.

    Raises:
        UserError: the folder holds another run, or another process is working on it.
        RunStopped: a file of the run cannot be read or written.
    """
    plan.folder.make()
    with plan.folder.locked(), log.to_file(plan.folder.events):
        session = await execute(plan, watch=watch or _silently, allow_change=allow_change)
        return await anyio.to_thread.run_sync(partial(write_results, plan, session))


async def _silently(session: Session) -> None:
    del session
