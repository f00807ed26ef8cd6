"""The figures of a run, as its page draws them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from ..calls.reply_lookup import ReplyLookup, open_replies
from ..data.judge import judge_warnings
from ..data.records import Example
from ..evaluate.calibration.pilot import make_pilot
from ..evaluate.calibration.yields import ThresholdYield, threshold_yield
from ..pipeline.recipes import RECIPES
from ..reporting.judge import panel_lines
from ..reporting.runs import RunReader, open_run
from ..reporting.summary import Summary
from ..store.coverage import metadata_tallies
from ..store.listing import Listing
from .activity import Activity, measure_activity
from .waits import EventLog, read_event_log

THRESHOLDS = tuple(step / 2 for step in range(19))
"""The θ of the slider: 0, 0.5, …, 9. Integer scores in two orders give gaps in steps of 0.5."""

SAMPLED = 2_000
"""Instructions whose texts and calls are read for the figures that need them."""

_MOST_VALUES = 40
"""Use cases and skills to draw."""


class Role(Struct, frozen=True):
    """A model and what it is for."""

    role: str
    model: str


class Session(Struct, frozen=True):
    """What one session paid for; ``name`` begins with its start."""

    name: str
    calls: int
    tokens: int
    reused: int
    seconds: float


class ValueCount(Struct, frozen=True):
    """How many seeds and how many rows have a use case or a skill."""

    value: str
    seeds: int
    rows: int


class Lengths(Struct, frozen=True):
    """Words of the sampled instructions and answers."""

    instructions: tuple[int, ...]
    strong: tuple[int, ...]
    target: tuple[int, ...]


class Thresholds(Struct, frozen=True):
    """What each θ yields.

    Attributes:
        own: the run's θ.
        exact_up_to: the highest θ whose yield is counted; None: all are.
        unique: share of selected instructions that duplicate neither others nor seeds.
        scored: how many instructions were scored, of those that were read.
        share: how much of the run was read.
    """

    own: float
    exact_up_to: float | None
    unique: float
    scored: int
    share: float
    yields: tuple[ThresholdYield, ...]


class Overview(Struct, frozen=True):
    """All figures of a run.

    Attributes:
        sampled: how many instructions were read for lengths, latency, throughput and θ.
        values: use cases and skills, the frequent first.
        judge: why its scores may be misleading.
        panel: of several judges, how reliable each is, and how far they agree.
    """

    recipe: str
    recipe_summary: str
    started: str
    version: str
    roles: tuple[Role, ...]
    settings: tuple[tuple[str, str], ...]
    summary: Summary
    instructions: int
    sampled: int
    values: dict[str, tuple[ValueCount, ...]]
    judge: tuple[str, ...]
    panel: tuple[str, ...]
    lengths: Lengths
    thresholds: Thresholds | None
    activity: Activity
    log: EventLog
    sessions: tuple[Session, ...]


class _Sample(NamedTuple):
    examples: list[Example]
    share: float


def read_overview(path: Path) -> Overview:
    """Compute the figures of the run in the folder *path*. Blocks: a minute for a million rows.

    Raises:
        FolderError: there is no run in it.
        LedgerError: its ledger is missing, or of another version.
        StorageError: the ledger or the cache cannot be read.
    """
    with open_run(path) as run, open_replies(run.config.cache.database()) as replies:
        return make_overview(run, Listing(run.ledger, run.config.target_rows), replies)


def make_overview(run: RunReader, listing: Listing, replies: ReplyLookup) -> Overview:
    """Compute the figures of *run*, whose entries *listing* holds. Blocks, as `read_overview`.

    Raises:
        StorageError: the ledger or the cache cannot be read.
    """
    config, summary, recipe = run.config, run.summary(), RECIPES[run.config.recipe]
    values = _values(run)  # here: the summary has just found the dataset's rows
    manifest = run.folder.read_manifest()
    sample = _sample(listing)
    judge, panel = summary.gaps.judge, panel_lines(summary.gaps.panel)
    return Overview(
        recipe=recipe.name,
        recipe_summary=f"{recipe.summary} ({recipe.source})",
        started="" if manifest is None else manifest.started,
        version="" if manifest is None else manifest.codeclm,
        roles=tuple(Role(name, role.model) for name, role in recipe.role_configs(config).items()),
        settings=(
            *recipe.settings(config),
            *((f"quality: {name}", value) for name, value in config.quality.in_force()),
        ),
        summary=summary,
        instructions=listing.instructions,
        sampled=len(sample.examples),
        values=values,
        judge=() if judge is None else tuple(judge_warnings(judge)),
        panel=tuple(line.strip() for line in panel),
        lengths=_lengths(sample.examples),
        thresholds=_thresholds(run, sample),
        activity=measure_activity(sample.examples, replies, share=sample.share),
        log=read_event_log(run.folder.events),
        sessions=_sessions(run),
    )


def _sample(listing: Listing) -> _Sample:
    entries = listing.sample(SAMPLED, instructions=True)
    examples = [example for entry in entries if (example := listing.example(entry)) is not None]
    return _Sample(examples, len(examples) / max(1, listing.instructions) or 1.0)


def _values(run: RunReader) -> dict[str, tuple[ValueCount, ...]]:
    tallies = metadata_tallies(run.ledger.connection)
    return {name: _frequent(seeds, rows) for name, (seeds, rows) in tallies.items()}


def _frequent(seeds: Mapping[str, int], rows: Mapping[str, int]) -> tuple[ValueCount, ...]:
    values = sorted({*seeds, *rows}, key=lambda value: (-rows.get(value, 0), value))
    return tuple(
        ValueCount(value, seeds.get(value, 0), rows.get(value, 0))
        for value in values[:_MOST_VALUES]
    )


def _lengths(examples: list[Example]) -> Lengths:
    answers = {
        author: tuple(
            len(answer.text.split())
            for example in examples
            if (answer := example.answer(author)) is not None
        )
        for author in ("strong", "target")
    }
    instructions = tuple(len(example.instruction.split()) for example in examples)
    return Lengths(instructions, answers["strong"], answers["target"])


def _thresholds(run: RunReader, sample: _Sample) -> Thresholds | None:
    config = run.config
    if not RECIPES[config.recipe].scores_gaps(config):
        return None
    pilot = make_pilot(
        str(run.folder.path), config, run.ledger, sample.examples, share=sample.share
    )
    if pilot is None:
        return None
    exact = pilot.exact_up_to
    return Thresholds(
        pilot.threshold,
        None if exact > THRESHOLDS[-1] else exact,
        pilot.unique,
        len(pilot.instructions),
        sample.share,
        tuple(
            threshold_yield(pilot.selectable, theta, exact_up_to=exact, costs=pilot.costs)
            for theta in sorted({*THRESHOLDS, pilot.threshold})
        ),
    )


def _sessions(run: RunReader) -> tuple[Session, ...]:
    spending = run.ledger.spending(run.config.cache.database())
    return tuple(
        Session(name, one.calls, one.total.tokens, one.reused, one.seconds)
        for name, one in spending.items()
    )
