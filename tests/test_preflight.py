"""The first calls of a run as a user meets them: what is wrong is said before anything is paid."""

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from codeclm.engine.calls.clients import CallSettings, open_clients
from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.preflight import RoleCheck, preflight, problems
from codeclm.engine.config import RetryPolicy, RoleConfig

from .acting import PROMPTS
from .commands import codeclm, write_lines, write_seeds
from .servers import ReceivedRequest, Say, Server, chat, say
from .test_cli import acting

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

QUESTION = "Name the capital of France."
ROLES = (
    *("--strong", "vllm/strong", "--target", "vllm/target", "--judge", "vllm/judge"),
    *("--seeds", "seeds.jsonl", "--per-metadata", "2", "--max-iterations", "1", "--out", "run"),
)


def is_preflight(asked: ReceivedRequest) -> bool:
    return QUESTION in asked.body.decode()


def friendly(asked: ReceivedRequest) -> Say:
    if is_preflight(asked) and "Assistant 1" in asked.body.decode():
        return say(chat("9 2"))
    return acting(asked)


async def run(server: Server, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    def begin() -> subprocess.CompletedProcess[str]:
        write_seeds(folder, 3)
        return codeclm("run", *ROLES, "--base-url", f"{server.url}/v1", *more, cwd=folder)

    return await anyio.to_thread.run_sync(begin)


def of_judge(reply: Say) -> Callable[[ReceivedRequest], Say]:
    """Only the judge answers so."""
    return lambda asked: reply if asked.json["model"] == "judge" else friendly(asked)


def refusing(status: int, message: str) -> Say:
    return say({"error": {"message": message}}, status=status)


def thinking(finish_reason: str) -> Say:
    choice = {"message": {"content": "", "reasoning": "Hm"}, "finish_reason": finish_reason}
    return say(chat(choices=[choice], usage={"completion_tokens": 2048}))


PROBLEMS: list[tuple[Say, str]] = [
    (refusing(401, "Incorrect API key"), "name the variable that holds your key: judge.api_key ="),
    (refusing(404, "no such model"), "check judge.model and judge.base_url"),
    (
        refusing(400, "'temperature' does not support 0.0 with this model"),
        'set judge.temperature = "default"',
    ),
    (say(chat("Both are lovely.")), 'set judge.structured_output = "json_schema"'),
    (thinking("length"), "raise judge.max_tokens (now 2048)"),
    (thinking("stop"), "let the server keep reasoning apart"),
    (say(chat(None, choices=[{"message": {"refusal": "No."}}])), "take another judge.model"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("reply", "remedy"), PROBLEMS)
async def test_a_judge_that_cannot_be_used_is_named_before_anything_else_is_paid(
    server: Server, tmp_path: Path, reply: Say, remedy: str
) -> None:
    server.always = of_judge(reply)
    done = await run(server, tmp_path)

    messages = (line.removeprefix("codeclm: ") for line in done.stderr.splitlines())
    lines = [line for line in messages if line.startswith("judge: vllm/judge: ")]
    assert done.returncode == 1
    assert len(lines) == 1
    assert remedy in lines[0]
    assert all(is_preflight(asked) for asked in server.asked)
    assert len(server.asked) <= 2 + 3


async def test_every_role_is_tried_with_its_own_settings_and_once_a_run(
    server: Server, tmp_path: Path
) -> None:
    server.always = friendly
    first = await run(server, tmp_path, "--max-calls", "5", "--set", "judge.top_p=0.5")
    resume = partial(codeclm, "resume", "run", "--set", "budget.calls=500", cwd=tmp_path)
    second = await anyio.to_thread.run_sync(resume)

    tried = [asked.json for asked in server.asked if is_preflight(asked)]
    assert (first.returncode, second.returncode) == (4, 0)
    assert sorted(body["model"] for body in tried) == ["judge", "strong", "target"]
    [judge] = [body for body in tried if body["model"] == "judge"]
    assert (judge["temperature"], judge["top_p"], judge["max_tokens"]) == (0.0, 0.5, 2048)
    assert "  preflight " in first.stdout


async def test_what_was_wrong_may_be_changed_in_a_run_that_has_nothing_yet(
    server: Server, tmp_path: Path
) -> None:
    def refuses_temperature(asked: ReceivedRequest) -> Say:
        if asked.json["model"] == "judge" and "temperature" in asked.json:
            return refusing(400, "temperature is deprecated for this model")
        return friendly(asked)

    server.always = refuses_temperature
    first = await run(server, tmp_path)
    second = await run(server, tmp_path, "--set", 'judge.temperature="default"')

    assert (first.returncode, second.returncode) == (1, 0), second.stderr


@pytest.mark.parametrize("reply", [thinking("length"), thinking("stop"), say(chat("Both."))])
async def test_a_server_that_was_fixed_is_tried_again_by_the_same_command(
    server: Server, tmp_path: Path, reply: Say
) -> None:
    server.always = of_judge(reply)
    first = await run(server, tmp_path)
    server.always = friendly
    second = await run(server, tmp_path)
    before = len(server.asked)
    third = await run(server, tmp_path)

    codes = (first.returncode, second.returncode, third.returncode)
    assert codes == (1, 0, 0), second.stderr
    assert len(server.asked) == before  # the new reply is stored in place of the old one


async def test_it_changes_no_dataset_and_can_be_left_out(server: Server, tmp_path: Path) -> None:
    server.always = friendly
    rows = list[bytes]()
    for name, more in (("with", ()), ("without", ("--no-preflight",))):
        folder = tmp_path / name
        await anyio.to_thread.run_sync(folder.mkdir)
        before = len(server.asked)
        await run(server, folder, *more)
        assert any(map(is_preflight, server.asked[before:])) is (name == "with")
        rows.append(await anyio.to_thread.run_sync((folder / "run/alpaca.jsonl").read_bytes))

    assert rows[0] == rows[1] != b""


async def test_models_in_this_process_are_not_tried(server: Server, tmp_path: Path) -> None:
    server.always = friendly
    roles = ("--strong", "scripted/a", "--target", "vllm/target", "--judge", "scripted/b")
    at = ("--target-base-url", f"{server.url}/v1")

    def check() -> subprocess.CompletedProcess[str]:
        write_seeds(tmp_path, 3)
        return codeclm("check", "--call", *roles, *ROLES[6:], *at, cwd=tmp_path)

    done = await anyio.to_thread.run_sync(check)

    assert (done.returncode, len(server.asked)) == (0, 1), done.stderr
    assert "target   answered" in done.stdout


@pytest.mark.parametrize(
    ("model", "path", "reply", "remedy"),
    [
        (
            "openai/gpt-next",
            "/v1",
            refusing(400, "Unsupported value: 'temperature' does not support 0.7 with this model."),
            'set strong.temperature = "default"',
        ),
        (
            "anthropic/claude-next",
            "",
            refusing(400, "`temperature` is deprecated for this model."),
            'set strong.temperature = "default"',
        ),
        (
            "anthropic/claude-next",
            "",
            say(
                {
                    "content": [{"type": "thinking", "thinking": "Hm"}],
                    "stop_reason": "max_tokens",
                    "usage": {"input_tokens": 9, "output_tokens": 2048},
                }
            ),
            (
                "raise strong.max_tokens (now 16384), or let it think less, such as"
                ' strong.extra = { output_config = { effort = "low" } }'
            ),
        ),
        (
            "anthropic/claude-next",
            "",
            say(
                {
                    "content": [],
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal", "category": "frontier_llm"},
                }
            ),
            "the model refused (frontier_llm)",
        ),
        (
            "gemini/gemini-next",
            "",
            say(
                {
                    "candidates": [{"finishReason": "MAX_TOKENS"}],
                    "usageMetadata": {"thoughtsTokenCount": 2044},
                }
            ),
            (
                "such as strong.extra ="
                " { generationConfig = { thinkingConfig = { thinkingBudget = 1024 } } }"
            ),
        ),
        (
            "openai/gpt-next-pro",
            "/v1",
            refusing(404, "This is not a chat model."),
            "check strong.model and strong.base_url",
        ),
        (
            "anthropic/claude-next",
            "",
            refusing(401, "invalid x-api-key"),
            "put a valid key into KEY, or name another in strong.api_key",
        ),
    ],
)
async def test_every_dialect_is_checked_with_a_call(
    server: Server, tmp_path: Path, model: str, path: str, reply: Say, remedy: str
) -> None:
    server.always = reply
    roles = (
        *("--seeds", "seeds.jsonl", "--recipe", "codeclm-rubrics", "--out", "run"),
        *("--strong", model, "--set", f"strong.base_url={server.url}{path}"),
        *("--set", "strong.api_key=KEY"),
    )

    def check() -> subprocess.CompletedProcess[str]:
        write_seeds(tmp_path, 3)
        return codeclm("check", *roles, "--call", cwd=tmp_path, KEY="sk-right-or-wrong")

    done = await anyio.to_thread.run_sync(check)

    complaint = [line for line in done.stderr.splitlines() if f": {model}: " in line]
    assert done.returncode == 1, done.stderr
    assert len(complaint) == 1
    assert remedy in complaint[0]
    assert "sk-right-or-wrong" not in done.stdout + done.stderr
    assert len(server.asked) <= 3


async def test_an_evaluation_tries_its_judge_before_the_first_answer_is_paid(
    server: Server, tmp_path: Path
) -> None:
    server.always = of_judge(say(chat("Both are lovely.")))
    models = ("--candidate", "vllm/a", "--reference", "vllm/b", "--judge", "vllm/judge")

    def begin() -> subprocess.CompletedProcess[str]:
        write_lines(
            tmp_path / "set.jsonl", [{"id": n, "prompt": f"What of {n}?"} for n in range(9)]
        )
        at = ("--base-url", f"{server.url}/v1", "--out", "e")
        return codeclm("evaluate", "--test", "set.jsonl", *models, *at, cwd=tmp_path)

    done = await anyio.to_thread.run_sync(begin)

    assert done.returncode == 1
    assert "judge: vllm/judge: " in done.stdout + done.stderr
    assert len(server.asked) == 2 + 3
    assert all(is_preflight(asked) for asked in server.asked)


@pytest.mark.blocking
async def test_a_server_that_does_not_answer_is_not_waited_for_as_long_as_in_a_run(
    tmp_path: Path,
) -> None:
    roles = {"strong": RoleConfig(model="vllm/x", base_url="http://127.0.0.1:1/v1")}
    settings = CallSettings(tmp_path / "cache", RetryPolicy(outage=1e6), 3)
    async with open_clients(roles, {"strong": PROMPTS}, settings, counters=Counters()) as clients:
        [check] = await preflight(clients, roles, patience=0.05)
        await clients.drained()

    assert "strong: vllm/x: nothing answers: " in check.problem
    assert "cannot connect to 127.0.0.1" in check.problem


async def test_an_address_where_nothing_answers_is_given_up(server: Server, tmp_path: Path) -> None:
    del server
    roles = (*ROLES, "--set", "retry.outage=0.2")

    def begin() -> subprocess.CompletedProcess[str]:
        write_seeds(tmp_path, 3)
        return codeclm(
            *("run", *roles, "--base-url", "http://127.0.0.1:1/v1", "--display", "none"),
            cwd=tmp_path,
        )

    done = await anyio.to_thread.run_sync(begin)

    assert done.returncode == 1
    assert done.stderr.count("strong: vllm/strong: ") == 1
    assert "cannot connect to 127.0.0.1" in done.stderr
    assert done.stdout == "failed: 0 rows\n"  # what stopped it is said once, and last


async def test_a_problem_that_roles_share_is_one_line() -> None:
    checks = [
        RoleCheck("strong", "strong: openai/big: 404; check strong.model"),
        RoleCheck("target"),
        RoleCheck("judge", "judge: openai/big: 404; check judge.model"),
    ]
    other = RoleCheck("judge", "judge: openai/other: 404; check judge.model")

    assert problems(checks) == [checks[0].problem]
    assert problems([checks[0], other]) == [checks[0].problem, other.problem]
