"""Which providers exist, how a model name finds one, and what happens when a row is incomplete."""

import subprocess
import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from codeclm.engine.calls.gate import check_endpoint
from codeclm.engine.config import ConfigError, RoleConfig, check_role, hosted_model
from codeclm.engine.data import providers
from codeclm.engine.data.errors import UserError
from codeclm.engine.data.providers import PROVIDERS, resolve_model
from codeclm.engine.data.registry import Registry
from codeclm.providers.base import Message, Provider, Request
from codeclm.providers.hosts import HOSTS, Host, check_kinds, open_provider
from codeclm.providers.http.endpoint import make_endpoint
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.kinds import (
    OPENAI,
    SCRIPTED,
    ProviderKind,
    ProviderSettings,
)
from codeclm.providers.scripted.options import ScriptedOptions
from codeclm.providers.scripted.provider import Scripted

NAMES = sorted(host.name for host in HOSTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("openai:gpt-4o", ("openai", "gpt-4o")),
        ("OpenAI/gpt-4o", ("openai", "gpt-4o")),
        ("ollama/qwen2.5:7b", ("ollama", "qwen2.5:7b")),
        ("ollama:qwen2.5:7b", ("ollama", "qwen2.5:7b")),
        ("together/meta-llama/Llama-3.3-70B", ("together", "meta-llama/Llama-3.3-70B")),
        ("openrouter:openai/gpt-5:free", ("openrouter", "openai/gpt-5:free")),
        ("local//models/a.gguf", ("local", "/models/a.gguf")),
        (" scripted/any ", ("scripted", "any")),
    ],
)
def test_a_model_is_split_at_the_first_separator_only(text: str, expected: tuple[str, str]) -> None:
    host, model = resolve_model(text)

    assert (host.name, model) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opnai/gpt-4o", "unknown provider 'opnai': did you mean 'openai'? available: openai, "),
        ("meta-llama/Llama-3", "unknown provider 'meta-llama': "),
        ("gpt-4o", "'gpt-4o' names no provider; write provider/model"),
        ("", "'' names no provider"),
        ("openai/", "'openai/' names no model; write openai/MODEL"),
        ("/x", "unknown provider '': available: openai, anthropic"),
    ],
)
def test_a_model_string_that_cannot_work_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_model(text)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meta-llama/Llama-3", ("openai", "meta-llama/Llama-3")),
        ("qwen2.5:7b", ("openai", "qwen2.5:7b")),
        ("small", ("openai", "small")),
        ("vllm/meta-llama/Llama-3", ("vllm", "meta-llama/Llama-3")),
    ],
)
def test_with_a_base_url_a_model_needs_no_provider(text: str, expected: tuple[str, str]) -> None:
    host, model = resolve_model(text, has_base_url=True)

    assert (host.name, model) == expected


@given(st.sampled_from(NAMES), st.sampled_from("/:"), st.text(min_size=1))
def test_whatever_a_model_is_called_it_keeps_its_name(
    name: str, separator: str, model: str
) -> None:
    text = f"{name}{separator}{model}".rstrip()

    if text != f"{name}{separator}":
        assert resolve_model(text) == (PROVIDERS[name], model.rstrip())


PLACES = {
    "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "GOOGLE_CLOUD_PROJECT": "mine",
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_known_base_url_can_be_called(host: Host) -> None:
    address = host.address(PLACES)
    if address:
        assert make_endpoint(address, headers={}).where == f"POST {address}"
    assert bool(address) == host.kind.over_http


def test_the_environment_moves_a_host_and_holds_its_key() -> None:
    environ = {"GOOGLE_API_KEY": " g ", "VLLM_BASE_URL": "http://gpu:8000/v1"}

    assert PROVIDERS["gemini"].required_key(environ) == "g"
    assert PROVIDERS["vllm"].address(environ) == "http://gpu:8000/v1"
    assert PROVIDERS["ollama"].address(environ) == "http://localhost:11434/v1"


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"^gemini needs a key: set GEMINI_API_KEY or GOOGLE_API"):
        PROVIDERS["gemini"].required_key({})


