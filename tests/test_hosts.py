"""Which hosts are known, and how a model string finds one."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.providers import check, hosts, open_provider
from codeclm.providers.exchange import Session, endpoint
from codeclm.providers.hosts import HOSTS, find, split_model


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
    assert split_model(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("opnai/gpt-4o", "no provider is called 'opnai'; did you mean openai"),
        ("meta-llama/Llama-3", "no provider is called 'meta-llama'; "),
        ("gpt-4o", "'gpt-4o' names no provider: write provider/model"),
        ("", "'' names no provider"),
        ("openai/", "'openai/' names no model: write openai/model"),
        ("/x", "no provider is called ''; known are openai, anthropic"),
    ],
)
def test_a_model_string_that_cannot_work_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"provider|model") as caught:
        split_model(text)

    assert str(caught.value).startswith(said)


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
    assert split_model(text, default="openai") == expected


@given(st.sampled_from(sorted(HOSTS)), st.sampled_from("/:"), st.text(min_size=1))
def test_whatever_a_model_is_called_it_keeps_its_name(host: str, mark: str, model: str) -> None:
    text = f"{host}{mark}{model}".rstrip()

    if text != f"{host}{mark}":
        assert split_model(text) == (host, model.rstrip())


@pytest.mark.parametrize("host", HOSTS.values(), ids=lambda host: host.name)
def test_every_known_base_url_can_be_called(host: hosts.Host) -> None:
    if host.base_url:
        assert endpoint(host.base_url, headers={}).where == f"POST {host.base_url}"
    assert bool(host.base_url) == (host.kind not in {"local", "scripted"})


def test_the_environment_moves_a_host_and_holds_its_key() -> None:
    environ = {"GOOGLE_API_KEY": " g ", "VLLM_BASE_URL": "http://gpu:8000/v1"}

    assert hosts.api_key(find("gemini"), environ) == "g"
    assert hosts.base_url(find("vllm"), environ) == "http://gpu:8000/v1"
    assert hosts.base_url(find("ollama"), environ) == "http://localhost:11434/v1"


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"^gemini needs a key: set GEMINI_API_KEY or GOOGLE_API"):
        hosts.api_key(find("gemini"), {})


def test_a_server_of_ones_own_needs_no_key() -> None:
    """Also where it stands in for a vendor's, under the vendor's variable."""
    assert hosts.api_key(find("vllm"), {}) is None
    assert hosts.api_key(find("openai"), {"OPENAI_BASE_URL": "http://localhost:9/v1"}) is None


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
    session: Session, name: str, base_url: str, structured: str
) -> None:
    """A server in a vendor's place promises nothing of what the vendor does."""
    host = find(name)

    provider = await open_provider(host, session, base_url=base_url, api_key="k")

    assert (provider.kind, provider.structured) == (host.kind, structured)
    assert provider.identity == (base_url or host.base_url).rstrip("/")


async def test_the_scripted_model_needs_no_session() -> None:
    provider = await open_provider(find("scripted"), options={"model_seed": "7"})

    assert provider.identity == "scripted?model_seed=7&unreadable_rate=0"


async def test_a_host_on_the_network_needs_a_session() -> None:
    with pytest.raises(ValueError, match="openai is reached over HTTP: it needs a session"):
        await open_provider(find("openai"))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("scripted", {"latncy": 1}, "unknown option 'latncy'; did you mean latency?"),
        ("scripted", {"zzz": 1}, "unknown option 'zzz'; known are model_seed, latency"),
        ("scripted", {"latency": "x"}, "Expected `float`, got `str` - at `$.latency`"),
        ("openai", {"top_k": 1}, "openai takes no options"),
        ("local", {"slts": 1}, "unknown option 'slts'; did you mean slots?"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    kind: hosts.Kind, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check(kind, "any", options)

    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("module", ["codeclm.providers", "codeclm.providers.hosts"])
def test_naming_a_host_imports_nothing_heavy(module: str) -> None:
    command = f"import sys, {module}; print(sorted({{'aiohttp', 'xllamacpp'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)

    assert ran.stdout == b"[]\n"
