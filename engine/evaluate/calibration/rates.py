"""What a finished pilot run says about a larger one: rows and calls per instruction."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from ...calls.counters import Counters
from ...calls.spending import Usage, UsageByStage, add_usage, total_spending
from ...config import Config, ConfigError, load_config
from ...data.records import Example, Iteration
from ...data.text.fingerprint import fingerprint
from ...pipeline.prepare import Plan
from ...pipeline.recipe import Recipe
from ...reporting.runs import existing_run
from ...reporting.summary import Summary, summarise
from ...store.manifest import Manifest, default_settings, differences
from ...store.reader import LedgerReader

MIN_INSTRUCTIONS = 30
"""Fewer finished instructions say too little."""

_GROUPS = 60
"""Most groups that the jackknife leaves out, one at a time."""

_SIZES = frozenset(
    {"limit", "head", "seed", "target_rows", "max_candidates", "decode.per_metadata"}
    | {"size.shortfall", "size.max_expansion", "filter.threshold"}
)
"""Settings in which a pilot may differ: rates per instruction do not depend on them, or are
computed anew."""


class GroupRates(Struct):
    """Sums over some of the pilot's metadata items.

    Attributes:
        items: metadata items that were asked.
        instructions: asked for.
        drafts: basic instructions that were finished.
        rows: that the run's θ would keep.
        calls: of the finishing step, attempts included, by role and stage.
    """

    items: int = 0
    instructions: int = 0
    drafts: float = 0.0
    rows: float = 0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def add(self, other: "GroupRates") -> None:
        self.items += other.items
        self.instructions += other.instructions
        self.drafts += other.drafts
        self.rows += other.rows
        self.calls.update(other.calls)


class PilotRates(Struct, frozen=True):
    """What a pilot run measured.

    Attributes:
        folder: the pilot's, for display.
        config: its settings.
        groups: independent parts of it.
        usage: tokens of its calls, by role and stage.
        calls_per_second: that it paid for; None if most of its answers were cached.
        warnings: why the figures may be misleading.
    """

    folder: str
    config: Config
    groups: tuple[GroupRates, ...]
    usage: UsageByStage
    calls_per_second: float | None
    warnings: tuple[str, ...]


def read_rates(path: Path, plan: Plan) -> PilotRates:
    """Read the pilot in *path* for a forecast of *plan*. Blocks: it reads every example.

    Raises:
        ConfigError: it says nothing about *plan*: other settings, not finished, or too small.
        FolderError, StorageError: it cannot be read.
    """
    folder = existing_run(path)
    config = load_config(folder.config, check=False)
    warnings = list(_differences(path, folder.read_manifest(), plan.manifest))
    _check_threshold(path, config, plan)
    with LedgerReader(folder.ledger) as ledger:
        summary = summarise(config, ledger, Counters(), ending="", reason="")
        _check_size(path, summary)
        warnings += _judge_warnings(summary)
        spent = total_spending(ledger.spending(config.cache.database()).values())
        reading = _Reading(plan.recipe, plan.config, config)
        # Where seeds are the instructions, a request is for rows of one; it counts as a draft.
        unit = plan.recipe.rows_per_draft(config) if rows_are_shared(plan.recipe) else 1
        requests = {item: count // unit for item, count, _ in ledger.request_progress(unit)}
        reading.read(ledger.with_fates(), requests)
    is_paid = spent.calls >= spent.reused and spent.seconds > 0
    return PilotRates(
        str(path),
        config,
        tuple(group for group in reading.groups.values() if group.drafts),
        _with_listed(spent.usage, reading.usage),
        spent.calls / spent.seconds if is_paid else None,
        tuple(warnings),
    )


def rows_are_shared(recipe: Recipe) -> bool:
    """Whether a seed gives as many rows as its share needs, of more that each draft could give.

    Then the rows per instruction say how many were wanted, not how many there could be.
    """
    return recipe.mode.material == "instruction"


def _differences(path: Path, pilot: Manifest | None, run: Manifest) -> Iterator[str]:
    """Yield what may mislead.

    Raises:
        ConfigError: the pilot asked other models, or asked them otherwise.
    """
    if pilot is None:
        raise ConfigError(f"{path}: has no manifest: it was never begun")
    others = list[str]()
    for line in differences(pilot, run, default_settings()):
        key = line.partition(":")[0]
        if line == "the seed files have changed":
            yield "the pilot had other seeds: what it says holds for seeds like its own"
        elif key == "metadata.augment_to":
            yield f"mixed metadata may be harder than the pilot's ({line})"
        elif key not in _SIZES:
            others.append(line)
    if others:
        raise ConfigError(
            f"{path}: made with other settings: {'; '.join(others)}: make a pilot with this"
            " configuration, and --limit"
        )


def _check_threshold(path: Path, pilot: Config, plan: Plan) -> None:
    threshold, own = plan.config.filter.threshold, pilot.filter.threshold
    both = f"{path}: its θ is {own:g}, this run's {threshold:g}"
    if plan.config.filter.confirm and threshold != own:
        raise ConfigError(
            f"{both}: what filter.confirm keeps is known at the pilot's own θ alone: make a pilot"
            f" with --threshold {threshold:g}"
        )
    if plan.recipe.scores_gaps(pilot) and threshold > own:
        raise ConfigError(
            f"{both}: what it selected went no further: make a pilot with --threshold"
            f" {threshold:g} or more"
        )


def _check_size(path: Path, summary: Summary) -> None:
    if summary.seeds.unfinished or summary.instructions.unfinished:
        raise ConfigError(
            f"{path}: not finished: what was selected early finished first, so its rates are too"
            f" high: codeclm resume {path}"
        )
    if summary.instructions.input < MIN_INSTRUCTIONS:
        raise ConfigError(
            f"{path}: {summary.instructions.input} instructions say too little: make a pilot of at"
            f" least {MIN_INSTRUCTIONS}"
        )


def _judge_warnings(summary: Summary) -> Iterator[str]:
    judge = summary.gaps.judge
    if judge is not None and not judge.is_reliable:
        yield (
            f"the judge is not reliable ({judge.describe()}): what is selected, and so how much is"
            " paid for it, is mostly chance"
        )


def _with_listed(spent: UsageByStage, listed: UsageByStage) -> UsageByStage:
    """Return *spent*, and what was *listed* of stages whose answers were all cached."""
    for role, stages in listed.items():
        for stage, usage in stages.items():
            if stage not in spent.get(role, {}):
                add_usage(spent, role, stage, usage)
    return spent


class _Reading:
    """Sums over a pilot's examples, as the run's θ would have it."""

    def __init__(self, recipe: Recipe, run: Config, pilot: Config) -> None:
        self.groups: dict[int, GroupRates] = {}
        self.usage: UsageByStage = {}
        self._run = run
        self._rows_per_draft = recipe.rows_per_draft(run)
        self._stages = {
            prompt.name for prompts in recipe.finishing.prompts.values() for prompt in prompts
        }
        self._has_other_threshold = (
            recipe.scores_gaps(pilot) and run.filter.threshold < pilot.filter.threshold
        )
        self._keys = set[str]()
        self._texts = set[int]()

    def read(self, examples: Iterable[Example], requests: dict[int, int]) -> None:
        for item, instructions in requests.items():
            self._group(item).add(GroupRates(items=1, instructions=instructions))
        for example in examples:
            self._add(example)

    def _group(self, item: int) -> GroupRates:
        return self.groups.setdefault(item % _GROUPS, GroupRates())

    def _add(self, example: Example) -> None:
        group = self._group(example.position)
        group.drafts += 1 / self._rows_per_draft
        share: dict[str, float] = {}
        if self._has_other_threshold:
            rounds, is_row = self._at_threshold(example)
            share = _shares(example, rounds)
            group.rows += is_row
        else:
            group.rows += example.fate == "kept" or example.reason == "beyond_target"
        for call in example.calls:
            if call.key in self._keys:
                continue
            self._keys.add(call.key)
            usage = Usage(1, call.prompt_tokens, completion_tokens=call.completion_tokens)
            add_usage(self.usage, call.role, call.stage, usage)
            if call.stage in self._stages:
                # Counter's values may be fractions: what the run's θ saves.
                counts: Counter[tuple[str, str]] = group.calls
                counts[call.role, call.stage] += call.attempts * share.get(call.stage, 1)  # type: ignore[assignment]

    def _at_threshold(self, example: Example) -> tuple[int, bool]:
        """Return how many rounds the run's θ would have scored, and whether it keeps a row."""
        settings = self._run.filter
        scored = [one for one in example.iterations if one.gap is not None]
        for number, one in enumerate(scored, 1):
            gap = one.gap or 0.0
            lead = abs(gap) if settings.keep == "both" else gap
            if lead > settings.threshold:
                return number, self._is_row(one, "strong" if gap > 0 else "target")
        return len(scored), settings.leftover == "keep_strong" and bool(scored)

    def _is_row(self, selected: Iteration, winner: str) -> bool:
        answer = selected.strong if winner == "strong" else selected.target
        is_cut = answer is not None and answer.finish_reason == "length"
        text = fingerprint(selected.instruction)
        is_new = text not in self._texts
        self._texts.add(text)
        return is_new and (not is_cut or self._run.filter.keep_cut_off)


def _shares(example: Example, rounds: int) -> dict[str, float]:
    """Return which share of an example's calls its first *rounds* scored rounds took."""
    scored = [one for one in example.iterations if one.gap is not None]
    if not scored:
        return {}
    rewrites = max(1, len(example.iterations) - 1)
    share = rounds / len(scored)
    return {
        "respond": share,
        "score": share,
        "improve": (scored[rounds - 1].number - 1) / rewrites,
    }
