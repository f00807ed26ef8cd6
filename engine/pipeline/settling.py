"""What the ledger says about shares: what earlier sessions finished, and what is still missing."""

import anyio.to_thread

from ..store.schema import ROWS_PER_ITEM
from .execution import Execution
from .shares import Grant, Shares


def load_progress(shares: Shares, execution: Execution) -> None:
    """Tell *shares* what earlier sessions finished. Blocks.

    Raises:
        StorageError: the ledger holds positions or counts that no run writes.
    """
    try:
        _load_progress(shares, execution)
    except (IndexError, OverflowError) as error:
        raise execution.ledger.reader.connection.damaged(error) from error


def _load_progress(shares: Shares, execution: Execution) -> None:
    reader, unit = execution.ledger.reader, execution.tools.rows_per_draft
    for position in reader.failed_seeds():
        shares.exhaust(position)
    kept = dict(reader.kept_of_finished(unit))
    for progress in reader.request_progress(unit):
        shares.finished(
            progress.item,
            requested=progress.requested,
            kept=kept.get(progress.item, 0),
            empty=progress.has_empty,
        )
    shares.grant(Grant(*grant) for grant in reader.grants())


async def settle(execution: Execution, shares: Shares) -> list[Grant]:
    """Compare all rows once every seed is finished; return what is to be asked to have enough.

    The result is recorded: a session that resumes asks for the same.
    """
    ledger, acceptance = execution.ledger, execution.acceptance
    await ledger.flush()
    if acceptance.near_duplicates is not None:
        await anyio.to_thread.run_sync(_decide, execution)
        acceptance.record_decisions()
        await ledger.flush()
    if execution.config.target_rows is None or execution.state.stopping:
        return []
    rows = await anyio.to_thread.run_sync(ledger.reader.rows_by_item)
    grants = await anyio.to_thread.run_sync(shares.missing, rows)
    if grants:
        ledger.granted(grants)
    return grants


def _decide(execution: Execution) -> None:
    """Decide for every row whether it is new among those before it. Blocks."""
    counted = set[int]()
    for row_index, fingerprint in execution.ledger.reader.distinct_candidates():
        if fingerprint not in counted and execution.acceptance.admits(
            *divmod(row_index, ROWS_PER_ITEM)
        ):
            counted.add(fingerprint)
