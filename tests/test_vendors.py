"""Every family of models sold today, called with our defaults: accepted, and rows are made.

The table in docs/models.md is what this prints: ``python -m pytest tests/test_vendors.py -s``.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from codeclm.engine.config import build_config
from codeclm.engine.pipeline.prepare import Plan, prepare
from codeclm.engine.pipeline.session import Session, execute
from codeclm.engine.store.reader import LedgerReader

from . import vendors
from .acting import may_read_the_cache
from .commands import write_seeds
from .servers import ReceivedRequest, Say, Server

pytestmark = pytest.mark.slow

VENDORS: dict[str, tuple[vendors.Vendor, str]] = {
    "openai": (
        vendors.openai,
        (
            "gpt-4o gpt-4.1 gpt-5 gpt-5-mini gpt-5.1 gpt-5.2 gpt-5.4 gpt-5.4-mini gpt-5.5 o3"
            " gpt-5.6-sol gpt-5.6-luna gpt-6-astra gpt-6-sol gpt-6-luna gpt-6.1-sol gpt-6.1-terra"
            " gpt-6.2-astra gpt-5.5-pro gpt-5.3-codex"
        ),
    ),
    "azure": (vendors.azure, "gpt-6-luna gpt-5.4"),
    "anthropic": (
        vendors.anthropic,
        (
            "claude-haiku-4-5 claude-sonnet-4-6 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8"
            " claude-opus-5 claude-opus-5-5 claude-sonnet-5 claude-sonnet-5-5 claude-haiku-5-5"
            " claude-fable-5 claude-fable-5-2 claude-mythos-5 claude-opus-6"
        ),
    ),
    "gemini": (
        vendors.gemini,
        "gemini-2.5-flash gemini-2.5-pro gemini-3.5-flash gemini-3.8-flash gemini-4-argon",
    ),
    "mistral": (vendors.mistral, "mistral-large-4 magistral-medium-latest"),
    "moonshot": (vendors.moonshot, "kimi-k2.6 kimi-k3"),
    "deepseek": (vendors.compatible, "deepseek-v4-pro"),
    "xai": (vendors.compatible, "grok-4.7"),
    "groq": (vendors.compatible, "openai/gpt-oss-120b"),
}
MODELS = [(provider, name) for provider, (_, names) in VENDORS.items() for name in names.split()]


class Outcome(NamedTuple):
    """What a run made of one model."""

    refused: int
    rows: int
    calls: int


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_KEY", vendors.KEY)


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[list[str]]:
    """The table of outcomes, printed at the end."""
    lines: list[str] = []
    yield lines
    print("\n| model | refused | rows | calls |\n|---|--:|--:|--:|")
    print("\n".join(lines))


def planned(folder: Path, url: str, model: str, **settings: Any) -> Plan:
    provider = model.partition("/")[0]
    role = {"model": model, "base_url": vendors.path_of(provider, url), "api_key": "STAND_IN_KEY"}
    write_seeds(folder, 2)
    tree: dict[str, Any] = {
        "seeds": str(folder / "seeds.jsonl"),
        "out": str(folder / "run"),
        "strong": role | settings,
        "target": {"model": "scripted/target"},
        "decode": {"per_metadata": 2},
        "filter": {"max_iterations": 2},
        "cache": {"folder": str(folder / "cache")},
    }
    plan = prepare(build_config(tree, where="test"), where="test")
    plan.folder.make()
    return plan


async def outcome(server: Server, folder: Path, model: str, **settings: Any) -> Outcome:
    """Run *model* against *server*, its vendor's stand-in."""
    statuses = Counter[int]()
    always = vendors.serve(VENDORS[model.partition("/")[0]][0])

    def counted(asked: ReceivedRequest) -> Say:
        answer = always(asked)
        statuses[int(answer.data[9:12])] += 1
        return answer

    async def watch(_: Session) -> None:
        return

    server.always = counted
    plan = await anyio.to_thread.run_sync(lambda: planned(folder, server.url, model, **settings))
    await execute(plan, watch=watch)
    rows = await anyio.to_thread.run_sync(lambda: rows_of(plan))
    return Outcome(statuses.total() - statuses[200], rows, statuses.total())


def rows_of(plan: Plan) -> int:
    with LedgerReader(plan.folder.ledger) as ledger:
        return sum(1 for _ in ledger.kept(None))


@pytest.mark.parametrize(("provider", "name"), MODELS, ids=[name for _, name in MODELS])
async def test_a_model_sold_today_is_accepted_with_our_defaults_and_rows_are_made(
    server: Server, tmp_path: Path, table: list[str], provider: str, name: str
) -> None:
    seed = {"seed": 7} if provider in {"mistral", "xai"} else {}

    made = await outcome(server, tmp_path, f"{provider}/{name}", **seed)

    table.append(f"| `{provider}/{name}` | {made.refused} | {made.rows} | {made.calls} |")
    assert made.refused == 0
    assert made.rows > 0


@pytest.mark.parametrize(
    ("model", "extra"),
    [
        ("openai/gpt-6-sol", {"temperature": 0.7}),
        ("openai/gpt-6-sol", {"max_tokens": 2048}),
        ("openai/gpt-6-sol", {"top_k": 5}),
        ("anthropic/claude-opus-5-5", {"temperature": 0.7}),
        ("anthropic/claude-haiku-4-5", {"top_p": 0.9}),
        ("gemini/gemini-3.8-flash", {"generationConfig": {"random": 1}}),
        ("mistral/mistral-large-4", {"seed": 1}),
        ("moonshot/kimi-k3", {"temperature": 0.7}),
    ],
)
async def test_the_stand_ins_refuse_what_vendors_refuse(
    server: Server, tmp_path: Path, model: str, extra: dict[str, Any]
) -> None:
    """Else their consent would prove nothing."""
    made = await outcome(server, tmp_path, model, extra=extra)

    assert made.refused > 0
    assert made.rows == 0


async def test_thoughts_that_fill_the_usual_limit_are_why_thinking_models_have_another(
    server: Server, tmp_path: Path
) -> None:
    made = await outcome(server, tmp_path, "openai/gpt-6-sol", max_tokens=2048)

    assert (made.refused, made.rows) == (0, 0)
