"""The configuration: a TOML, YAML or JSON file as frozen structs; complaints name file and key.

The structs are the documentation: each key's meaning, unit and range stand beside it, and
`codeclm init` writes them out.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, assert_never, cast

import msgspec
from msgspec import Meta, Struct, field, inspect

from ...providers.base import ResponseFormat, Transport
from ..data.errors import UserError
from ..data.formats import EXPORTS
from ..data.providers import HostedModel, resolve_model
from ..data.registry import UnknownNameError

T = TypeVar("T", bound=Struct)

Count = Annotated[int, Meta(ge=1)]
Points = Annotated[float, Meta(ge=0, le=10)]
Positive = Annotated[float, Meta(gt=0)]
Money = Annotated[float, Meta(ge=0)]
RoleName = Literal["strong", "target", "judge"]


class ConfigError(UserError):
    """The configuration can't be used. The message names the file, the key and the remedy."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An unknown key is an error: a misspelt setting must not be a silent default."""


class RoleConfig(_Table, frozen=True):
    """One model and how it is asked."""

    model: Annotated[str, Meta(min_length=1)] = ""
    """``provider/model``, such as ``openai/gpt-4.1`` or ``ollama/llama3.2``."""
    base_url: str | None = None
    """Where an OpenAI-compatible server is; None: the provider's own address."""
    api_key: str | None = None
    """NAME of the environment variable that holds the key; None: the provider's usual one."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = 0.7
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_tokens: Count | None = 2048
    seed: int | None = None
    """Sent as it is; a reply that can't be read is asked again with the next number."""
    extra: dict[str, Any] = {}
    """Merged into every request's body as it stands (``reasoning_effort``, ``top_k``, …)."""
    headers: dict[str, str] = {}
    """Extra HTTP headers; ``$NAME`` is taken from the environment."""
    structured_output: Literal["auto", "text", "json_object", "json_schema"] = "auto"
    """auto: plain text as in the paper, and ``json_schema`` for the embedded model."""
    prompts: str | None = None
    """A prompt set of its own for this role; None: as the whole run."""
    timeout: Positive = 600.0
    """Seconds of silence after which a call is tried again."""
    transport: Transport = "aiohttp"
    """What carries calls: lean takes less CPU and needs ``codeclm[lean]``."""
    max_concurrent: Count = 256
    """Most calls in flight at this endpoint; fewer while it refuses them."""
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    """Input and output together."""
    price_input: Money | None = None
    """Money for a million prompt tokens; with price_output the run says what it costs."""
    price_cached: Money | None = None
    price_output: Money | None = None
    options: dict[str, Any] = {}
    """For ``scripted`` (latency, jitter, error_rate, …) and ``local`` (slots, context, …)."""


