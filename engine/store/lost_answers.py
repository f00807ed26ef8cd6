"""Before a run goes on: answers that it paid for and that its cache does not have.

A run's folder may be copied to another machine without its cache, or be pointed at another one.
Whatever is not finished would then be paid for again.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ..calls.cache_file import open_cache_file
from ..calls.prices import money
from ..calls.spending import stored_spending, total_spending
from ..calls.uses import stored_uses
from ..config import RoleConfig
from ..data.errors import UserError
from ..data.files import read_bounded
from ..data.records import Call
from ..disk.sqlite import StorageError
from .folder import Folder
from .reader import LedgerReader

_LOOKED_UP: Final = 10_000
"""Most keys to look up in the cache: 0.1 s. Of more, a sample stands for all."""


class LostAnswersError(UserError):
    """A run would pay again for answers that its cache does not have."""


class LostAnswers(Struct, frozen=True):
    """Answers that were paid for and are gone.

    Attributes:
        calls: that may be paid for again, at most.
        money: that they cost; None where no price is known.
    """

    calls: int
    money: float | None

    def __str__(self) -> str:
        cost = "" if self.money is None else f", about {self.money:,.2f} in money"
        return f"up to {self.calls:,} calls{cost}"


class _Unfinished(Struct, frozen=True):
    unfinished: int = 0


class _Outcome(Struct, frozen=True):
    """The part of ``summary.json`` that says whether anything is left to do."""

    ending: str
    seeds: _Unfinished
    instructions: _Unfinished


class _Transcript(Struct, frozen=True):
    """The part of an example that names its answers."""

    calls: tuple[Call, ...] = ()


_outcome = msgspec.json.Decoder(_Outcome)
_transcript = msgspec.json.Decoder(_Transcript)


def find_lost_answers(
    folder: Folder, ledger: LedgerReader, cache: Path, roles: Mapping[str, RoleConfig]
) -> LostAnswers | None:
    """Return what the unfinished part of a run would pay again; None if nothing. Blocks.

    Args:
        folder: the run's.
        ledger: its ledger.
        cache: the file that should hold its answers.
        roles: the settings of its models, for their prices.
    """
    sessions = {name: spent for name, spent in ledger.spending(cache).items() if spent.calls}
    if not sessions or _is_finished(folder):
        return None
    try:
        known = {
            name for name, spent in stored_spending(cache, list(sessions)).items() if spent.calls
        }
        lost = _pruned(cache, known, ledger) if known == sessions.keys() else None
    except StorageError:
        return None  # opening the cache says what is wrong with it
    if lost is None:
        unknown = sum(spent.calls for name, spent in sessions.items() if name not in known)
        lost = min(unknown, total_spending(sessions.values()).calls - _finished_answers(ledger))
    if lost <= 0:
        return None
    total = total_spending(sessions.values())
    cost = money(roles, total.usage)
    return LostAnswers(lost, None if cost is None else cost * lost / total.calls)


def describe_lost(lost: LostAnswers, cache: Path, before: str) -> str:
    """Say what continuing would cost, and how to go on instead.

    Args:
        lost: what is gone.
        cache: the folder of the cache that lacks it.
        before: the folder of the cache that the run used last; empty if that is not known.
    """
    where = f"; the run used {before}" if before and Path(before) != cache.absolute() else ""
    return (
        f"{cache}: this cache lacks answers that the run has paid for{where}: going on would pay"
        f" again for {lost}: name the cache with --cache DIR, move the run with `codeclm pack`"
        " (docs/moving.md), or say --pay-again"
    )


def _is_finished(folder: Folder) -> bool:
    with suppress(OSError, msgspec.MsgspecError):
        last = _outcome.decode(read_bounded(folder.summary))
        return last.ending == "finished" and not (
            last.seeds.unfinished or last.instructions.unfinished
        )
    return False


def _pruned(cache: Path, sessions: set[str], ledger: LedgerReader) -> int:
    """Estimate how many answers of unfinished items were deleted from their own cache."""
    keys = sorted(stored_uses(cache, list(sessions)))
    step = max(1, len(keys) // _LOOKED_UP)
    with open_cache_file(cache.parent) as file:
        missing = [key for key in keys[::step] if file.get(key) is None]
    if not missing:
        return 0
    finished = answer_keys(ledger)
    return step * sum(key.hex() not in finished for key in missing)


def _finished_answers(ledger: LedgerReader) -> int:
    """Count the answers that finished items have used: nobody asks for them again."""
    keys = answer_keys(ledger)
    encoded = ledger.connection.value(
        "SELECT count(*) FROM seeds WHERE metadata IS NOT NULL OR (state = 'failed' AND NOT"
        " transient)"
    )
    return len(keys) + sum(attempts - 1 for attempts in keys.values()) + int(encoded)


def answer_keys(ledger: LedgerReader) -> dict[str, int]:
    """Return the keys of the answers in finished transcripts, and how often each was asked."""
    keys: dict[str, int] = {}
    for (example,) in ledger.connection.rows(
        "SELECT example FROM transcripts JOIN examples USING (row_index) WHERE NOT transient"
    ):
        for call in ledger.connection.decode(example, _transcript).calls:
            keys[call.key] = call.attempts
    return keys
