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
from ..calls.spending import Spending, stored_spending, total_spending
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
        calls: that may be paid for again; 0 where the run was killed before it recorded any.
        money: that they cost; None where no price is known.
        cache: the folder of the cache that the run used last; empty if that is not known.
    """

    calls: int
    money: float | None
    cache: str

    def __str__(self) -> str:
        if not self.calls:
            return "the calls of its first second"
        cost = "" if self.money is None else f", {self.money:,.2f} in money"
        return f"about {self.calls:,} calls{cost}"


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
    folder: Folder,
    ledger: LedgerReader,
    cache: Path,
    roles: Mapping[str, RoleConfig],
    *,
    anew: bool = False,
) -> LostAnswers | None:
    """Return what the unfinished part of a run would pay again; None if nothing. Blocks.

    Args:
        folder: the run's.
        ledger: its ledger.
        cache: the file that should hold its answers.
        roles: the settings of its models, for their prices.
        anew: whether the finished part is built again, too.
    """
    accounts = ledger.spending(cache)
    if not accounts or (_is_finished(folder) and not anew):
        return None
    items = None if anew else ledger
    manifest = folder.read_manifest()
    before = "" if manifest is None else manifest.cache
    try:
        stored = stored_spending(cache, list(accounts))
        known = {name for name, spent in stored.items() if spent.calls}
        lost = _pruned(cache, known, items) if known else 0
    except StorageError:
        return None  # opening the cache says what is wrong with it
    unknown = [spent for name, spent in accounts.items() if name not in known]
    total = total_spending(accounts.values())
    if paid := sum(spent.calls for spent in unknown):
        finished = 0 if items is None else _finished_answers(items)
        lost += max(0, min(paid, total.calls - finished))
    elif _has_moved(cache, before) and any(map(_is_unrecorded, unknown)):
        return LostAnswers(lost, None, before)
    if not lost:
        return None
    cost = money(roles, total.usage)
    return LostAnswers(lost, None if cost is None else cost * lost / total.calls, before)


def _has_moved(cache: Path, before: str) -> bool:
    return not cache.is_file() or Path(before) != cache.parent.absolute()


def _is_unrecorded(account: Spending) -> bool:
    """Whether the session was killed before it recorded anything: in its first second."""
    return not (account.calls or account.reused or account.seconds)


def describe_lost(lost: LostAnswers, cache: Path, *, packing: bool = False) -> str:
    """Say what it costs to go on with the cache in the folder *cache*, and what to do instead."""
    move = "" if packing else ", move the run with `codeclm pack` (docs/moving.md)"
    elsewhere = lost.cache and Path(lost.cache) != cache.absolute()
    where = f"; the run used {lost.cache}" if elsewhere else ""
    return (
        f"{cache}: this cache lacks answers that the run has paid for{where}. To go on would pay"
        f" again for {lost}: name the cache with --cache DIR{move}, or say --pay-again"
    )


def _is_finished(folder: Folder) -> bool:
    with suppress(OSError, msgspec.MsgspecError):
        last = _outcome.decode(read_bounded(folder.summary))
        return last.ending == "finished" and not (
            last.seeds.unfinished or last.instructions.unfinished
        )
    return False


def _pruned(cache: Path, sessions: set[str], ledger: LedgerReader | None) -> int:
    """Estimate how many answers were deleted from their own cache.

    Those that finished items of *ledger* used are left out.
    """
    keys = sorted(stored_uses(cache, list(sessions)))
    step = max(1, len(keys) // _LOOKED_UP)
    with open_cache_file(cache.parent) as file:
        missing = [key for key in keys[::step] if file.get(key) is None]
    if not missing:
        return 0
    finished = {} if ledger is None else answer_keys(ledger)
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
