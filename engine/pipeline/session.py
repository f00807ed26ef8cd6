"""One session of a run: open everything, work, close everything, sum up.

Knows every part of the engine and no argument of the command line.
"""

import gc
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec
import structlog
from msgspec import Struct

from ...prompts import PromptSet
from ...providers import json_codec
from ..calls.budget import Spending
from ..calls.clients import (
    CallSettings,
    Clients,
    cache_folder,
    check_endpoint,
    endpoint_name,
    open_clients,
)
from ..calls.counters import Counters
from ..calls.dispatcher import Dispatcher
from ..calls.prompts import load_prompts
from ..config import Config, ConfigError, QualityConfig, RoleConfig, to_toml
from ..data import seeds
from ..data.errors import RunStopped
from ..data.records import Metadata, Seed, Unreadable, identity
from ..data.test_sets import Question, TestSource, prompts_of, read_questions
from ..disk.threads import close_in_thread
from ..quality.checks import Check, LanguageCheck, LengthCheck
from ..quality.contamination import ContaminationCheck, PromptIndex
from ..quality.near_duplicates import NearDuplicateFilter
from ..quality.similarity import SimilarityIndex, similarity_index
from ..store.folder import Folder, FolderError
from ..store.manifest import Manifest, differences, run_manifest
from ..store.writer import LedgerWriter
from .build import Widths, crew
from .orders import DEFAULT_PER_METADATA, per_seed
from .recipes import RECIPES, Recipe, recipe_of
from .work import Quality, Work

events = structlog.get_logger()

Ending = Literal["finished", "stopped", "failed"]


class Plan(Struct, frozen=True):
    """A checked configuration, with everything that is read before the first call."""

    config: Config
    recipe: Recipe
    roles: dict[str, RoleConfig]
    folder: Folder
    source: seeds.SeedSource | None
    metadata: tuple[Metadata, ...]
    prompts: dict[str, PromptSet]
    manifest: Manifest
    rules: "Rules"


class Rules(Struct, frozen=True):
    """The rules of quality that a configuration asks for, ready to use."""

    checks: tuple[Check, ...] = ()
    overlap: PromptIndex | None = None
    measure: SimilarityIndex | None = None


class Session(Struct):
    """What a session came to, and what `progress` watches while it runs."""

    plan: Plan
    counters: Counters
    ending: Ending = "failed"
    reason: str = ""
    left_for_later: int = 0
    dispatchers: dict[str, Dispatcher] = {}
    total_seeds: int | None = None
    name: str = ""


# -- before the first call --------------------------------------------------------------------


def prepare(config: Config, *, where: str) -> Plan:
    """Check everything that can be checked without a call. Blocks: it reads the seed files.

    Raises:
        ConfigError, SeedError, FolderError: naming the file, the key and the remedy.
    """
    recipe = recipe_of(config, where)
    config = msgspec.structs.replace(config, recipe=recipe.name)  # it may have been an alias
    recipe.check(config, where)
    roles = recipe.role_configs(config)
    prompts = {
        name: load_prompts(config, role, recipe.prompts(name), where)
        for name, role in roles.items()
    }
    source = _source(config)
    metadata = _read_metadata(Path(config.metadata.file)) if config.metadata.file else ()
    for role in roles.values():
        check_endpoint(role, where)
    folder = Folder(_folder(config))
    digest = seeds.digest(source) if source is not None else ""
    if config.metadata.file:
        digest += identity(Path(config.metadata.file).read_text("utf-8", "replace"))
    tests = _read_tests(config.quality, where)
    fresh = run_manifest(
        config,
        roles,
        seeds=digest,
        prompts={name: p.digests for name, p in prompts.items()},
        tests={name: identity(*(q.prompt for q in asked)) for name, asked in tests.items()},
    )
    rules = _rules(config.quality, tests, where)
    return Plan(config, recipe, roles, folder, source, metadata, prompts, fresh, rules)