def test_a_server_of_ones_own_needs_no_key() -> None:
    """Also where it stands in for a vendor's, under the vendor's variable."""
    moved = {"OPENAI_BASE_URL": "http://localhost:9/v1"}

    assert PROVIDERS["vllm"].required_key({}) is None
    assert PROVIDERS["openai"].required_key(moved) is None


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("azure", "AZURE_OPENAI_ENDPOINT"),
        ("bedrock", "AWS_REGION"),
        ("vertex", "GOOGLE_CLOUD_PROJECT"),
    ],
)
def test_a_host_whose_address_is_the_user_s_own_says_what_it_needs(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = PROVIDERS[name]
    monkeypatch.setenv(host.key_variables[0], "k")
    for variable in ("AWS_REGION", *PLACES):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ConfigError) as caught:
        check_role(RoleConfig(model=f"{name}/m"), "strong")

    assert str(caught.value) == f"strong.base_url: {name} needs {missing}: set it, or base_url"
    assert host.missing_variable(PLACES) is None
    assert set(host.address_variables(PLACES)) <= PLACES.keys()


@pytest.mark.parametrize(
    ("name", "address", "owned"),
    [
        ("openai", "https://api.openai.com/v1", True),
        ("openai", "https://eu.api.openai.com/v1", True),
        ("openai", "http://api.openai.com/v1", False),
        ("openai", "https://me.openai.azure.com/openai/v1", False),
        ("openai", "https://openai.com.evil.example/v1", False),
        ("azure", "https://me.openai.azure.com", True),
        ("azure", "http://me.openai.azure.com", False),
        ("azure", "https://openai.azure.com.evil.example", False),
        ("bedrock", "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", True),
        ("bedrock", "https://evil.us-west-2.amazonaws.com/openai/v1", False),
        ("bedrock", "https://bedrock-runtime.evil.example/.amazonaws.com", False),
        ("vertex", "https://us-central1-aiplatform.googleapis.com/v1", True),
        ("moonshot", "https://api.moonshot.ai/v1", True),
        ("moonshot", "https://localhost/v1", False),
    ],
)
def test_a_vendor_s_key_may_go_to_the_vendor_s_hosts_alone(
    name: str, address: str, owned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_REGION", "AZURE_API_BASE", *PLACES):
        monkeypatch.delenv(variable, raising=False)

    assert PROVIDERS[name].may_send_key(address) == owned


def test_a_vendor_s_own_address_needs_its_key_also_where_it_is_written_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    azure = RoleConfig(model="azure/m", base_url="https://me.openai.azure.com")

    with pytest.raises(ConfigError, match="azure needs a key: set AZURE_OPENAI_API_KEY or AZURE_"):
        check_role(azure, "strong")
    check_role(structs.replace(azure, api_key="none"), "strong")  # a token in a header


# Opening.


@pytest.mark.parametrize(
    ("name", "base_url", "structured"),
    [
        ("openai", "", "json_schema"),
        ("openai", "https://api.openai.com/v1/", "json_schema"),
        ("openai", "http://localhost:9/v1", "text"),
        ("deepseek", "", "json_object"),
        ("vllm", "http://gpu:8000/v1", "json_schema"),
        ("anthropic", "", "text"),
        ("gemini", "", "json_schema"),
    ],
)
async def test_a_host_is_opened_with_what_is_known_of_it(
    session: HttpSession, name: str, base_url: str, structured: str
) -> None:
    """A server in a vendor's place promises nothing of what the vendor does."""
    host = PROVIDERS[name]

    provider = await open_provider(
        host, ProviderSettings(base_url=base_url, api_key="k", session=session)
    )

    assert (provider.kind, provider.structured) == (host.kind.name, structured)
    assert provider.identity == (base_url or host.base_url).rstrip("/")


async def test_the_scripted_model_needs_no_session() -> None:
    settings = ProviderSettings(options={"model_seed": "7"})

    provider = await open_provider(PROVIDERS["scripted"], settings)

    assert isinstance(provider, Scripted)
    assert provider.options.model_seed == "7"


async def test_a_host_on_the_network_needs_a_session() -> None:
    with pytest.raises(ValueError, match="is reached over HTTP: it needs a session"):
        await open_provider(PROVIDERS["openai"], ProviderSettings())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("scripted", {"latncy": 1}, "unknown option 'latncy': did you mean 'latency'? available: "),
        ("scripted", {"zzz": 1}, "unknown option 'zzz': available: model_seed, latency"),
        ("scripted", {"latency": "x"}, "Expected `float`, got `str` - at `$.latency`"),
        ("openai", {"top_k": 1}, "unknown option 'top_k': available: api"),
        ("anthropic", {"top_k": 1}, "anthropic takes no options"),
        ("local", {"slts": 1}, "unknown option 'slts': did you mean 'slots'?"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        PROVIDERS[name].kind.check("any", options)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "options", "capacity"),
    [("local", {}, 1), ("local", {"slots": 3}, 3), ("openai", {}, None), ("scripted", {}, None)],
)
def test_a_kind_says_how_many_calls_it_answers_at_once(
    name: str, options: dict[str, object], capacity: int | None
) -> None:
    assert PROVIDERS[name].kind.capacity(options) == capacity


