"""What every test gets: both event loops, a clean environment, and an alarm for blocking calls.

Nothing here or in a test measures time: a busy machine changes no result.
"""

import inspect
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from codeclm.providers.hosts import HOSTS
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.http.session import open_session

from .examples import load_profile
from .servers import Server, serving

_LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
]

load_profile()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Use all cores for the suite, and this process alone for files that are named."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    return 0 if named and not any(Path(name).is_dir() for name in config.args) else None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "blocking: this test may block the event loop (the alarm is off)"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: Any) -> None:
    """Run every ``async def test_…`` without a marker on each."""
    if name.startswith("test") and inspect.iscoroutinefunction(obj):
        pytest.mark.anyio(obj)


@pytest.fixture(params=_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def unblocked(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Fail a test in which the event loop waits for a file, a lock or a socket."""
    if "anyio_backend" not in request.fixturenames or request.node.get_closest_marker("blocking"):
        yield None
        return
    with blockbuster_ctx() as alarm:
        yield alarm


@pytest.fixture(scope="session")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where codeclm keeps what it knows of the user who runs these tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, state_folder: Path) -> None:
    """Take the user's keys, proxies and folders out of the tests' sight."""
    monkeypatch.setenv("XDG_STATE_HOME", str(state_folder))
    ours = {name for host in HOSTS for name in (*host.key_variables, host.base_url_variable)}
    for name in os.environ:
        if (
            name in ours
            or name.startswith("CODECLM_")
            or name.lower().endswith("_proxy")
            or name in {"SSL_CERT_FILE", "SSL_CERT_DIR", "NO_COLOR"}
        ):
            monkeypatch.delenv(name)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[HttpSession]:
    async with aclosing(open_session(timeout=60, connect_timeout=60)) as opened:
        yield opened
