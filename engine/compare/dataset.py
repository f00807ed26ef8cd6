"""Measure a finished run: its cost, what was selected, and its rows.

Reads a run's ledger; makes no call.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from ..calls.prices import money
from ..calls.spending import Spending, Usage, UsageByStage, add_usage, total_spending
from ..config import Config
from ..data.records import Call, Example
from ..pipeline.recipes import RECIPES
from ..reporting.summary import Summary
from ..store.reader import LedgerReader
from . import metrics
from .metrics import OverlapCounts, Spread
from .variants import Variant


class DatasetCost(Struct, frozen=True):
    """Calls and tokens; money at the configured prices, None without prices."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None


class RoundCounts(Struct, frozen=True):
    """One round of the filter: instructions scored and selected, and rows of the dataset."""

    scored: int
    selected: int
    rows: int


class Diversity(Struct, frozen=True):
    """Of the rows' instructions; entropies in bits, None if rows carry no metadata."""

    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    self_similarity: float | None
    use_case_bits: float | None
    skill_bits: float | None


class Dataset(Struct, frozen=True, kw_only=True):
    """One run's dataset, as in ``comparison.json``.

    Attributes:
        name: of the run.
        recipe: as named in ``compare.recipes``.
        sweep_key: the setting that a sweep varies; empty outside sweeps.
        sweep_value: the value it has here.
        folder: the run's.
        rows: in the dataset.
        target_rows: how many there should be.
        seeds: available to the run, which may need fewer.
        seeds_used: seeds that at least one row comes from.
        paid: calls that all sessions of this run paid for.
        reused: answers that all its sessions took from the cache.
        standalone: what the calls behind its instructions cost with an empty cache, each counted
            once; ``paid`` depends on which recipe ran first. Leaves out encoding: one short call
            per seed.
        rounds: by number, from 1.
        winners: rows by the model whose answer they hold.
        diversity: of the rows' instructions.
        instruction_words: their lengths.
        response_words: the responses' lengths.
        overlap: by test set.
    """

    name: str
    recipe: str
    sweep_key: str
    sweep_value: Any
    folder: str
    rows: int
    target_rows: int
    seeds: int
    seeds_used: int
    paid: DatasetCost
    reused: int
    standalone: DatasetCost
    rounds: dict[int, RoundCounts]
    winners: dict[str, int]
    diversity: Diversity
    instruction_words: Spread | None
    response_words: Spread | None
    overlap: dict[str, OverlapCounts]

    @property
    def selection_rate(self) -> float | None:
        """The share of scored instructions that some round selected."""
        scored = max((counts.scored for counts in self.rounds.values()), default=0)
        selected = sum(counts.selected for counts in self.rounds.values())
        return selected / scored if scored else None

    def shares_by_round(self, rounds: Iterable[int]) -> list[float]:
        """Return the share of selected rows that each of *rounds* selected (paper Figure 3)."""
        total = sum(counts.rows for counts in self.rounds.values())
        rows = [self.rounds[n].rows if n in self.rounds else 0 for n in rounds]
        return [count / total if total else 0.0 for count in rows]


def measure_dataset(
    variant: Variant,
    ledger: LedgerReader,
    summary: Summary,
    tests: Mapping[str, Sequence[str]],
    *,
    seeds: int,
    folder: str,
) -> Dataset:
    """Measure the dataset of a finished run. Blocks: it reads the whole ledger.

    Args:
        variant: the run.
        ledger: its ledger, open for reading.
        summary: its summary.
        tests: prompts by test set.
        seeds: available to the run.
        folder: the run's, for display.
    """
    config = variant.config
    spent = total_spending(ledger.spending(config.cache.database()).values())
    rows = list(ledger.kept(config.target_rows))
    instructions = [row.instruction for row in rows]
    return Dataset(
        name=variant.name,
        recipe=variant.recipe,
        sweep_key=variant.sweep_key,
        sweep_value=variant.sweep_value,
        folder=folder,
        rows=len(rows),
        target_rows=config.target_rows or len(rows),
        seeds=seeds,
        seeds_used=summary.seeds.kept,
        paid=_cost(config, spent),
        reused=spent.reused,
        standalone=_standalone(config, ledger),
        rounds=_rounds(summary, rows),
        winners=summary.winners,
        diversity=_diversity(rows, Random(f"{config.seed}/self-similarity")),
        instruction_words=metrics.lengths(instructions),
        response_words=metrics.lengths(map(_response, rows)),
        overlap={test: metrics.overlap(instructions, prompts) for test, prompts in tests.items()},
    )


def _diversity(rows: Sequence[Example], random: Random) -> Diversity:
    instructions = [row.instruction for row in rows]
    metadata = [row.metadata for row in rows if row.metadata.use_case]
    return Diversity(
        metrics.distinct_n(instructions, 1),
        metrics.distinct_n(instructions, 2),
        metrics.distinct_n(instructions, 3),
        metrics.self_similarity(instructions, random),
        metrics.entropy(item.use_case for item in metadata),
        metrics.entropy(skill for item in metadata for skill in item.skills),
    )


def _response(row: Example) -> str:
    answer = row.response
    return answer.text if answer else ""


def _standalone(config: Config, ledger: LedgerReader) -> DatasetCost:
    calls = {call.key: call for call in _calls(ledger.examples())}
    usage: UsageByStage = {}
    for call in calls.values():
        used = Usage(call.attempts, call.prompt_tokens, completion_tokens=call.completion_tokens)
        add_usage(usage, call.role, call.stage, used)
    return _cost(config, Spending(usage))


def _calls(examples: Iterable[Example]) -> Iterable[Call]:
    return (call for example in examples for call in example.calls)


def _cost(config: Config, spent: Spending) -> DatasetCost:
    total = spent.total
    return DatasetCost(
        total.calls,
        total.prompt_tokens,
        total.completion_tokens,
        money(RECIPES[config.recipe].role_configs(config), spent.usage),
    )


def _rounds(summary: Summary, rows: Sequence[Example]) -> dict[int, RoundCounts]:
    """Count each round. Rows that no round selected are not counted."""
    selected_rows: dict[int, int] = {}
    for row in rows:
        if row.gap is not None and not row.reason.startswith("leftover"):
            number = len(row.iterations)
            selected_rows[number] = selected_rows.get(number, 0) + 1
    gaps = summary.gaps
    return {
        number: RoundCounts(scored, gaps.selected.get(number, 0), selected_rows.get(number, 0))
        for number, scored in gaps.scored.items()
    }