def test_a_key_is_not_in_the_repr_of_the_settings() -> None:
    settings = ProviderSettings(api_key="sk-secret", headers={"X-Key": "sk-other"})

    assert "sk-" not in repr(settings)


@pytest.mark.parametrize("module", ["codeclm.providers", "codeclm.providers.hosts"])
def test_naming_a_host_imports_nothing_heavy(module: str) -> None:
    heavy = {"aiohttp", "asyncio", "httptools", "xllamacpp", "yarl"}
    command = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)

    assert done.stdout == b"[]\n"


# A provider from another distribution.

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
SHOUT = PAGE.read_text().partition("### A provider")[2].split("```")[1].removeprefix("python\n")
"""The module of the section "A provider", to the letter."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path in which a distribution offers the documented provider."""
    metadata = tmp_path / "codeclm_shout-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: codeclm-shout\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[codeclm.providers]\nshout = shout_provider:SHOUT\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    invalidate_caches()
    monkeypatch.delitem(sys.modules, "shout_provider", raising=False)
    fresh = Registry(PROVIDERS.group, "provider", Host, HOSTS)
    monkeypatch.setattr(providers, "PROVIDERS", fresh)
    return tmp_path


@pytest.mark.blocking
async def test_a_plugin_adds_a_provider(site: Path) -> None:
    """One row: a role can name it, and its options are checked like any other's."""
    (site / "shout_provider.py").write_text(SHOUT)
    role = RoleConfig(model="shout/any/thing")

    check_role(role, "strong")
    check_endpoint(role, "strong")
    host, model = hosted_model(role)
    provider = await open_provider(host, ProviderSettings(model=model))
    reply = await provider.complete(Request(model=model, messages=(Message("user", "hello"),)))

    assert (host.name, model, reply.text) == ("shout", "any/thing", "HELLO")
    assert ("shout", "codeclm-shout 1.0", None) in providers.PROVIDERS.entries()
    with pytest.raises(ConfigError, match="shout takes no options"):
        check_endpoint(RoleConfig(model="shout/x", options={"volume": 11}), "strong")