def _read_tests(quality: QualityConfig, where: str) -> dict[str, list[Question]]:
    folder = Path(quality.tests).expanduser()
    try:
        return {name: read_questions(TestSource(name, folder)) for name in quality.decontaminate}
    except seeds.SeedError as error:
        raise ConfigError(f"{where}: quality.decontaminate: {error}") from error


def _rules(quality: QualityConfig, tests: dict[str, list[Question]], where: str) -> Rules:
    q = quality
    checks: list[Check] = [
        LengthCheck("instruction", q.min_instruction_words, q.max_instruction_words),
        LengthCheck("response", q.min_response_words, q.max_response_words),
    ]
    overlap = PromptIndex(prompts_of(tests), q.ngram) if tests else None
    if overlap is not None and q.on_overlap == "drop":
        checks.append(ContaminationCheck(overlap))
    try:
        if q.languages:
            checks.append(LanguageCheck(q.languages))
        near = q.near_duplicates
        likeness = None if near == "off" else similarity_index(near, q.near_threshold)
    except ImportError as error:
        raise ConfigError(
            f'{where}: quality: it needs an extra: pip install "codeclm[quality]" ({error})'
        ) from error
    except ValueError as error:
        raise ConfigError(f"{where}: quality.languages: {error}") from error
    return Rules(tuple(checks), overlap, likeness)


def _folder(config: Config) -> Path:
    if config.out:
        return Path(config.out).expanduser()
    name = config.seed_files[0].name if config.seed_files else Path(config.metadata.file or "").name
    return Path("runs") / (name.split(".")[0] or "run")


def seed_source(config: Config) -> seeds.SeedSource:
    """Say where *config*'s seeds are and how they are read."""
    settings = config.input
    return seeds.SeedSource(config.seed_files, settings.field, settings.template, settings.format)


def _source(config: Config) -> seeds.SeedSource | None:
    if config.metadata.file:
        return None
    source = seed_source(config)
    bad = list[str]()
    for record in seeds.read(source):
        if not isinstance(record, Unreadable):
            return source
        bad.append(f"{record.where}: {record.reason}")
        if len(bad) == 1000:
            break
    said = "; ".join(bad[:3]) or "it is empty"
    raise seeds.SeedError(f"{', '.join(map(str, config.seed_files))}: no seed can be read: {said}")


class _MetadataLine(Struct, forbid_unknown_fields=False):
    use_case: str
    skills: tuple[str, ...] = ()


_metadata_line = msgspec.json.Decoder(_MetadataLine)


