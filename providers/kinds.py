"""Provider kinds: one row per way of calling a model.

A row holds everything that must be known about a kind before a provider of it is opened. No other
module names a kind: what differs between kinds is a field here. The modules that make the calls are
imported when a provider is opened: most commands open none.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct

from .base import Provider, ResponseFormat
from .local.options import LocalOptions
from .local.weights import find_weights
from .models import find_model
from .python.naming import SCORING, TEMPLATE, find_function
from .scripted.options import ScriptedOptions
from .transformers.location import find_model as find_weights_folder
from .transformers.options import TransformersOptions

if TYPE_CHECKING:
    from .http.exchange import HttpSession

Options = TypeVar("Options", bound=Struct)


class NoOptions(Struct, frozen=True):
    """The options of a kind that takes none."""


class OpenAIOptions(Struct, frozen=True):
    """Options of a model behind OpenAI's protocol."""

    api: Literal["auto", "chat", "responses"] = "auto"
    """auto: chat completions, or Responses for the OpenAI models that have nothing else."""


class AzureOptions(Struct, frozen=True):
    """Options of a model on Azure."""

    api_version: str = ""
    """The version of the classic API; empty: v1, which needs none."""


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """The settings to open one provider with.

    Attributes:
        model: The model's name, for kinds that load it themselves.
        base_url: Where the endpoint is; empty means the host's own address.
        api_key: The key, if there is one. It never appears in the repr or in a message.
        headers: HTTP headers to send with every call. They may hold secrets, too.
        options: The kind's own options, as the configuration has them.
        session: Carries the calls. The caller opens and closes it; required over HTTP.
        structured: The strictest response format that the endpoint honours. `open_provider` fills
            it in from the host.
    """

    model: str = ""
    base_url: str = ""
    api_key: str | None = None
    headers: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    session: "HttpSession | None" = None
    structured: ResponseFormat = "text"

    def __repr__(self) -> str:
        return f"ProviderSettings(model={self.model!r}, base_url={self.base_url!r})"