class JudgeConfig(RoleConfig, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = 0.0


class InputConfig(_Table, frozen=True):
    """How seeds are read."""

    field: str | None = None
    """Field that holds the instruction; None: the usual names are tried."""
    template: str | None = None
    """Joins fields, as ``"{instruction}\\n{input}"``; instead of ``field``."""
    format: Literal["jsonl", "json", "csv", "parquet"] | None = None
    """None: by the file's suffix."""


class MetadataConfig(_Table, frozen=True):
    """Use cases and skills."""

    file: str | None = None
    """JSON lines of {"use_case": …, "skills": […]} to start from, instead of seeds."""
    augment_to: Count | None = None
    """Mix use cases and skills up to this many (the paper: 200). None: streaming, each seed goes
    straight on."""
    draw_use_case: Literal["multiset", "distinct"] = "multiset"
    """multiset keeps the task distribution; distinct draws each use case equally often."""
    skill_count: Literal["empirical", "uniform"] = "empirical"
    """How many skills a mixed item gets: as the encoded ones, or 1 to 3 equally often."""
    plausibility_check: bool = False
    """Ask the strong model whether a mixed pair makes sense (the paper did it by hand)."""
    use_cases: tuple[str, ...] = ()
    """A predefined set to choose from; empty: anything."""
    skills: tuple[str, ...] = ()
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Use only this part of a fixed set, drawn by the run's seed: ``target_rows`` is then shared by
    fewer items (paper §5.5, Figure 4). None: all of it."""

    def part(self, items: int) -> int:
        """How many of *items* are used."""
        return items if self.share is None else min(items, max(1, int(self.share * items + 0.5)))


class DecodeConfig(_Table, frozen=True):
    """Basic instructions."""

    per_metadata: Count | None = None
    """Basic instructions per metadata item. None: target_rows shared equally in augmented mode,
    else 10."""
    chunk: Annotated[int, Meta(ge=1, le=50)] = 10
    """Most instructions asked for in one call."""
    extra_calls: Annotated[int, Meta(ge=0)] = 3
    """Further calls when answers held too few or duplicates."""
    rubrics: Annotated[int, Meta(ge=1, le=20)] = 4


class FilterConfig(_Table, frozen=True):
    """Self-Rubrics and Contrastive Filtering."""

    threshold: Points = 3.0
    """θ: select where the quality gap is strictly larger, in points of the 1-10 scale."""
    max_iterations: Annotated[int, Meta(ge=1, le=20)] = 4
    """Rounds per instruction; the basic instruction is the first."""
    filter_basic: bool = True
    """Score the basic instruction before any rewrite (A.3); false: first rewrite (Figure 2)."""
    leftover: Literal["drop", "keep_strong"] = "drop"
    """What becomes of an instruction that no round selected."""
    action_sampling: Literal["without_replacement", "independent"] = "without_replacement"
    improve_attempts: Count = 3
    """Actions tried in one round when a rewrite fails."""
    keep_cut_off: bool = True
    """Keep a pair whose answer ended at max_tokens (it is marked)."""


class BaselineConfig(_Table, frozen=True):
    """The baselines' own numbers; see `recipes`."""

    pool: Count = 1000
    """self-instruct, alpagasus: most seeds that demonstrations are drawn from."""
    demonstrations: Count = 3
    """Seeds shown in one request."""
    tasks: Annotated[int, Meta(ge=1, le=50)] = 20
    """New instructions asked for in one request."""
    rating: Annotated[float, Meta(ge=0, le=5)] = 4.5
    """alpagasus: the least rating that is kept."""
    staged: bool = False
    """tree-instruct: the 10 nodes in three passes, 3 + 3 + 4, instead of one."""
    rounds: Annotated[int, Meta(ge=1, le=20)] = 4
    """wizardlm, wizardlm-plus: rounds of evolving."""
    complicate_input: bool = False
    """wizardlm, wizardlm-plus: also the sixth operation, structured data as input."""


class SizeConfig(_Table, frozen=True):
    """How many rows."""

    shortfall: Literal["topup", "report"] = "topup"
    """topup: ask metadata below their quota for more; report: say how many are missing."""
    max_expansion: Annotated[float, Meta(ge=1)] = 5.0
    """Most basic instructions per metadata item, as a multiple of its quota."""


class QualityConfig(_Table, frozen=True):
    """What a row must be besides selected. All of it is off unless asked for."""

    near_duplicates: Literal["off", "minhash", "rouge"] = "off"
    """Drop rows whose instruction nearly repeats a seed's or an earlier row's; minhash for any
    number of rows, rouge (as Self-Instruct) for some ten thousand."""
    near_threshold: Annotated[float, Meta(ge=0.1, lt=1)] = 0.7
    """Alike means strictly more: estimated Jaccard likeness (minhash), ROUGE-L F1 (rouge)."""
    min_instruction_words: Count | None = None
    max_instruction_words: Count | None = None
    min_response_words: Count | None = None
    max_response_words: Count | None = None
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes that instructions and responses may be in; empty: any."""
    decontaminate: tuple[str, ...] = ()
    """Test sets, as evol-instruct, vicuna, self-instruct, koala, or files: rows that share words
    with their prompts are reported."""
    tests: str = "."
    """The folder of the test sets known by name."""
    ngram: Annotated[int, Meta(ge=3)] = 13
    """So many words in a row are an overlap (GPT-3's 13); a shorter text counts as a whole."""
    on_overlap: Literal["report", "drop"] = "report"

    def in_force(self) -> Iterator[tuple[str, str]]:
        """Yield name and value, for people, of what differs from the defaults."""
        unasked = QualityConfig()
        for name in self.__struct_fields__:
            value: object = getattr(self, name)
            if name != "tests" and value != getattr(unasked, name):
                listed = name in {"languages", "decontaminate"}
                shown = ", ".join(getattr(self, name)) if listed else str(value)
                yield name.replace("_", " "), shown


class RetryPolicy(_Table, frozen=True):
    """What one call may cost in attempts and time."""

    attempts: Annotated[int, Meta(ge=1)] = 8
    """How often the call may fail (lost connection, 5xx, silence); the first attempt counts.
    Refusals (429) are not counted: only ``budget`` bounds them."""
    first_wait: Annotated[float, Meta(ge=0)] = 0.5
    """Upper bound in seconds of the first wait; each bound after it is twice as long. The wait
    itself is drawn evenly from nothing to that bound."""
    longest_wait: Annotated[float, Meta(ge=0)] = 60.0
    """Seconds at which the bound stops growing. A server that names its time is not cut short."""
    budget: Annotated[float, Meta(ge=0)] = 600.0
    """Seconds a call may spend in attempts and waits, those the server asks for included."""


class BudgetConfig(_Table, frozen=True):
    """When to stop paying; the run can be continued with more. Former sessions count."""

    calls: Count | None = None
    """Most answers paid for."""
    money: Money | None = None
    """Most money, at the prices given."""


class CacheConfig(_Table, frozen=True):
    folder: str | None = None
    """None: CODECLM_CACHE_DIR, else the user's cache folder; shared by all runs."""


class Config(_Table, frozen=True):
    """A run."""

    recipe: str = "codeclm"
    """What is done with the seeds: codeclm, an ablation, or a baseline; see `recipes`."""
    seeds: str | tuple[str, ...] = ()
    """Files or folders: .jsonl, .json, .csv, .parquet, also .gz."""
    out: str | None = None
    """The run's folder; None: runs/NAME after the configuration or seed file."""
    seed: int = 0
    """Chooses actions, mixing and shares; another number also draws other samples."""
    prompts: str = "auto"
    """default, small, or a folder with templates of yours; auto: small for the embedded model."""
    target_rows: Count | None = None
    """Exactly this many rows, if they can be had."""
    max_candidates: Count | None = None
    """Most basic instructions for them."""
    limit: Count | None = None
    """Only the first so many seeds."""
    parse_attempts: Annotated[int, Meta(ge=1, le=20)] = 3
    """How often to ask until a reply can be read."""
    strong: RoleConfig = field(default_factory=RoleConfig)
    target: RoleConfig = field(default_factory=RoleConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
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
    """Formats written at the end: alpaca, sharegpt, messages, preference."""

    @property
    def seed_files(self) -> tuple[Path, ...]:
        names = (self.seeds,) if isinstance(self.seeds, str) else self.seeds
        return tuple(Path(name).expanduser() for name in names)

    @property
    def scorer(self) -> RoleConfig:
        """The judge; by default the strong model itself (paper A.3), at temperature 0."""
        if self.judge.model:
            return self.judge
        own, asked = msgspec.to_builtins(self.strong), msgspec.to_builtins(self.judge)
        return msgspec.convert({**own, "temperature": 0.0, **asked}, JudgeConfig)

    def role(self, name: RoleName) -> RoleConfig:
        """Return the settings of the role *name*."""
        match name:
            case "strong":
                return self.strong
            case "target":
                return self.target
            case "judge":
                return self.scorer
            case _:
                assert_never(name)


def structured(role: RoleConfig) -> ResponseFormat:
    """The response format that *role* is to be asked for."""
    if role.structured_output != "auto":
        return role.structured_output
    return hosted_model(role).host.kind.default_format


# -- reading ----------------------------------------------------------------------------------


def load(path: Path, overrides: Sequence[str] = (), *, keys: bool = True) -> Config:
    """Read *path* and apply ``key=value`` *overrides*.

    With ``keys=False`` nothing outside the file needs to be there: to look at a run, no API key is
    needed.

    Raises:
        ConfigError: naming the file and the key at fault.
    """
    return build(read_tree(path), overrides, where=str(path), keys=keys)


def build(
    tree: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str, keys: bool = True
) -> Config:
    """Make a configuration out of *tree*, complaining under the name *where*.

    Raises:
        ConfigError: naming the key at fault.
    """
    config = table(Config, tree, overrides, where=where)
    if keys:
        _check(config, where)
    return config


def table(
    kind: type[T], tree: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str
) -> T:
    """Make a table of *kind* out of *tree*, other than a run's, with the same complaints.

    Raises:
        ConfigError: naming the key at fault.
    """
    whole = json.loads(json.dumps(tree, default=str))
    for override in overrides:
        _override(whole, override)
    try:
        json.dumps(whole, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        text = ascii(error.object[error.start : error.end])
        raise ConfigError(f"{where}: {text} is no UTF-8 text: rename what holds it") from error
    _check_keys(whole, kind, where)
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_point(str(error), kind, whole)}") from error


def read_tree(path: Path) -> dict[str, Any]:
    """Read a TOML, YAML or JSON file of settings.

    Raises:
        ConfigError: naming the file.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: it is not UTF-8: {error.reason}") from error
    try:
        tree: Any = _PARSERS.get(path.suffix.lower(), tomllib.loads)(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ImportError as error:
        raise ConfigError(f'{path}: YAML needs an extra: pip install "codeclm[yaml]"') from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: it holds no table of settings")
    return cast("dict[str, Any]", tree)


_PARSERS: dict[str, Any] = {
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".yaml": msgspec.yaml.decode,
    ".yml": msgspec.yaml.decode,
}


def _override(tree: dict[str, Any], text: str) -> None:
    """Set one ``table.key=value``; the value is TOML, or else a plain string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write key=value, as in filter.threshold=2.5")
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *tables, last = key.strip().split(".")
    for name in tables:
        inner: Any = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {text}: {name} is no table")
        tree = cast("dict[str, Any]", inner)
    tree[last] = parsed


def _check_keys(
    tree: Mapping[str, Any],
    table: type[Struct],
    where: str,
    under: str = "",
    root: type[Struct] | None = None,
) -> None:
    """Refuse unknown keys with the nearest right one in *table*, or else in all of *root*."""
    root = root or table
    known = {f.name: f.type for f in msgspec.structs.fields(table)}
    for key, value in tree.items():
        if key not in known:
            raise ConfigError(f"{where}: {under}{key}: no such setting{_nearest(key, known, root)}")
        inner = known[key]
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, dict):
            _check_keys(cast("dict[str, Any]", value), inner, where, f"{under}{key}.", root)


_ALIASES = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "max_requests_per_minute": "requests_per_minute",
    "max_tokens_per_minute": "tokens_per_minute",
    "margin_threshold": "filter.threshold",
    "n_iterations": "filter.max_iterations",
    "n_rubrics": "decode.rubrics",
    "n_instructions": "decode.per_metadata",
    "strong_model": "strong.model",
    "target_model": "target.model",
    "judge_model": "judge.model",
    "max_parallel_requests": "max_concurrent",
    "max_concurrent_requests": "max_concurrent",
    "max_connections": "max_concurrent",
}


def _nearest(key: str, known: Mapping[str, Any], root: type[Struct]) -> str:
    if key == "compare":
        return "; this file is for codeclm compare"
    if key in _ALIASES:
        return f"; it is called {_ALIASES[key]} here"
    places = _places(root)
    near = (
        places.get(key)
        or get_close_matches(key, known, n=1, cutoff=0.8)
        or [places[name][0] for name in get_close_matches(key, places, n=1, cutoff=0.8)]
        or get_close_matches(key, known, n=1, cutoff=0.5)
    )
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def _places(root: type[Struct]) -> dict[str, list[str]]:
    """Where each name stands: at the top, or in one of the tables."""
    found: dict[str, list[str]] = {}
    for each in msgspec.structs.fields(root):
        if isinstance(each.type, type) and issubclass(each.type, Struct):
            for name in each.type.__struct_fields__:
                found.setdefault(name, []).append(f"{each.name}.{name}")
        else:
            found.setdefault(each.name, []).insert(0, each.name)
    return found


_AT = re.compile(r"^(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def _point(message: str, kind: type[Struct], tree: Mapping[str, Any]) -> str:
    """Put msgspec's path in front: ``filter.threshold: expected `float` <= 10.0``.

    What a parser can't know is said in our words: the choices there are, and how a list is written.
    """
    found = _AT.match(message)
    if found is None or not found["path"]:
        return message
    path, said = found["path"], found["said"]
    if said.startswith("Invalid enum value"):
        choices = ", ".join(map(str, _choices(kind, path)))
        return f"{path}: {said.removeprefix('Invalid enum value ')} is none of {choices}"
    if said.startswith("Expected `array`, got") and "..." not in path:
        return f"{path}: write a list, as in [{_toml(_given(tree, path))}]"
    return f"{path}: {said[:1].lower()}{said[1:]}"


_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
"""A name, a number, or ``...`` for any key."""


def _given(tree: Any, path: str) -> Any:
    """What stands at *path*."""
    for step in _STEP.findall(path):
        tree = tree[int(step) if step.isdecimal() else step]
    return tree


def _choices(kind: type[Struct], path: str) -> list[Any]:
    """The values there are at *path*, sorted."""
    here = [inspect.type_info(kind)]
    for step in _STEP.findall(path):
        here = [inner for each in here for inner in _inside(each, step)]
    return [
        value
        for each in here
        for one in _alternatives(each)
        if isinstance(one, inspect.LiteralType)
        for value in one.values
    ]


def _inside(kind: inspect.Type, step: str) -> list[inspect.Type]:
    found = list[inspect.Type]()
    for one in _alternatives(kind):
        if isinstance(one, inspect.StructType):
            found += [each.type for each in one.fields if each.encode_name == step]
        elif isinstance(one, inspect.VarTupleType | inspect.ListType):
            found.append(one.item_type)
        elif isinstance(one, inspect.DictType):
            found.append(one.value_type)
    return found


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _check(config: Config, where: str) -> None:
    """What types can't say, and no recipe has to be known for."""
    if config.input.field and config.input.template:
        raise ConfigError(f"{where}: input.field and input.template: give one of them")
    if not config.seeds and not config.metadata.file:
        raise ConfigError(f"{where}: seeds: there are none: name a file (or metadata.file)")
    _check_export_names(config.export, where)
    if config.metadata.share and not (config.metadata.augment_to or config.metadata.file):
        raise ConfigError(
            f"{where}: metadata.share: it is a part of a fixed set: give metadata.augment_to"
        )
    _check_bounds(config.quality, f"{where}: quality")
    if config.target_rows and config.max_candidates and config.max_candidates < config.target_rows:
        raise ConfigError(f"{where}: max_candidates: it is less than target_rows")


def _check_bounds(quality: QualityConfig, where: str) -> None:
    for part in ("instruction", "response"):
        least, most = (getattr(quality, f"{end}_{part}_words") for end in ("min", "max"))
        if least is not None and most is not None and least > most:
            raise ConfigError(f"{where}: min_{part}_words: it is more than max_{part}_words")
    if quality.on_overlap == "drop" and not quality.decontaminate:
        raise ConfigError(f"{where}: on_overlap: drop needs test sets: name them in decontaminate")


def _check_export_names(names: Iterable[str], where: str) -> None:
    for name in names:
        try:
            EXPORTS[name]
        except UnknownNameError as error:
            raise ConfigError(f"{where}: export: {error}") from error


def check_role(role: RoleConfig, where: str) -> None:
    """See that *role* can be opened: its provider is known, its key is there.

    Raises:
        ConfigError: naming *where* and the key at fault.
    """
    try:
        host, _ = hosted_model(role)
    except UserError as error:
        raise ConfigError(f"{where}.model: {error}") from error
    try:
        key(role)
    except ValueError as error:
        raise ConfigError(f"{where}.api_key: {error}") from error
    if not _is_written(role.extra):
        raise ConfigError(f"{where}.extra: null, inf and nan can't be kept in a run's config.toml")
    if (role.price_input is None) != (role.price_output is None):
        raise ConfigError(f"{where}: price_input and price_output: give both or none")
    if host.kind.over_http and not address(role).startswith("http"):
        raise ConfigError(f"{where}.base_url: must be an http(s) address, got {address(role)!r}")


def _is_written(value: Any) -> bool:
    """Whether *value* has a form both in TOML and in a request's JSON."""
    if isinstance(value, dict):
        return all(map(_is_written, cast("dict[str, Any]", value).values()))
    if isinstance(value, list | tuple):
        return all(map(_is_written, cast("list[Any]", value)))
    return value is not None and (not isinstance(value, float) or isfinite(value))


# -- what a role means ------------------------------------------------------------------------


def hosted_model(role: RoleConfig) -> HostedModel:
    """Return the host and the model that *role* names.

    Raises:
        UserError: the provider or the model is missing or unknown.
    """
    return resolve_model(role.model, has_base_url=bool(role.base_url))


def address(role: RoleConfig) -> str:
    """Return where the role's endpoint is; empty for models that run in this process."""
    return (role.base_url or hosted_model(role).host.address()).rstrip("/")


def key(role: RoleConfig) -> str | None:
    """Return the API key.

    Raises:
        ValueError: the variable that should hold it is not set.
    """
    host = hosted_model(role).host
    if role.api_key:
        value = os.environ.get(role.api_key, "").strip()
        if not value:
            raise ValueError(f"the environment variable {_shown(role.api_key)} is not set")
        return value
    return host.key() if role.base_url else host.required_key()


_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


def _shown(name: str) -> str:
    """A key written where its variable's name belongs must not be repeated."""
    return name if _NAME.fullmatch(name) else "that api_key names (write a variable's NAME, no key)"


def dump(config: Struct) -> str:
    """Return *config* as TOML, without what is as by default; holds no secrets."""
    return "".join(_tables(msgspec.to_builtins(config), ""))


def _tables(tree: Mapping[str, Any], prefix: str) -> list[str]:
    plain = {k: v for k, v in tree.items() if not isinstance(v, dict) and v is not None}
    lines = [f"{_name(k)} = {_toml(v)}\n" for k, v in plain.items()]
    for name, table in tree.items():
        if isinstance(table, dict) and (table or prefix):
            inner = cast("dict[str, Any]", table)
            lines += [f"\n[{prefix}{_name(name)}]\n", *_tables(inner, f"{prefix}{_name(name)}.")]
    return lines


def _name(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _string(text)


def _string(text: str) -> str:
    """JSON's way of quoting is TOML's, but for the escapes of what lies beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return f"{{ {', '.join(f'{_name(k)} = {_toml(v)}' for k, v in table.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, cast('list[Any]', value)))}]"
    return _string(value) if isinstance(value, str) else json.dumps(value)