def _read_metadata(path: Path) -> tuple[Metadata, ...]:
    """Read metadata written by hand: JSON lines of use case and skills (paper §3, scenario 2)."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    items = list[Metadata]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read = json_codec.loads(line, _metadata_line)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
        if not read.use_case.strip():
            raise ConfigError(f"{path}:{number}: use_case: it is empty")
        items.append(
            Metadata(
                position=len(items),
                id=identity("metadata", "user", str(len(items)), read.use_case, *read.skills),
                use_case=read.use_case.strip(),
                skills=tuple(skill.strip() for skill in read.skills if skill.strip()),
                origin="user",
            )
        )
    if not items:
        raise ConfigError(f"{path}: it holds no metadata")
    return tuple(items)


def settle_manifest(plan: Plan, ledger: LedgerWriter, *, allow_change: bool) -> None:
    """See that the folder's run is this run, or begin one.

    Raises:
        FolderError: it is another one; the message shows the differences.
    """
    old = plan.folder.read_manifest()
    if old is not None:
        changed = differences(old, plan.manifest)
        if changed and not allow_change:
            raise FolderError(
                f"{plan.folder.path}: this folder holds another run:\n"
                + "".join(f"    {line}\n" for line in changed)
                + "choose another folder (--out), or --allow-change to start it anew with what has"
                " changed (answers already paid for are reused)"
            )
        if changed:
            ledger.clear()
            events.warning("run.changed", differences=changed)
        else:
            plan.folder.write_manifest(
                to_toml(plan.config),
                msgspec.structs.replace(plan.manifest, started=old.started),
            )
            return
    plan.folder.write_manifest(to_toml(plan.config), plan.manifest)


# -- the session ------------------------------------------------------------------------------

Watcher = Callable[[Session], Coroutine[Any, Any, None]]


async def execute(plan: Plan, *, watch: Watcher, allow_change: bool = False) -> Session:
    """Run until the dataset is finished, someone stops it, or it can't go on.

    Raises:
        FolderError, StorageError: a folder or file of ours can't be used.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}"
    session = Session(plan, Counters(), dispatchers={}, name=name)
    async with AsyncExitStack() as stack:
        ledger = await anyio.to_thread.run_sync(_open_ledger, plan, allow_change)
        stack.push_async_callback(close_in_thread, ledger.close)
        spent = await anyio.to_thread.run_sync(ledger.reader.spending)
        settings = CallSettings(
            cache_folder(plan.config),
            plan.config.retry,
            plan.config.parse_attempts,
            plan.config.seed,
            plan.config.budget,
        )
        clients = await stack.enter_async_context(
            open_clients(plan.roles, plan.prompts, settings, counters=session.counters, spent=spent)
        )
        session.dispatchers = clients.dispatchers
        gc.collect()
        gc.freeze()
        # In-flight calls make many objects and few cycles: the default thresholds cost more than
        # half of all CPU at 2,000 in flight (docs/decisions.md).
        gc.set_threshold(20_000, 50, 1000)
        await _work(session, clients, ledger, watch)
    return session


def _open_ledger(plan: Plan, allow_change: bool) -> LedgerWriter:  # noqa: FBT001  (run in a thread)
    ledger = LedgerWriter(plan.folder.ledger)
    try:
        settle_manifest(plan, ledger, allow_change=allow_change)
        ledger.clear_provisional_decisions()
    except FolderError:
        ledger.close()
        raise
    return ledger


REFINE_SPARE = 64
"""Workers beyond the calls in flight: some wait for a retry, and hold no place but themselves. With
15 % of calls refused for a second, 8 in flight and none to spare, a run took 1.34 times as long."""


