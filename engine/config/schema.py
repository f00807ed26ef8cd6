"""The settings of a run, as frozen structs: each one's meaning, unit, range and default.

`codeclm init` writes them out with their defaults: ``template.toml`` beside this module.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, assert_never, cast

import msgspec
from msgspec import Meta, field

from ..data.files import user_path
from ..data.seeds import SeedFormat, SeedSource, remote
from ..data.seeds.selection import SeedSelection
from .role_settings import JudgeConfig, RoleConfig
from .values import (
    EXACT,
    LONGEST,
    Count,
    Money,
    Points,
    RandomSeed,
    RoleName,
    Seconds,
    SettingsTable,
)


class InputConfig(SettingsTable, frozen=True):
    """How seeds are read."""

    field: str | None = None
    """Field that holds the instruction. None: tries the names that common datasets use."""
    template: str | None = None
    """Joins several fields, as in ``"{instruction}\\n{input}"``. Excludes ``field``."""
    format: SeedFormat | None = None
    """None: by the file's suffix."""
    stratify: str | None = None
    """Field of a seed record, such as a category: rows and samples then spread evenly over its
    values, and reports say how evenly. None: they spread over the file from beginning to end."""


class MetadataConfig(SettingsTable, frozen=True):
    """Use cases and skills."""

    file: str | None = None
    """Start from this file, not from seeds: JSON lines of {"use_case": …, "skills": […]}."""
    augment_to: Count | None = None
    """Mix use cases and skills until there are this many items (the paper: 200). None: streaming;
    each seed's metadata is decoded at once."""
    draw_use_case: Literal["multiset", "distinct"] = "multiset"
    """multiset keeps the task distribution; distinct samples every use case equally often."""
    skill_count: Literal["empirical", "uniform"] = "empirical"
    """How many skills a mixed item gets: as many as encoded items have, or 1 to 3 uniformly."""
    plausibility_check: bool = False
    """Ask the strong model whether a mixed item makes sense (the paper's authors looked)."""
    use_cases: tuple[str, ...] = ()
    """The use cases to choose from. Empty: any."""
    skills: tuple[str, ...] = ()
    """The skills to choose from. Empty: any."""
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Use only this share of a fixed set, sampled with the run's seed: fewer items then share
    ``target_rows`` (paper §5.5, Figure 4). None: all of it."""

    def part(self, items: int) -> int:
        """Return how many of *items* are used."""
        return items if self.share is None else min(items, max(1, int(self.share * items + 0.5)))


class DecodeConfig(SettingsTable, frozen=True):
    """Basic instructions."""

    per_metadata: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Basic instructions per metadata item. None: an equal share of ``target_rows`` in augmented
    mode, else 10."""
    chunk: Annotated[int, Meta(ge=1, le=50)] = 10
    """Most instructions requested in one call."""
    extra_calls: Annotated[int, Meta(ge=0, le=1000)] = 3
    """Further calls when replies hold too few instructions, or duplicates."""
    rubrics: Annotated[int, Meta(ge=1, le=20)] = 4
    """Rubrics per metadata item, and as many actions."""


class FilterConfig(SettingsTable, frozen=True):
    """Self-Rubrics and Contrastive Filtering."""

    threshold: Points = 3.0
    """θ: an instruction is selected if its quality gap is strictly larger, in points of 10."""
    max_iterations: Annotated[int, Meta(ge=1, le=20)] = 4
    """Rounds per instruction. The basic instruction is the first."""
    filter_basic: bool = True
    """true: score the basic instruction before any rewrite (A.3). false: rewrite it first
    (Figure 2)."""
    samples: Annotated[int, Meta(ge=1, le=16)] = 1
    """Scorings of each order, whose mean counts; more than one needs a judge that samples
    (``judge.temperature`` above 0; a program that takes ``sample``). A scored round takes two calls
    for each."""
    confirm: bool = False
    """Score what a round selects once more, and keep it only if the same answer leads by more than
    θ again. Needs a judge that samples; two more calls, times ``samples``, for each selection."""
    keep: Literal["both", "strong"] = "both"
    """both: a selected instruction has the better answer, the target model's own where that leads
    (the paper's rule). strong: it is selected only if the strong model's answer leads."""
    leftover: Literal["drop", "keep_strong"] = "drop"
    """What happens to an instruction that no round selects."""
    action_sampling: Literal["without_replacement", "independent"] = "without_replacement"
    improve_attempts: Count = 3
    """Actions to try in one round if rewrites fail."""
    keep_cut_off: bool = False
    """Keep a pair whose answer was cut off at ``max_tokens`` (it is marked)."""

    @property
    def repetition(self) -> str:
        """The setting that has the same answers scored again; empty: none does."""
        if self.confirm:
            return "confirm"
        return "samples" if self.samples > 1 else ""


