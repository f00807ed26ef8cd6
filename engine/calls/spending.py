"""What was paid for: calls and tokens by session, role and stage.

A session's spending is stored with its answers, in one transaction of the cache, so that killing
the process hides none of it. Between sessions the run's ledger holds a copy, in case the cache is
deleted.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct, field

from ...providers.base import Reply
from ..disk.own_table import OwnTable
from ..disk.sqlite import connect, storage_error
from .replies import StoredReply


class Usage(Struct):
    """Calls that were paid for, and their tokens."""

    calls: int = 0
    prompt_tokens: int = 0
    """Of the prompts, those read from or written to the vendor's cache included."""
    cached_tokens: int = 0
    """Of the prompt tokens: read from the vendor's prompt cache."""
    cache_write_tokens: int = 0
    """Of the prompt tokens: written to the vendor's prompt cache."""
    completion_tokens: int = 0
    """Of the replies as billed, reasoning included."""
    reasoning_tokens: int = 0
    """Of the completion tokens: spent on reasoning."""

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: "Usage") -> None:
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.completion_tokens += other.completion_tokens
        self.reasoning_tokens += other.reasoning_tokens


def usage_of(reply: Reply | StoredReply) -> Usage:
    """Return the usage of one call that *reply* answers."""
    return Usage(
        1,
        prompt_tokens=reply.prompt_tokens,
        cached_tokens=reply.cached_tokens,
        cache_write_tokens=reply.cache_write_tokens,
        completion_tokens=reply.completion_tokens,
        reasoning_tokens=reply.reasoning_tokens,
    )


UsageByStage = dict[str, dict[str, Usage]]
"""By role, then by stage."""


def add_usage(to: UsageByStage, role: str, stage: str, usage: Usage) -> None:
    """Add the *usage* of a stage."""
    of_role = to.get(role)
    if of_role is None:
        of_role = to[role] = {}
    of_stage = of_role.get(stage)
    if of_stage is None:
        of_stage = of_role[stage] = Usage()
    of_stage.add(usage)


class Spending(Struct):
    """What one session paid for, or several together."""

    usage: UsageByStage = field(default_factory=UsageByStage)
    reused: int = 0
    """Replies that were not paid for: from the cache, or shared with the same call in flight."""
    seconds: float = 0.0
    """How long it worked."""

    @property
    def total(self) -> Usage:
        total = Usage()
        for of_role in self.usage.values():
            for of_stage in of_role.values():
                total.add(of_stage)
        return total

    @property
    def calls(self) -> int:
        """Paid calls."""
        return sum(stage.calls for role in self.usage.values() for stage in role.values())

    def complete(self, stored: "Spending") -> None:
        """Take over every stage of which *stored*, an account of the same session, knows more."""
        for role, stages in stored.usage.items():
            own = self.usage.setdefault(role, {})
            for stage, usage in stages.items():
                if stage not in own or own[stage].calls < usage.calls:
                    own[stage] = usage


def total_spending(sessions: Iterable[Spending]) -> Spending:
    """Return what all *sessions* paid for together."""
    total = Spending()
    for session in sessions:
        total.reused += session.reused
        total.seconds += session.seconds
        for role, stages in session.usage.items():
            for stage, usage in stages.items():
                add_usage(total.usage, role, stage, usage)
    return total


# -- stored with the answers --------------------------------------------------------------------


class Charge(NamedTuple):
    """What one answer cost."""

    session: str
    role: str
    stage: str
    usage: Usage


_FIGURES = Usage.__struct_fields__
SPENDING_TABLE: Final = OwnTable(
    "Spending",
    "CREATE TABLE Spending (session TEXT NOT NULL, role TEXT NOT NULL, stage TEXT NOT NULL,"
    f" {', '.join(f'{figure} INTEGER NOT NULL' for figure in _FIGURES)},"
    " PRIMARY KEY (session, role, stage)) STRICT, WITHOUT ROWID",
)
_ADD = (
    f"INSERT INTO Spending VALUES (?, ?, ?, {', '.join('?' * len(_FIGURES))})"
    " ON CONFLICT DO UPDATE SET"
    f" {', '.join(f'{figure} = {figure} + excluded.{figure}' for figure in _FIGURES)}"
)
_SELECT = f"SELECT role, stage, {', '.join(_FIGURES)} FROM Spending WHERE session = ?"


def store_charges(connection: sqlite3.Connection, charges: Iterable[Charge]) -> None:
    """Add *charges* to what their sessions paid for; the caller's transaction commits it."""
    sums: dict[tuple[str, str, str], Usage] = {}
    for session, role, stage, usage in charges:
        of_stage = sums.get((session, role, stage))
        if of_stage is None:
            of_stage = sums[session, role, stage] = Usage()
        of_stage.add(usage)
    rows = [(*key, *(getattr(usage, figure) for figure in _FIGURES)) for key, usage in sums.items()]
    connection.executemany(_ADD, rows)


def stored_spending(path: Path, sessions: Sequence[str]) -> dict[str, Spending]:
    """Return what *sessions* paid for, as the cache at *path* knows it. Blocks.

    Raises:
        StorageError: the cache cannot be read.
    """
    if not path.is_file():
        return {}
    spending: dict[str, Spending] = {}
    with closing(connect(path)) as connection:
        try:
            if not SPENDING_TABLE.exists(connection, path):
                return {}
            for session in sessions:
                account = spending[session] = Spending()
                for role, stage, *figures in connection.execute(_SELECT, (session,)):
                    add_usage(account.usage, role, stage, Usage(*figures))
        except sqlite3.Error as error:
            raise storage_error(path, error) from error
    return spending
