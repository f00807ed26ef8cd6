"""A finished run as figures: what it cost, what was selected, what its rows are like.

Reads a run's ledger; makes no call.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from ..calls.budget import money
from ..calls.counters import RoleTokens
from ..config import Config
from ..data.records import Call, Example
from ..pipeline.recipes import RECIPES
from ..reporting.summary import Summary
from ..store.reader import LedgerReader
from . import metrics
from .metrics import Overlap, Spread
from .settings import Variant


class Cost(Struct, frozen=True):
    """Calls and tokens; money at the prices given, None where none were."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None


class Round(Struct, frozen=True):
    """One round of the filter: instructions scored and selected, and rows of the dataset."""

    scored: int
    selected: int
    rows: int


class Diversity(Struct, frozen=True):
    """Of the rows' instructions; entropies in bits, None where rows carry no metadata."""

    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    self_similarity: float | None
    use_case_bits: float | None
    skill_bits: float | None


class Dataset(Struct, frozen=True, kw_only=True):
    """One recipe's dataset, as it stands in ``comparison.json``."""

    name: str
    recipe: str
    swept: str
    value: Any
    folder: str
    rows: int
    wanted: int
    seeds: int
    """What the run was given; it may need fewer."""
    seeds_used: int
    """Seeds that at least one row comes from."""
    paid: Cost
    """What this run paid for, over all its sessions."""
    reused: int
    """Answers that it found in the cache, over all its sessions."""
    alone: Cost
    """What the questions behind its instructions take on an empty cache, each counted once; how
    much of that was paid here depends on which recipe came first. Encoding is not in it: one short
    call a seed."""
    rounds: dict[int, Round]
    winners: dict[str, int]
    diversity: Diversity
    instruction_words: Spread | None
    response_words: Spread | None
    overlap: dict[str, Overlap]
    """By test set."""

    @property
    def selection(self) -> float | None:
        """The share of scored instructions that some round selected."""
        begun = max((each.scored for each in self.rounds.values()), default=0)
        return sum(each.selected for each in self.rounds.values()) / begun if begun else None


def measure(
    variant: Variant,
    ledger: LedgerReader,
    summary: Summary,
    tests: Mapping[str, Sequence[str]],
    *,
    seeds: int,
    folder: str,
) -> Dataset:
    """Measure a run that has ended. Blocks: it reads the whole ledger.

    Args:
        variant: what was run.
        ledger: its ledger, open for reading.
        summary: what it came to.
        tests: prompts by test set.
        seeds: how many the run was given.
        folder: where the run is, for people.
    """
    config = variant.config
    rows = list(ledger.kept(config.target_rows))
    instructions = [row.instruction for row in rows]
    return Dataset(
        name=variant.name,
        recipe=variant.recipe,
        swept=variant.swept,
        value=variant.value,
        folder=folder,
        rows=len(rows),
        wanted=config.target_rows or len(rows),
        seeds=seeds,
        seeds_used=summary.seeds.kept,
        paid=_paid(config, ledger),
        reused=sum(session.reused for session in ledger.spending()),
        alone=_alone(config, ledger),
        rounds=_rounds(summary, rows),
        winners=summary.winners,
        diversity=diversity(rows, Random(f"{config.seed}/self-similarity")),
        instruction_words=metrics.lengths(instructions),
        response_words=metrics.lengths(map(_response, rows)),
        overlap={test: metrics.overlap(instructions, prompts) for test, prompts in tests.items()},
    )


def diversity(rows: Sequence[Example], random: Random) -> Diversity:
    instructions = [row.instruction for row in rows]
    known = [row.metadata for row in rows if row.metadata.use_case]
    return Diversity(
        metrics.distinct(instructions, 1),
        metrics.distinct(instructions, 2),
        metrics.distinct(instructions, 3),
        metrics.self_similarity(instructions, random),
        metrics.entropy(metadata.use_case for metadata in known),
        metrics.entropy(skill for metadata in known for skill in metadata.skills),
    )


def _response(row: Example) -> str:
    answer = row.response
    return answer.text if answer else ""


def _paid(config: Config, ledger: LedgerReader) -> Cost:
    sessions = ledger.spending()
    tokens: dict[str, RoleTokens] = {}
    for session in sessions:
        for role, used in session.roles.items():
            _add(tokens, role, used.prompt_tokens, used.completion_tokens, used.cached_tokens)
    return _cost(config, sum(session.calls for session in sessions), tokens)


def _alone(config: Config, ledger: LedgerReader) -> Cost:
    distinct = {call.key: call for call in _calls(ledger.examples())}
    tokens: dict[str, RoleTokens] = {}
    for call in distinct.values():
        _add(tokens, call.role, call.prompt_tokens, call.completion_tokens)
    return _cost(config, sum(call.asked for call in distinct.values()), tokens)


def _calls(stories: Iterable[Example]) -> Iterable[Call]:
    return (call for story in stories for call in story.calls)


def _add(
    tokens: dict[str, RoleTokens], role: str, prompt: int, completion: int, cached: int = 0
) -> None:
    used = tokens.setdefault(role, RoleTokens())
    used.prompt_tokens += prompt
    used.completion_tokens += completion
    used.cached_tokens += cached


def _cost(config: Config, calls: int, tokens: Mapping[str, RoleTokens]) -> Cost:
    return Cost(
        calls,
        sum(used.prompt_tokens for used in tokens.values()),
        sum(used.completion_tokens for used in tokens.values()),
        money(RECIPES[config.recipe].role_configs(config), tokens),
    )


def _rounds(summary: Summary, rows: Sequence[Example]) -> dict[int, Round]:
    """Rounds in which something was scored; rows that no round selected are in none."""
    made: dict[int, int] = {}
    for row in rows:
        if row.gap is not None and not row.reason.startswith("leftover"):
            made[len(row.iterations)] = made.get(len(row.iterations), 0) + 1
    gaps = summary.gaps
    return {
        number: Round(scored, gaps.selected.get(number, 0), made.get(number, 0))
        for number, scored in gaps.scored.items()
    }