class ProviderKind(Struct, Generic[Options], frozen=True):
    """One way of calling a model.

    Attributes:
        name: Part of every cache key; equal to the ``kind`` of the providers that `open` returns.
        open: Opens a provider. The second argument is the checked options.
        options: The struct that a role's ``options`` must fit. Each has a default.
        operational: The options that cannot change a reply, such as time-outs. All others are part
            of every cache key and of a run's manifest.
        by_prompt: The options that are tables by the name of a prompt.
        over_http: Whether the kind needs an http(s) base URL and a session.
        check_model: Raises FileNotFoundError when a model or what runs it is missing. It must not
            load or call anything.
        max_in_flight: The most calls that one provider answers at once, given its options; None
            means that it sets no limit.
        default_format: The response format that ``structured_output = "auto"`` stands for.
        small_models: Whether its models are small, so that ``prompts = "auto"`` stands for the
            short prompts.
        templates: The templates that its models are asked some prompts by, by the prompts' names,
            whatever ``prompts`` says.
        opened_by_checks: Whether a check opens a provider, since nothing less shows that it can be.
        less_thinking: What to write into ``extra`` so that a model thinks less.
        refusal: Says why a model cannot reply to a prompt, both by name; empty: it can. It may run
            what the model names. None: its models reply to any.
        is_program: Whether it is no model but a function, which scores each answer by itself.
        takes_sample: Whether a program, by its name, can reply otherwise when it is asked again. It
            may run what the model names. None: temperature decides.
        logprobs: What a request's body holds to ask for the log-probabilities of the reply's
            tokens; empty where replies have none.
    """

    name: str
    open: Callable[[ProviderSettings, Options], Awaitable[Provider]]
    options: type[Options]
    operational: frozenset[str] = frozenset()
    by_prompt: frozenset[str] = frozenset()
    over_http: bool = False
    check_model: Callable[[str], object] | None = None
    max_in_flight: Callable[[Options], int] | None = None
    default_format: ResponseFormat = "text"
    small_models: bool = False
    templates: Mapping[str, str] = {}
    opened_by_checks: bool = False
    less_thinking: str = 'reasoning_effort = "low"'
    refusal: Callable[[str, str], str] | None = None
    is_program: bool = False
    takes_sample: Callable[[str], bool] | None = None
    logprobs: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """Reject the name of an operational option that does not exist.

        Raises:
            ValueError: the message names it.
        """
        unknown = (self.operational | self.by_prompt) - set(self.options.__struct_fields__)
        if unknown:
            raise ValueError(f"kind {self.name}: no option is called {min(unknown)!r}")

    def reply_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of *options* that can change a reply and are not at their default.

        Raises:
            ValueError: an option is unknown or has the wrong type.
        """
        values, defaults = self.read_options(options), self.read_options({})
        return {
            name: msgspec.to_builtins(getattr(values, name))
            for name in self.options.__struct_fields__
            if name not in self.operational and getattr(values, name) != getattr(defaults, name)
        }

    def check(self, model: str, options: Mapping[str, Any]) -> None:
        """Check that a provider can be opened, without loading or calling anything.

        Raises:
            ValueError: an option is unknown or has the wrong type, or the model is missing.
        """
        self.read_options(options)
        if self.check_model is not None:
            try:
                self.check_model(model)
            except FileNotFoundError as error:
                raise ValueError(str(error)) from error

    def capacity(self, options: Mapping[str, Any]) -> int | None:
        """Return the most calls that a provider with *options* answers at once; None: no limit.

        Raises:
            ValueError: an option is unknown or has the wrong type.
        """
        return (
            None if self.max_in_flight is None else self.max_in_flight(self.read_options(options))
        )

    def read_options(self, options: Mapping[str, Any]) -> Options:
        """Convert *options* to this kind's struct.

        Raises:
            ValueError: an option is unknown or has the wrong type.
        """
        fields = self.options.__struct_fields__
        for name in options:
            if name not in fields:
                raise ValueError(self._unknown_option(name, fields))
        try:
            return msgspec.convert(options, self.options)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    def _unknown_option(self, name: str, fields: tuple[str, ...]) -> str:
        if not fields:
            return f"{self.name} takes no options (fields of the request's body go into `extra`)"
        near = get_close_matches(name, fields, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"unknown option {name!r}: {hint}available: {', '.join(fields)}"


class HttpProvider(Protocol):
    """The constructor that providers over HTTP share."""

    def __call__(
        self,
        session: "HttpSession",
        /,
        *,
        base_url: str,
        api_key: str | None,
        headers: Mapping[str, str],
        structured: ResponseFormat,
    ) -> Provider: ...


def open_http(provider: HttpProvider, settings: ProviderSettings) -> Provider:
    """Open a provider over HTTP.

    Raises:
        ValueError: there is no session, or the base URL or a header cannot be used.
    """
    if settings.session is None:
        raise ValueError(f"{settings.base_url} is reached over HTTP: it needs a session")
    return provider(
        settings.session,
        base_url=settings.base_url,
        api_key=settings.api_key,
        headers=settings.headers,
        structured=settings.structured,
    )


async def _open_openai(settings: ProviderSettings, options: OpenAIOptions) -> Provider:
    is_asked = options.api == "responses"
    if is_asked or (options.api == "auto" and _has_only_responses(settings.model)):
        from .responses import Responses  # noqa: PLC0415  (see the module's docstring, and below)

        return open_http(Responses, settings)
    from .openai import OpenAI  # noqa: PLC0415

    return open_http(OpenAI, settings)


def _has_only_responses(model: str) -> bool:
    """Whether *model* of OpenAI's has no chat completions.

    Every model has Responses, so one that is newer than the table is asked by it if its kin are.
    """
    facts = find_model("openai", model) if model else None
    if facts is None or facts.provider != "openai":
        return False
    return facts.api == "responses" or (facts.is_family and bool(_PRO.search(model)))


_PRO = re.compile(r"-(?:pro|codex)\b")


async def _open_mistral(settings: ProviderSettings, _: NoOptions) -> Provider:
    from .openai import Mistral  # noqa: PLC0415

    return open_http(Mistral, settings)


async def _open_azure(settings: ProviderSettings, options: AzureOptions) -> Provider:
    from .azure import Azure  # noqa: PLC0415

    return open_http(
        partial(Azure, model=settings.model, api_version=options.api_version), settings
    )


async def _open_anthropic(settings: ProviderSettings, _: NoOptions) -> Provider:
    from .anthropic import Anthropic  # noqa: PLC0415

    return open_http(Anthropic, settings)


async def _open_gemini(settings: ProviderSettings, _: NoOptions) -> Provider:
    from .gemini import Gemini  # noqa: PLC0415

    return open_http(Gemini, settings)


async def _open_local(settings: ProviderSettings, options: LocalOptions) -> Provider:
    from .local.provider import open_local  # noqa: PLC0415

    return await open_local(settings.model, options)


async def _open_transformers(settings: ProviderSettings, options: TransformersOptions) -> Provider:
    from .transformers.provider import open_transformers  # noqa: PLC0415

    return await open_transformers(settings.model, options)


async def _open_scripted(_: ProviderSettings, options: ScriptedOptions) -> Provider:
    from .scripted.provider import Scripted  # noqa: PLC0415

    return Scripted(options)


def _refusal_of_function(model: str, prompt: str) -> str:
    from .python.function import refusal  # noqa: PLC0415

    return refusal(model, prompt)


def _function_takes_sample(model: str) -> bool:
    from .python.function import load_function, takes_sample  # noqa: PLC0415

    return takes_sample(load_function(model))


async def _open_python(settings: ProviderSettings, _: NoOptions) -> Provider:
    from .python.provider import open_function  # noqa: PLC0415

    return await open_function(settings.model)


_LOGPROBS = {"logprobs": True, "top_logprobs": 20}
"""20 is the most that OpenAI and vLLM take, and more than the scores there are."""

OPENAI = ProviderKind("openai", _open_openai, OpenAIOptions, over_http=True, logprobs=_LOGPROBS)
MISTRAL = ProviderKind("mistral", _open_mistral, NoOptions, over_http=True)
AZURE = ProviderKind(
    "azure",
    _open_azure,
    AzureOptions,
    operational=frozenset({"api_version"}),
    over_http=True,
    logprobs=_LOGPROBS,
)
ANTHROPIC = ProviderKind(
    "anthropic",
    _open_anthropic,
    NoOptions,
    over_http=True,
    less_thinking='output_config = { effort = "low" }',
)
GEMINI = ProviderKind(
    "gemini",
    _open_gemini,
    NoOptions,
    over_http=True,
    less_thinking="generationConfig = { thinkingConfig = { thinkingBudget = 1024 } }",
)
LOCAL = ProviderKind(
    "local",
    _open_local,
    LocalOptions,
    operational=frozenset({"slots", "threads", "prompt_cache"}),
    check_model=find_weights,
    max_in_flight=lambda options: options.slots,
    default_format="json_schema",
    small_models=True,
)
TRANSFORMERS = ProviderKind(
    "transformers",
    _open_transformers,
    TransformersOptions,
    operational=frozenset({"batch"}),
    check_model=find_weights_folder,
    max_in_flight=lambda options: options.batch,
)
SCRIPTED = ProviderKind(
    "scripted",
    _open_scripted,
    ScriptedOptions,
    operational=frozenset({"latency", "jitter", "error_rate", "rate_limit_rate", "retry_after"}),
    by_prompt=frozenset({"replies"}),
)
PYTHON = ProviderKind(
    "python",
    _open_python,
    NoOptions,
    check_model=find_function,
    templates=dict.fromkeys(SCORING, TEMPLATE),
    opened_by_checks=True,
    refusal=_refusal_of_function,
    is_program=True,
    takes_sample=_function_takes_sample,
)