CURSED = """
class Cursed:
    @property
    def __class__(self): raise RuntimeError("no attributes today")

SHOUT = Cursed()
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "cannot be imported: AttributeError"),
        (SHOUT.replace("SHOUT = Host", "OTHER = Host"), "cannot be imported: AttributeError"),
        (SHOUT.replace('Host("shout"', 'Host("shoot"'), "must be a Host with the name 'shout'"),
        (f"{SHOUT}SHOUT = SHOUT.kind", "must be a Host with the name 'shout'"),
        (f'{SHOUT}SHOUT = Host("shout", "openai")', "cannot be imported: AttributeError"),
        (f'{SHOUT}SHOUT = Host("shout")', "cannot be imported: TypeError"),
        (SHOUT.replace(", open_shout, NoOptions", ""), "cannot be imported: TypeError"),
        (SHOUT.replace(", NoOptions))", "))"), "cannot be imported: TypeError"),
        (f"{SHOUT}class SHOUT(Host): name = 'shout'", "must be a Host with the name 'shout'"),
        (f"{SHOUT}raise SystemExit(3)", "cannot be imported: SystemExit(3)"),
        (f"{SHOUT}{CURSED}", "cannot be imported: RuntimeError('no attributes today')"),
    ],
)
def test_a_plugin_with_a_step_forgotten_is_an_error_that_names_it(
    site: Path, source: str, message: str
) -> None:
    assert source != SHOUT
    (site / "shout_provider.py").write_text(source)

    with pytest.raises(ConfigError) as caught:
        check_role(RoleConfig(model="shout/x"), "strong")

    assert str(caught.value).startswith("strong.model: codeclm-shout 1.0: ")
    assert message in str(caught.value)


# A step of the section "A provider" forgotten: an error at once, never another kind's dialect.


def test_a_provider_without_a_host_row_is_unknown() -> None:
    with pytest.raises(UserError, match="unknown provider 'shout'"):
        resolve_model("shout/x")


def test_a_host_without_a_kind_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="kind"):
        Host("shout")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    with pytest.raises(AttributeError, match="'str' object"):
        Host("shout", "openai")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_kind_without_a_way_to_open_it_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="open"):
        ProviderKind("shout")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def test_a_host_has_a_base_url_if_and_only_if_its_kind_is_over_http() -> None:
    with pytest.raises(ValueError, match="host acme: kind openai needs a base URL"):
        Host("acme", OPENAI)
    with pytest.raises(ValueError, match="host acme: kind scripted takes no base URL"):
        Host("acme", SCRIPTED, "https://acme.example/v1")


def test_a_host_is_named_as_it_is_looked_up() -> None:
    with pytest.raises(ValueError, match="must be in lower case"):
        Host("Acme", OPENAI, "https://acme.example/v1")


async def test_a_provider_that_names_another_kind_is_refused() -> None:
    """Its answers would be filed in the cache under that kind."""

    async def open_mislabelled(_: ProviderSettings, options: ScriptedOptions) -> Provider:
        return Scripted(options)

    host = Host("acme", ProviderKind("acme", open_mislabelled, ScriptedOptions))

    with pytest.raises(
        ValueError, match="has kind 'scripted', but its ProviderKind is named 'acme'"
    ):
        await open_provider(host, ProviderSettings())


def test_two_built_in_rows_of_one_name_are_refused() -> None:
    shadow = Host("openai", SCRIPTED)
    with pytest.raises(ValueError, match="two providers have the name 'openai': rename one"):
        Registry("codeclm.providers", "provider", Host, (*HOSTS, shadow))
    with pytest.raises(ValueError, match="two providers have the name 'openai'"):
        Registry("codeclm.providers", "provider", Host, HOSTS, aliases={"openai": "gemini"})


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("scripted", {}, {}),
        ("scripted", {"latency": 1.0, "jitter": 0.5, "error_rate": 0.1}, {}),
        ("scripted", {"model_seed": "2", "unreadable_rate": 0.0}, {"model_seed": "2"}),
        ("scripted", {"replies": {"rate": "5"}, "retry_after": 1}, {"replies": {"rate": "5"}}),
        ("local", {"slots": 4, "threads": 2, "prompt_cache": True, "context": 2048}, {}),
        ("local", {"context": 256}, {"context": 256}),
    ],
)
def test_options_that_can_change_a_reply_are_told_from_those_that_cannot(
    name: str, options: dict[str, object], kept: dict[str, object]
) -> None:
    assert PROVIDERS[name].kind.reply_options(options) == kept


def test_an_operational_option_that_does_not_exist_is_refused_when_the_kind_is_made() -> None:
    with pytest.raises(ValueError, match="kind shout: no option is called 'latencey'"):
        structs.replace(SCRIPTED, name="shout", operational=frozenset({"latencey"}))


@pytest.mark.parametrize("name", ["scripted", "local"])
def test_a_base_url_of_a_model_in_this_process_is_refused(name: str) -> None:
    role = RoleConfig(model=f"{name}/x", base_url="http://gpu:8000/v1")
    with pytest.raises(ConfigError, match=rf"strong\.base_url: {name} models run in this process"):
        check_role(role, "strong")


def test_two_kinds_of_one_name_are_refused() -> None:
    """Cache keys of two kinds must never meet."""
    shadow = Host("acme", structs.replace(SCRIPTED, name="openai"))
    with pytest.raises(ValueError, match="two provider kinds have the name 'openai'"):
        check_kinds((*HOSTS, shadow))
