"""Before anything is written or sent: endpoints are built, keys stay with whom they are for."""

import os
import shutil
import stat
import subprocess
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from codeclm.providers.http.failures import sanitize

from . import preloaded
from .commands import codeclm, environment, write_lines, write_seeds
from .servers import ReceivedRequest, Say, Server, chat, say

KEY = "sk-proj-Zx81kQ4vT7mB2pL9wR3yN6"
OTHER = "AWSCANARY0123456789"
SHAPE = ("--per-metadata", "1", "--max-iterations", "1", "--display", "none")


def reply(asked: ReceivedRequest) -> Say:
    """A model that gives each stage what it asks for."""
    text = asked.json["messages"][-1]["content"]
    if "instruction analyzer" in text:
        return say(chat("Use case: letters\nSkills: tact"))
    if "instruction writer" in text:
        return say(chat("1. Write to your aunt."))
    if "instruction judge" in text:
        return say(chat("1. Rubric: Length.\n1. Action: Make it longer."))
    if "Assistant 1" in text:
        is_second = 0 <= text.find("from target") < text.find("from strong")
        return say(chat("2 9" if is_second else "9 2"))
    return say(chat(f"An answer from {asked.json['model']}, who was sent {KEY}."))


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def command(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return await anyio.to_thread.run_sync(partial(codeclm, *argv, cwd=cwd, **environ))


def gift(folder: Path, url: str) -> Path:
    """A run's folder from a stranger, which is nothing but a configuration."""
    write_seeds(folder, 2)
    given = folder / "gift"
    given.mkdir()
    (given / "config.toml").write_text(
        f"""# 2026-01-01T00:00:00+00:00: as run by codeclm 0.2.0
seeds = "seeds.jsonl"
[strong]
model = "openai/strong"
base_url = "{url}/v1"
api_key = "AWS_SECRET_ACCESS_KEY"
headers = {{ X-All = "$GITHUB_TOKEN" }}
[target]
model = "scripted/target"
[decode]
per_metadata = 1
[filter]
max_iterations = 1
"""
    )
    return given


HELD = {"AWS_SECRET_ACCESS_KEY": OTHER, "GITHUB_TOKEN": "ghp_CANARY", "OPENAI_API_KEY": KEY}


pytestmark = pytest.mark.blocking  # the tests, not the program, which is another process


async def test_a_stranger_s_folder_sends_nothing_before_it_is_trusted(
    server: Server, tmp_path: Path
) -> None:
    server.always = reply
    gift(tmp_path, server.url)

    for verb in (["resume", "gift"], ["run", "gift/config.toml", "--out", "gift"]):
        (tmp_path / "gift" / "manifest.json").write_text("{}")
        done = await command(*verb, cwd=tmp_path, **HELD)

        assert done.returncode == 2
        for word in (server.url, "AWS_SECRET_ACCESS_KEY", "X-All", "$GITHUB_TOKEN", "--trust"):
            assert word in done.stderr
        assert OTHER not in done.stderr
        assert server.asked == []

    (tmp_path / "gift" / "manifest.json").unlink()
    trusted = await command("resume", "gift", "--trust", *SHAPE[-2:], cwd=tmp_path, **HELD)
    again = await command("resume", "gift", *SHAPE[-2:], cwd=tmp_path, **HELD)

    assert (trusted.returncode, again.returncode) in {(0, 0), (3, 3)}, trusted.stderr
    assert server.asked[0].headers["authorization"] == f"Bearer {OTHER}"


@pytest.mark.parametrize("setting", ["seeds", "metadata.file"])
def test_a_stranger_s_folder_sends_no_file_of_the_user_s_unasked(
    tmp_path: Path, setting: str
) -> None:
    """Also to a vendor's own address, where the usual key goes without a question."""
    stranger = tmp_path / "gift"
    stranger.mkdir()
    write_lines(tmp_path / "private.jsonl", [{"use_case": "letters", "skills": ["tact"]}])
    write_lines(stranger / "theirs.jsonl", [{"use_case": "letters", "skills": ["tact"]}])
    (stranger / "manifest.json").write_text("{}")
    config = stranger / "config.toml"
    roles = 'strong.model = "openai/x"\ntarget.model = "scripted/target"\n'
    input_field = 'input.field = "use_case"\n'

    def check(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
        config.write_text(f"{setting} = '{path}'\n{roles}{input_field}")
        return codeclm("check", "gift/config.toml", *more, cwd=tmp_path, **HELD)

    theirs, refused = check(stranger / "theirs.jsonl"), check(tmp_path / "private.jsonl")

    assert theirs.returncode == 0, theirs.stderr
    assert refused.returncode == 2
    assert f"{setting}: the content of {tmp_path}/private.jsonl, to https://api.o" in refused.stderr
    assert check(tmp_path / "private.jsonl", "--trust").returncode == 0


def test_a_stranger_s_folder_loads_no_model_unasked(tmp_path: Path) -> None:
    """Not every file that calls itself a model is harmless to the library that reads it."""
    write_seeds(tmp_path, 2)
    (tmp_path / "gift").mkdir()
    (tmp_path / "gift" / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "gift" / "config.toml").write_text(
        "seeds = 'seeds.jsonl'\nstrong.model = 'local/gift/model.gguf'\n"
        "target.model = 'scripted/target'\n"
    )

    done = codeclm("resume", "gift", cwd=tmp_path)

    assert done.returncode == 2
    assert "gift/model.gguf, to be loaded into this process" in done.stderr


async def test_one_s_own_run_resumes_without_a_question(server: Server, tmp_path: Path) -> None:
    server.always = reply
    gift(tmp_path, server.url).joinpath("config.toml").rename(tmp_path / "mine.toml")

    begun = await command("run", "mine.toml", *SHAPE, cwd=tmp_path, **HELD)
    resumed = await command("resume", "runs/mine", *SHAPE[-2:], cwd=tmp_path, **HELD)
    shutil.rmtree(tmp_path / "state")
    forgotten = await command("resume", "runs/mine", *SHAPE[-2:], cwd=tmp_path, **HELD)

    assert begun.returncode == resumed.returncode in {0, 3}, begun.stderr
    assert forgotten.returncode == 2


async def test_the_roles_addresses_and_keys_are_shown(server: Server, tmp_path: Path) -> None:
    server.always = reply
    write_seeds(tmp_path, 2)
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    line = ("--seeds", "seeds.jsonl", "--strong", "openai/strong", "--target", "scripted/target")
    named = ("--set", "strong.api_key=OPENAI_API_KEY")
    more = ("--strong-base-url", f"{server.url}/v1", "--out", "run", *SHAPE[:4], *named)

    shown = [await command(verb, *line, *more, cwd=tmp_path) for verb in ("check", "plan", "run")]

    for done in shown:
        text = done.stdout + done.stderr
        assert f"openai/strong at {server.url}/v1; address from command line" in text, text
        assert "key OPENAI_API_KEY (./.env)" in text
        assert KEY not in text


async def test_a_vendor_s_key_goes_to_the_vendor_alone_unless_it_is_named(
    server: Server, tmp_path: Path
) -> None:
    server.always = reply
    write_seeds(tmp_path, 2)
    base = ("--seeds", "seeds.jsonl", "--strong", "openai/strong", "--target", "scripted/target")
    line = (*base, "--strong-base-url", f"{server.url}/v1", *SHAPE[:4])
    secrets = {"OPENAI_API_KEY": KEY}

    checked = await command("check", *line, "--out", "a", cwd=tmp_path, **secrets)
    for number, key in enumerate(("", "none", "OPENAI_API_KEY")):
        more = ("--set", f"strong.api_key={key}") if key else ()
        done = await command("run", *line, "--out", str(number), *more, cwd=tmp_path, **secrets)
        assert done.returncode in {0, 3}, done.stderr
        sent = {request.headers.get("authorization") for request in server.asked}
        assert sent == ({f"Bearer {KEY}"} if number == 2 else {None})
        server.asked.clear()
        shutil.rmtree(tmp_path / "cache")

    hint = 'no key: OPENAI_API_KEY is openai\'s alone (to send it here: api_key = "OPENAI_API_KEY")'
    assert hint in checked.stdout


async def test_a_dotenv_gives_keys_and_moves_nothing(server: Server, tmp_path: Path) -> None:
    server.always = reply
    write_seeds(tmp_path, 2)
    (tmp_path / ".env").write_text(
        f"OPENAI_BASE_URL={server.url}/v1\nHTTP_PROXY={server.url}\nSSL_CERT_FILE=/nowhere\n"
        f"CODECLM_CACHE_DIR=elsewhere\nOPENAI_API_KEY={KEY}\nUNRELATED=1\n"
        f"AZURE_OPENAI_ENDPOINT={server.url}\n"
    )
    line = ("--seeds", "seeds.jsonl", "--strong", "openai/strong", "--target", "scripted/target")

    ignored = await command("check", *line, cwd=tmp_path)
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={server.url}/v1\nOPENAI_API_KEY={KEY}\n")
    trusted = await command("check", *line, "--trust", cwd=tmp_path)
    again = await command("check", *line, cwd=tmp_path)

    assert ignored.returncode == 0
    for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "SSL_CERT_FILE", "AZURE_OPENAI_ENDPOINT"):
        assert name in ignored.stderr
    assert "UNRELATED" not in ignored.stderr
    assert "at https://api.openai.com/v1; openai's own address" in ignored.stdout
    for done in (trusted, again):
        assert f"{server.url}/v1; address from OPENAI_BASE_URL (./.env)" in done.stdout


def test_a_dotenv_cannot_pose_as_a_key_to_bring_its_own_list_of_trust(tmp_path: Path) -> None:
    folder = gift(tmp_path, "http://127.0.0.1:9")
    config = folder / "config.toml"
    text = config.read_text().replace("AWS_SECRET_ACCESS_KEY", "XDG_STATE_HOME")
    config.write_text(text)
    (tmp_path / ".env").write_text(f"XDG_STATE_HOME={tmp_path}\n")
    (tmp_path / "codeclm").mkdir()
    digest = blake2b(config.read_bytes(), digest_size=16).hexdigest()
    (tmp_path / "codeclm" / "trusted").write_text(f"{digest}\n")

    environ = environment(tmp_path, HOME=str(tmp_path / "home"), **HELD)
    del environ["XDG_STATE_HOME"]  # a variable that is set wins over ./.env
    done = preloaded.run(("resume", "gift"), cwd=tmp_path, env=environ)

    assert done.returncode == 2, done.stderr
    assert "--trust" in done.stderr or "XDG_STATE_HOME is not set" in done.stderr


@pytest.mark.parametrize("content", [b"OPENAI_API_KEY=\xff\xfe\n", b"A=\0\n"])
def test_a_dotenv_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes) -> None:
    write_seeds(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    done = codeclm("check", "--seeds", "seeds.jsonl", *LOCAL, cwd=tmp_path)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "./.env" in done.stderr


LOCAL = ("--strong", "scripted/strong", "--target", "scripted/target")

URL = "strong.base_url"
HEADER = "strong.headers"
WRONG: list[tuple[str, dict[str, str]]] = [
    (f"{URL}=https://me:hunter2@gw.example/v1", {}),
    (f"{URL}=httpx://me:hunter2@gw.example/v1", {}),
    (f"{URL}=https://gw.example/v1?key=hunter2", {}),
    (f"{URL}=https://gw.example/v1#hunter2", {}),
    (f"{URL}=https://gw.example/sk-hunter2hunter2hunter2/v1", {}),
    (f"{URL}=https://gw.example:99999/v1", {}),
    (f"{URL}=https://gw.example:port/v1", {}),
    (f"{URL}=https://", {}),
    (f"{URL}=http", {}),
    (f'{URL}=""', {}),
    (f"{URL}=httpx://gw.example", {}),
    (f"{URL}=http://[::1", {}),
    (f"{URL}=https://{'a' * 64}.example", {}),
    (f"{URL}=https://a..example", {}),
    (f"{URL}=https://a b.example", {}),
    (f'{HEADER}={{"X A"="1"}}', {}),
    (f'{HEADER}={{"X-A"="1\\n2"}}', {}),
    (f'{HEADER}={{""="1"}}', {}),
    (f'{HEADER}={{"Content-Length"="1"}}', {}),
    (f'{HEADER}={{"Ä"="1"}}', {}),
    (f'{HEADER}={{"X-A"="$NOT_SET"}}', {}),
    (f'{HEADER}={{Authorization="Bearer hunter2"}}', {}),
    (f'{HEADER}={{x-api-key="hunter2"}}', {}),
    (f'{HEADER}={{X-Custom="sk-hunter2hunter2hunter2"}}', {}),
    ('strong.extra={user_token="hunter2"}', {}),
    ('strong.extra={metadata={api_key="hunter2"}}', {}),
    ("strong.api_key=AKIAIOSFODNN7HUNTER2", {}),
    ("strong.api_key=sk-hunter2", {}),
    ("seed=1", {"OPENAI_API_KEY": "sk-hunter2\nX: y"}),
    ("seed=1", {"HTTPS_PROXY": "socks5://a:1"}),
    ("seed=1", {"HTTPS_PROXY": "http://[::"}),
    ("seed=1", {"HTTPS_PROXY": "garbage garbage"}),
    ("seed=1", {"HTTPS_PROXY": "http://x:99999"}),
    ("seed=1", {"SSL_CERT_FILE": "/nowhere"}),
    ("seed=1", {"SSL_CERT_FILE": "/etc/passwd"}),
    ("seed=1", {"SSL_CERT_DIR": "/nowhere"}),
]


@pytest.mark.parametrize(("override", "environ"), WRONG)
def test_a_wrong_endpoint_is_one_line_before_anything_is_written(
    tmp_path: Path, override: str, environ: dict[str, str]
) -> None:
    write_seeds(tmp_path, 2)
    line = ("--seeds", "seeds.jsonl", "--strong", "openai/x", "--target", "scripted/target")
    more = ("--out", "run", "--set", override)
    for verb in ("check", "run", "preview"):
        done = codeclm(verb, *line, *more, cwd=tmp_path, **{"OPENAI_API_KEY": KEY, **environ})

        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert "unter2" not in done.stderr.lower()
        assert not (tmp_path / "run").exists()


async def test_a_key_that_a_server_repeats_is_in_no_file(server: Server, tmp_path: Path) -> None:
    server.always = reply
    write_seeds(tmp_path, 2)
    line = ("--seeds", "seeds.jsonl", "--strong", "openai/strong", "--target", "openai/target")
    for transport in ("aiohttp", "lean"):
        folders = ("--cache", transport, "--out", f"run-{transport}")
        more = ("--base-url", f"{server.url}/v1", "--transport", transport, *SHAPE, *folders)
        named = [f"--set={role}.api_key=OPENAI_API_KEY" for role in ("strong", "target")]
        done = await command("run", *line, *more, *named, cwd=tmp_path, OPENAI_API_KEY=KEY)

        assert done.returncode in {0, 3}, done.stderr

    assert files_with(tmp_path, KEY) == []
    assert any(path.name == "alpaca.jsonl" for path in files_with(tmp_path, "who was sent ***"))


def files_with(folder: Path, text: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_a_run_s_files_are_its_owner_s_alone(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    before = os.umask(0o000)
    try:
        done = codeclm("run", "--seeds", "seeds.jsonl", *LOCAL, "--out", "run", cwd=tmp_path)
        codeclm("report", "run", cwd=tmp_path)
    finally:
        os.umask(before)

    assert done.returncode in {0, 3}, done.stderr
    for path in (tmp_path / "run", *(tmp_path / "run").iterdir(), *(tmp_path / "cache").iterdir()):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_key_that_a_server_breaks_into_lines_is_masked() -> None:
    broken = f"Incorrect key: {KEY[:8]}\n{KEY[8:20]} \t{KEY[20:]}."

    assert sanitize(broken, (KEY,)) == "Incorrect key: ***."