class BaselineConfig(SettingsTable, frozen=True):
    """Settings of the baselines; the recipe that reads each is named."""

    pool: Count = 1000
    """self-instruct, alpagasus: most seeds that demonstrations are sampled from."""
    demonstrations: Count = 3
    """self-instruct, alpagasus: seeds shown in one request."""
    tasks: Annotated[int, Meta(ge=1, le=50)] = 20
    """self-instruct, alpagasus: new instructions asked for in one request."""
    rating: Annotated[float, Meta(ge=0, le=5)] = 4.5
    """alpagasus: the lowest rating that is kept, of 5."""
    staged: bool = False
    """tree-instruct: add the 10 nodes in three passes, 3 + 3 + 4, not in one."""
    rounds: Annotated[int, Meta(ge=1, le=20)] = 4
    """wizardlm, wizardlm-plus: rounds of evolution."""
    complicate_input: bool = False
    """wizardlm, wizardlm-plus: also use the sixth operation, structured data as input."""


class SizeConfig(SettingsTable, frozen=True):
    """How many rows."""

    shortfall: Literal["topup", "report"] = "topup"
    """topup: request more of metadata items below their quota. report: only report how many rows
    are missing."""
    max_expansion: Annotated[float, Meta(ge=1, le=1000)] = 5.0
    """Most basic instructions per metadata item, in multiples of its quota."""


class QualityConfig(SettingsTable, frozen=True):
    """Further checks of a row. All but ``absent_text`` are off by default."""

    absent_text: Literal["drop", "keep"] = "drop"
    """drop: instructions that work on a text which is not there ("Proofread the following")."""
    near_duplicates: Literal["off", "minhash", "rouge"] = "off"
    """Drop rows whose instruction nearly repeats a seed or an earlier row. minhash: for any number
    of rows; rouge (Self-Instruct's): for some ten thousand."""
    near_threshold: Annotated[float, Meta(ge=0.1, lt=1)] = 0.7
    """A near-duplicate has a strictly higher estimated Jaccard similarity (minhash) or ROUGE-L F1
    (rouge)."""
    min_instruction_words: Count | None = None
    max_instruction_words: Count | None = None
    min_response_words: Count | None = None
    max_response_words: Count | None = None
    languages: tuple[str, ...] = ()
    """Languages of instructions and responses, as ISO 639-1 codes. Empty: any."""
    decontaminate: tuple[str, ...] = ()
    """Test sets (evol-instruct, vicuna, self-instruct, koala, or files): rows that overlap with
    their prompts are reported."""
    tests: str = "."
    """Folder of the test sets that are given by name."""
    ngram: Annotated[int, Meta(ge=3, le=10_000)] = 13
    """Consecutive words that count as an overlap (GPT-3: 13). A shorter text counts as a whole."""
    on_overlap: Literal["report", "drop"] = "report"
    """report: keep them. drop: make other rows in their place."""

    def in_force(self) -> Iterator[tuple[str, str]]:
        """Yield the name and value, as text, of every setting that is not the default."""
        defaults = QualityConfig()
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if name != "tests" and value != getattr(defaults, name):
                values = cast("Iterable[Any]", value) if isinstance(value, tuple) else (value,)
                yield name.replace("_", " "), ", ".join(map(str, values))


class RetryPolicy(SettingsTable, frozen=True):
    """How many attempts and how much time one call may take."""

    attempts: Annotated[int, Meta(ge=1, le=1000)] = 8
    """Most attempts, the first included, that fail with a lost connection, a 5xx or silence while
    the endpoint answers other calls. Rate limits (429) do not count: ``budget`` bounds them."""
    first_wait: Seconds = 0.5
    """Upper bound in seconds of the first wait, doubled for each further one. The wait itself is
    uniformly random below the bound (full jitter)."""
    longest_wait: Seconds = 60.0
    """Seconds at which the bound stops growing. A server's Retry-After may be longer."""
    budget: Seconds = 600.0
    """Most seconds from a call's first attempt to its last, all waits and queues between them
    included, while the endpoint answers other calls. An attempt in progress is not ended by it
    (``timeout`` and ``deadline`` of the role do that), but none begins after it."""
    outage: Seconds = 1800.0
    """Seconds for which an endpoint that answers nobody is waited for; then the run ends."""


class BudgetConfig(SettingsTable, frozen=True):
    """When to stop paying. Earlier sessions of the run count; a larger budget continues it."""

    calls: Annotated[int, Meta(ge=1, le=EXACT)] | None = None
    """Most paid answers."""
    tokens: Annotated[int, Meta(ge=1, le=EXACT)] | None = None
    """Most tokens of prompts and replies."""
    money: Money | None = None
    """Most money, at the prices of the roles."""
    hours: Annotated[float, Meta(gt=0, le=LONGEST / 3600)] | None = None
    """Most hours of work. What is in flight then still comes in."""


class CacheConfig(SettingsTable, frozen=True):
    """Where paid answers are kept, for all runs."""

    folder: str | None = None
    """None: ``CODECLM_CACHE_DIR``, else ``codeclm`` in the user's cache folder."""

    def path(self) -> Path:
        """Return the folder."""
        if self.folder:
            return user_path(self.folder)
        if folder := os.environ.get("CODECLM_CACHE_DIR"):
            return user_path(folder)
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return user_path(base) / "codeclm"

    def database(self) -> Path:
        """Return the file in the folder that holds the answers."""
        return self.path() / "cache.db"


