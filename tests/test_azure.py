"""OpenAI's models on Azure: both of its APIs, however the address is written."""

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from codeclm.providers.azure import Azure, azure_address
from codeclm.providers.http.exchange import HttpSession

from .commands import codeclm, write_seeds
from .servers import ReceivedRequest, Say, Server, request, say
from .test_cli import acting

RESOURCE = "https://me.openai.azure.com"
CLASSIC = f"{RESOURCE}/openai/deployments/mine"
V1 = f"{RESOURCE}/openai/v1"


@pytest.mark.parametrize(
    ("base_url", "version", "address"),
    [
        (RESOURCE, "", (V1, "")),
        (f"{RESOURCE}/", "", (V1, "")),
        (f"{RESOURCE}/openai", "", (V1, "")),
        (V1, "", (V1, "")),
        (f"{V1}/", "2024-10-21", (V1, "")),
        (f"{V1}/chat/completions", "", (V1, "")),
        (RESOURCE, "2024-10-21", (CLASSIC, "2024-10-21")),
        (CLASSIC, "2024-10-21", (CLASSIC, "2024-10-21")),
        (f"{CLASSIC}/chat/completions?api-version=2024-06-01", "", (CLASSIC, "2024-06-01")),
        (f"{CLASSIC}/chat/completions?api-version=1", "2024-10-21", (CLASSIC, "2024-10-21")),
    ],
)
def test_an_address_is_understood_however_it_is_written(
    base_url: str, version: str, address: tuple[str, str]
) -> None:
    assert azure_address(base_url, "mine", version) == address


def test_a_deployment_s_address_needs_a_version() -> None:
    with pytest.raises(ValueError, match=r'options = \{ api_version = "2024-10-21" \}'):
        azure_address(CLASSIC, "mine", "")


def test_a_deployment_s_name_is_no_path() -> None:
    assert azure_address(RESOURCE, "../x", "1")[0] == f"{RESOURCE}/openai/deployments/..%2Fx"


async def test_the_key_goes_into_its_own_header(server: Server, session: HttpSession) -> None:
    azure = Azure(session, base_url=server.url, model="mine", api_version="1", api_key="k" * 20)

    await azure.complete(request(max_tokens=5))

    (asked,) = server.asked
    assert asked.path == "/openai/deployments/mine/chat/completions?api-version=1"
    assert asked.headers["api-key"] == "k" * 20
    assert "authorization" not in asked.headers
    assert asked.json["max_completion_tokens"] == 5
    assert azure.identity == f"{server.url}/openai/deployments/mine"


# -- as users meet it -------------------------------------------------------------------------

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def as_azure(asked: ReceivedRequest) -> Say:
    """What Azure refuses: another key, header, path, or a classic call without its version."""
    path, _, query = asked.path.partition("?")
    if asked.headers.get("api-key") != KEY:
        return say({"error": {"code": "401", "message": "Access denied"}}, status=401)
    is_classic = path == "/openai/deployments/strong/chat/completions"
    is_known = query.startswith("api-version=") if is_classic else path.startswith("/openai/v1/")
    if not is_known:
        return say({"error": {"code": "404", "message": "Resource not found"}}, status=404)
    return acting(asked)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("", ()),
        ("", ("--set", 'strong.options={api_version="2024-10-21"}')),
        ("/openai/deployments/strong/chat/completions?api-version=2024-10-21", ()),
    ],
)
async def test_a_run_on_azure(
    server: Server, tmp_path: Path, path: str, more: tuple[str, ...]
) -> None:
    server.always = as_azure

    def run(verb: str) -> subprocess.CompletedProcess[str]:
        write_seeds(tmp_path, 1)
        line = (verb, "--seeds", "seeds.jsonl", "--strong", "azure/strong", "--out", "run")
        shape = ("--recipe", "codeclm-metadata", "--per-metadata", "1")
        address = ("--strong-base-url", f"{server.url}{path}")
        named = ("--set", "strong.api_key=AZURE_OPENAI_API_KEY", *more)
        return codeclm(*line, *shape, *address, *named, cwd=tmp_path, AZURE_OPENAI_API_KEY=KEY)

    checked = await anyio.to_thread.run_sync(partial(run, "check"))
    done = await anyio.to_thread.run_sync(partial(run, "run"))

    assert checked.returncode == 0, checked.stderr
    assert done.returncode in {0, 3}, done.stderr
    assert len(server.asked) >= 3
    assert KEY not in checked.stdout + done.stdout + done.stderr
