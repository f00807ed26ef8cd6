"""A server that moves: with an identity, what it has answered is not paid for again."""

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from .commands import codeclm, write_seeds
from .servers import serving
from .test_cli import acting


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def seeds(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)


async def command(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return await anyio.to_thread.run_sync(partial(codeclm, *argv, cwd=cwd))


def line(url: str, *more: str, identity: bool, out: str = "run") -> tuple[str, ...]:
    named = [f"--set={role}.identity={role}-7b" for role in ("strong", "target")]
    return (
        *("run", "--seeds", "seeds.jsonl", "--out", out, "--display", "none", "--no-preflight"),
        *("--per-metadata", "2", "--max-iterations", "1", "--base-url", f"{url}/v1"),
        *("--strong", "openai/strong", "--target", "openai/target"),
        *(named if identity else ()),
        *more,
    )


async def test_a_run_continues_where_its_servers_have_moved_and_pays_nothing_again(
    tmp_path: Path,
) -> None:
    async with serving() as before, serving() as after:
        before.always = after.always = acting
        first = await command(*line(before.url, identity=True), cwd=tmp_path)
        moved = [f"--set={role}.base_url={after.url}/v1" for role in ("strong", "target")]
        resumed = await command(
            *("resume", "run", "--display", "none", "--no-preflight", *moved), cwd=tmp_path
        )
        anew = await command(*line(after.url, identity=True, out="anew"), cwd=tmp_path)

    for done in (first, resumed, anew):
        assert done.returncode == 0, done.stderr
    assert len(before.asked) > 0
    assert after.asked == []
    manifest = await anyio.Path(tmp_path / "run" / "manifest.json").read_text()
    assert json.loads(manifest)["settings"]["strong"]["identity"] == "strong-7b"
    assert before.url not in manifest


async def test_without_an_identity_another_server_is_another_run(tmp_path: Path) -> None:
    async with serving() as before, serving() as after:
        before.always = after.always = acting
        await command(*line(before.url, identity=False), cwd=tmp_path)
        refused = await command(*line(after.url, identity=False), cwd=tmp_path)
        await command(*line(after.url, identity=False, out="anew"), cwd=tmp_path)

    assert refused.returncode == 2
    assert "strong.base_url" in refused.stderr
    assert len(after.asked) == len(before.asked)


async def test_an_identity_never_meets_an_address(tmp_path: Path) -> None:
    """Else a configuration could file answers under a vendor's."""
    async with serving() as server:
        server.always = acting
        await command(*line(server.url, identity=False), cwd=tmp_path)
        paid = len(server.asked)
        posing = [f"--set={role}.identity={server.url}/v1" for role in ("strong", "target")]
        await command(*line(server.url, *posing, identity=False, out="posing"), cwd=tmp_path)

    assert len(server.asked) == 2 * paid