class Config(SettingsTable, frozen=True):
    """A run."""

    recipe: str = "codeclm"
    """codeclm, one of its ablations, or a baseline (docs/algorithm.md §8)."""
    seeds: str | tuple[str, ...] = ()
    """Files or folders of .jsonl, .json, .csv, .tsv, .parquet or .arrow files; text also .gz."""
    out: str | None = None
    """The run's folder. None: ``runs/NAME``, after the configuration or the seed file."""
    seed: RandomSeed = 0
    """Seeds every random choice that codeclm makes; another number also samples other replies."""
    prompts: str = "auto"
    """A set of `codeclm.prompts.SETS`, or a folder of templates. auto: small for the embedded
    model, else default."""
    target_rows: Count | None = None
    """Exactly this many rows, if they can be made."""
    max_candidates: Count | None = None
    """Most basic instructions to make for them."""
    limit: Count | None = None
    """Use only this many seeds: a sample, drawn with the run's seed."""
    head: bool = False
    """With ``limit``: use the first seeds instead of a sample."""
    parse_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    """How often to ask until a reply can be parsed."""
    strong: RoleConfig = field(default_factory=RoleConfig)
    target: RoleConfig = field(default_factory=RoleConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    judges: dict[str, JudgeConfig] = {}  # noqa: RUF012  (msgspec copies it)
    """Several judges, by names of your choice: the mean of their scores counts. Each scores both
    orders of every round, so each costs as many calls. They take the place of ``judge``."""
    input: InputConfig = field(default_factory=InputConfig)
    metadata: MetadataConfig = field(default_factory=MetadataConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    size: SizeConfig = field(default_factory=SizeConfig)
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    export: tuple[str, ...] = ("alpaca",)
    """Export formats, written when the run ends."""

    @property
    def seed_files(self) -> tuple[Path, ...]:
        """Return the paths that ``seeds`` names; of addresses, where `fetch_seeds` puts them."""
        return tuple(
            remote.local_path(name, self.cache.path()) if remote.is_url(name) else user_path(name)
            for name in self.seed_names
        )

    @property
    def seed_names(self) -> tuple[str, ...]:
        """Return ``seeds`` as a tuple: paths and addresses."""
        return (self.seeds,) if isinstance(self.seeds, str) else self.seeds

    @property
    def downloads_seeds(self) -> bool:
        """Whether any of the seeds are named by an address."""
        return any(map(remote.is_url, self.seed_names))

    def fetch_seeds(self) -> None:
        """Download the seeds that are addresses, unless they are there. Blocks.

        Raises:
            SeedError: one cannot be downloaded.
        """
        for name in filter(remote.is_url, self.seed_names):
            remote.fetch(name, self.cache.path())

    @property
    def files_in_prompts(self) -> tuple[tuple[str, str], ...]:
        """Return what becomes part of prompts, as pairs of a setting and the path it names."""
        metadata = self.metadata.file
        return (
            *(("seeds", path) for path in self.seed_names),
            *((("metadata.file", metadata),) if metadata else ()),
        )

    @property
    def seed_source(self) -> SeedSource:
        """Return where the seeds are and how they are read."""
        settings = self.input
        return SeedSource(
            self.seed_files,
            settings.field,
            settings.template,
            settings.format,
            settings.stratify,
        )

    def select_seeds(self) -> SeedSelection:
        """Return the seeds that the run uses. Blocks: a sample counts the records.

        Raises:
            SeedError: a seed file cannot be used.
        """
        return SeedSelection(
            self.seed_source, limit=self.limit, head=self.head, key=f"{self.seed}/seeds"
        )

    @property
    def scorer(self) -> RoleConfig:
        """Return the judge; by default the strong model itself, at temperature 0 (paper A.3)."""
        if self.judge.model:
            return self.judge
        inherited = self.strong.without_temperature()
        return msgspec.convert(inherited | msgspec.to_builtins(self.judge), JudgeConfig)

    @property
    def judge_roles(self) -> dict[str, RoleConfig]:
        """Return the judges by the name of their role: ``judge``, or ``judges.NAME`` of several."""
        if not self.judges:
            return {"judge": self.scorer}
        return {f"judges.{name}": self.judges[name] for name in sorted(self.judges)}

    @property
    def evaluation_judges(self) -> dict[str, JudgeConfig]:
        """Return the judges by their own names, as evaluations ask them: for what they write."""
        judges: Mapping[str, RoleConfig] = self.judges or {"judge": self.scorer}
        return {
            name: msgspec.convert({**msgspec.to_builtins(judge), "score": "text"}, JudgeConfig)
            for name, judge in judges.items()
        }

    @property
    def all_roles(self) -> dict[str, RoleConfig]:
        """Return every role by name, whether the recipe asks it or not."""
        return {"strong": self.strong, "target": self.target, **self.judge_roles}

    def roles_named(self, name: RoleName) -> dict[str, RoleConfig]:
        """Return what the role *name* stands for, by name: all judges, or one model."""
        match name:
            case "strong":
                return {name: self.strong}
            case "target":
                return {name: self.target}
            case "judge":
                return self.judge_roles
            case _:
                assert_never(name)