def widths(config: Config, roles: Mapping[str, RoleConfig]) -> Widths:
    """Enough workers that one slow role does not leave another without work."""
    shared = {endpoint_name(role): role.max_concurrent for role in roles.values()}
    strong = config.strong.max_concurrent
    refine = sum(shared.values()) + REFINE_SPARE
    return Widths(encode=strong, decode=max(1, strong // 2), refine=refine)


async def _work(session: Session, clients: Clients, ledger: LedgerWriter, watch: Watcher) -> None:
    config = session.plan.config

    stages = crew(config, clients.models, session.counters, widths(config, session.plan.roles))
    quality = await anyio.to_thread.run_sync(_quality, session.plan, ledger)
    work = Work(config, stages, ledger, session.counters, stop_calls=clients.stop, quality=quality)
    async with anyio.create_task_group() as group:
        group.start_soon(_heed_signals, work, group.cancel_scope, session)
        group.start_soon(watch, session)
        group.start_soon(_keep_account, session, ledger)
        group.start_soon(_halt_on_ledger_failure, work, ledger)
        events.info("run.began", folder=str(session.plan.folder.path))
        await _go(session, work, ledger)
        await clients.drained()
        _conclude(session, work)
        _note_spending(session, ledger)
        group.cancel_scope.cancel()


def _quality(plan: Plan, ledger: LedgerWriter) -> Quality:
    rules = plan.rules
    sieve = None
    if rules.measure is not None:
        given = plan.source is not None
        sieve = NearDuplicateFilter(
            rules.measure, ledger.reader, lambda: _read(plan, bytearray()) if given else ()
        )
    return Quality(rules.checks, rules.overlap, sieve)


async def _go(session: Session, work: Work, ledger: LedgerWriter) -> None:
    plan = session.plan
    try:
        if plan.source is None:
            await work.ordered(list(plan.metadata), set())
            return
        session.total_seeds = await anyio.to_thread.run_sync(seeds.count, plan.source)
        await _start(plan, work, ledger, session.total_seeds)
    except* RunStopped as group:
        work.halt(_first(group))


async def _start(plan: Plan, work: Work, ledger: LedgerWriter, total: int) -> None:
    """Let *work* set out as the recipe does."""
    config, start = plan.config, plan.recipe.start
    if start == "pool":
        await work.pooled(_read(plan, bytearray()))
    elif start == "metadata" and config.metadata.augment_to:
        await work.augmented(_read(plan, bytearray()))
    else:
        done = await anyio.to_thread.run_sync(ledger.reader.finished_seeds)
        work.seeds_a_pass = min(total, config.limit or total)
        await work.stream(_passes(plan, done, work.seeds_a_pass))


def _first(group: BaseExceptionGroup[RunStopped]) -> RunStopped:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, RunStopped)
    return error


def _read(plan: Plan, done: bytearray) -> Iterator[Seed | Unreadable]:
    assert plan.source is not None
    for record in seeds.read(plan.source, skip=done):
        if plan.config.limit is not None and record.position >= plan.config.limit:
            return
        yield record


def _passes(plan: Plan, done: bytearray, total: int) -> Iterator[Seed | Unreadable]:
    """Read the seeds, and again, at positions further on, while more rows than seeds are wanted.

    Each pass draws samples of its own. `Work` takes no more than it needs.
    """
    for again in range(passes(plan.config, total)):
        start = again * total
        for record in _read(plan, done[start : start + total]):
            yield msgspec.structs.replace(record, position=start + record.position)


def passes(config: Config, seeds: int) -> int:
    """How often *seeds* seeds may be gone through, each giving so many rows a time."""
    recipe, wanted = RECIPES[config.recipe], config.target_rows
    topup = config.size.max_expansion if config.size.shortfall == "topup" else 1
    if recipe.start == "metadata":
        first = seeds * per_seed(seeds, wanted, config.decode.per_metadata)
        later = min(first, seeds * DEFAULT_PER_METADATA)
        candidates = ceil(max(wanted, first) * topup) if wanted else first
        return 1 + ceil((candidates - first) / max(later, 1))
    rows = max(seeds * recipe.rows_per_draft(config), 1)
    if not wanted:
        return ceil((config.max_candidates or 1) / rows)
    return ceil(ceil(wanted / rows) * topup)


def _conclude(session: Session, work: Work) -> None:
    session.left_for_later = work.left_for_later
    if work.stopped_by is not None:
        session.ending, session.reason = "failed", str(work.stopped_by)
    elif work.stopping and not work.enough:
        session.ending, session.reason = "stopped", "stopped on request"
    else:
        session.ending = "finished"
    events.info("run.ended", ending=session.ending, reason=session.reason)


async def _halt_on_ledger_failure(work: Work, ledger: LedgerWriter) -> None:
    work.halt(await ledger.failure())


async def _keep_account(session: Session, ledger: LedgerWriter) -> None:
    """Write down every second what has been paid for, so that a kill hides no cost."""
    while True:
        await anyio.sleep(1)
        _note_spending(session, ledger)


def _note_spending(session: Session, ledger: LedgerWriter) -> None:
    counters = session.counters
    total = counters.total()
    if total.paid or total.reused:
        ledger.spent(session.name, Spending(total.paid, counters.roles, total.reused))


async def _heed_signals(work: Work, scope: anyio.CancelScope, session: Session) -> None:
    """First SIGINT or SIGTERM: finish what is in flight. Second: stop now."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            events.warning("run.signalled", signal=number.name)
            if work.stopping and not work.enough:
                session.ending, session.reason = "stopped", "stopped at once on request"
                scope.cancel()
                return
            work.stop()
