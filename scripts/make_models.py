"""Make ``providers/models.json``: what is known of the models that vendors sell.

    pip download --no-deps litellm && unzip litellm-*.whl 'litellm/model_prices*'
    pip install genai-prices
    python scripts/make_models.py litellm/model_prices_and_context_window_backup.json VERSION

Facts come from litellm's table (MIT). genai-prices (MIT), where it is installed, adds prices of
models that litellm lacks; prices on which the two disagree are listed on stderr, and litellm's are
taken. What neither says is written down here, each with its source.
"""

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "providers" / "models.json"

VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "mistral": "mistral",
    "xai": "xai",
    "deepseek": "deepseek",
    "groq": "groq",
    "cerebras": "cerebras",
    "moonshot": "moonshot",
    "zai": "zai",
    "minimax": "minimax",
    "dashscope": "dashscope",
    "cohere_chat": "cohere",
}
"""litellm's provider → our host."""

GENAI_PRICES = {"anthropic": "anthropic", "openai": "openai", "x-ai": "xai"}
"""genai-prices' provider → our host, for models that litellm lacks."""

NOT_CHAT = re.compile(
    r"audio|tts|search-(?:api|preview)|deep-research|computer-use|robotics|lyria|container"
    r"|omni|learnlm|-exp-|experimental|-beta|multi-agent|-gv2|guard|voxtral|ocr|customtools|vision"
    r"|vibe-cli|live|realtime|image|embed|^ft:"
)

SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")

FAMILIES: list[dict[str, Any]] = [
    # OpenAI's reasoning guide: temperature and top_p only at reasoning effort none.
    *(
        {"provider": "openai", "name": f"gpt-{n}*", "temperature": "without_effort", "thinks": True}
        for n in range(5, 10)
    ),
    *(
        {"provider": "openai", "name": f"o{n}*", "temperature": "refuses", "thinks": True}
        for n in (1, 3, 4)
    ),
    # platform.claude.com, "Sampling parameters": refused since Opus 4.7 and by all later models.
    {"provider": "anthropic", "name": "claude*", "temperature": "refuses", "thinks": True},
    {"provider": "anthropic", "name": "claude-3*"},
    *({"provider": "anthropic", "name": f"claude-opus-4-{n}*"} for n in (0, 1, 2, 5, 6)),
    {"provider": "anthropic", "name": "claude-sonnet-4*"},
    {"provider": "anthropic", "name": "claude-haiku-4*"},
    # ai.google.dev, models from 3.6 on: temperature, topP and topK are ignored.
    {"provider": "gemini", "name": "gemini*", "temperature": "ignores", "thinks": True},
    # platform.moonshot.ai: kimi-k2.5 and later take one temperature only, their own.
    {"provider": "moonshot", "name": "kimi*", "temperature": "refuses", "thinks": True},
]

CLAUDE_EFFORT = {"claude-opus-5-5": "medium"}
"""platform.claude.com's model pages; the other models that think by default: high."""

HYBRIDS = {"gemini-2.5-flash-lite"}
"""Models that think only when they are told to, where litellm does not say so."""


def main(path: Path, version: str) -> None:
    table = json.loads(path.read_text())
    by_name = {(row["provider"], row["name"]): row for row in _rows(table)}
    rows = [row for row in by_name.values() if not _is_repeated(row, by_name)]
    sources = [f"litellm {version} (MIT)", *_add_prices(rows)]
    rows.sort(key=lambda row: (list(VENDORS.values()).index(row["provider"]), row["name"]))
    head = {"date": datetime.now(UTC).date().isoformat(), "sources": sources}
    lines = ",\n".join("    " + json.dumps(row) for row in [*rows, *FAMILIES])
    start = json.dumps(head, indent=2).removesuffix("\n}")
    TARGET.write_text(f'{start},\n  "models": [\n{lines}\n  ]\n}}\n')
    print(f"{TARGET}: {len(rows)} models, {len(FAMILIES)} families")


def _rows(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    dates = _snapshot_dates(table)
    for key, facts in table.items():
        provider = VENDORS.get(facts.get("litellm_provider", ""))
        if provider is None or facts.get("mode") not in {"chat", "responses"}:
            continue
        name = key.removeprefix(f"{facts['litellm_provider']}/").removeprefix(f"{provider}/")
        if NOT_CHAT.search(name) or not facts.get("input_cost_per_token"):
            continue
        row = {"provider": provider, "name": name, **_prices(facts)}
        row |= {
            "context": facts.get("max_input_tokens"),
            "longest_output": facts.get("max_output_tokens"),
            "temperature": _temperature(provider, name, facts),
            "effort": _effort(provider, name, facts),
            "thinks": _thinks(provider, name, facts),
            "api": "responses" if facts["mode"] == "responses" else None,
            "retires": facts.get("deprecation_date") or dates.get(name),
        }
        yield {field: value for field, value in row.items() if value not in {None, False}}


def _is_repeated(row: dict[str, Any], rows: dict[tuple[str, str], dict[str, Any]]) -> bool:
    """Whether *row* is a dated snapshot of which its alias's row says the same."""
    alias = rows.get((row["provider"], SNAPSHOT.sub("", row["name"])), row)
    return alias is not row and alias | {"name": row["name"]} == row


def _prices(facts: dict[str, Any]) -> dict[str, float]:
    costs = {
        "price_input": "input_cost_per_token",
        "price_cached": "cache_read_input_token_cost",
        "price_written": "cache_creation_input_token_cost",
        "price_output": "output_cost_per_token",
    }
    prices = {
        field: round(facts[cost] * 1e6, 6) for field, cost in costs.items() if facts.get(cost)
    }
    batch = facts.get("input_cost_per_token_batches")
    if batch:
        prices["batch_factor"] = round(batch / facts["input_cost_per_token"], 3)
    return prices


def _temperature(provider: str, name: str, facts: dict[str, Any]) -> str | None:
    """Return what becomes of a temperature; None: the model takes it."""
    if provider == "openai" and facts.get("supports_reasoning"):
        can_stop = facts.get("supports_none_reasoning_effort")
        return "without_effort" if can_stop else "refuses"
    if provider == "gemini" and (match := re.match(r"gemini-(\d+(?:\.\d+)?)", name)):
        ignored = facts.get("supports_sampling_params") is False or float(match[1]) >= 3.6
        return "ignores" if ignored else None
    if provider == "moonshot" and facts.get("supports_reasoning"):
        return "refuses"
    return "refuses" if facts.get("supports_sampling_params") is False else None


def _effort(provider: str, name: str, facts: dict[str, Any]) -> str | None:
    """Return the reasoning effort where a request names none."""
    if provider == "openai" and facts.get("supports_reasoning") and "-pro" not in name:
        return facts.get("default_reasoning_effort") or "medium"  # OpenAI's reasoning guide
    if provider == "anthropic" and _thinks(provider, name, facts):
        return CLAUDE_EFFORT.get(name, "high")
    return facts.get("default_reasoning_effort")


def _thinks(provider: str, name: str, facts: dict[str, Any]) -> bool:
    """Whether the model thinks before it answers, unless it is told not to."""
    if not facts.get("supports_reasoning") or name in HYBRIDS or "non-reasoning" in name:
        return False
    if provider == "anthropic":
        return not re.match(r"claude-(?:opus|sonnet|haiku)-4", name)
    if "none" in (facts.get("reasoning_effort_levels") or ()):
        return False
    return facts.get("default_reasoning_effort") != "none"


def _snapshot_dates(table: dict[str, Any]) -> dict[str, str]:
    """Return when each alias's newest snapshot retires: the alias does not outlive it."""
    newest: dict[str, tuple[str, str]] = {}
    for key, facts in table.items():
        if facts.get("litellm_provider") not in VENDORS:
            continue
        if match := SNAPSHOT.search(key):
            alias, day = key[: match.start()], match[1]
            newest[alias] = max(
                newest.get(alias, ("", "")), (day, facts.get("deprecation_date") or "")
            )
    return {alias: retires for alias, (_, retires) in newest.items() if retires}


def _add_prices(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Add models that only genai-prices has, with its prices; yield it as a source."""
    try:
        from genai_prices.data import providers
    except ImportError:
        return
    from importlib.metadata import version

    ours = {(row["provider"], row["name"]): row for row in rows}
    for vendor in providers:
        provider = GENAI_PRICES.get(vendor.id)
        for model in vendor.models if provider else ():
            row = _priced(provider, model)
            ours_row = ours.get((row["provider"], row["name"]))
            if ours_row is None and not NOT_CHAT.search(model.id) and _is_current(model.id):
                rows.append(_as_family(row))
            elif ours_row and ours_row.get("price_output") != row.get("price_output"):
                print(f"{model.id}: {ours_row} here, {row} in genai-prices", file=sys.stderr)
    yield f"genai-prices {version('genai-prices')} (MIT)"


def _is_current(name: str) -> bool:
    return bool(re.match(r"gpt-[6-9]|claude-[a-z]+-[5-9]|grok-[5-9]", name))


def _priced(provider: str | None, model: Any) -> dict[str, Any]:
    prices = model.prices
    if isinstance(prices, list):  # by date: the last that is in force
        now = datetime.now(UTC)
        in_force = (p for p in reversed(prices) if not p.constraint or p.constraint.active(now))
        prices = next(in_force).prices
    row: dict[str, Any] = {"provider": provider, "name": model.id}
    for field, attribute in (
        ("price_input", "input_mtok"),
        ("price_cached", "cache_read_mtok"),
        ("price_written", "cache_write_mtok"),
        ("price_output", "output_mtok"),
    ):
        price = getattr(prices, attribute)
        if price is not None:
            row[field] = float(getattr(price, "base", price))
    return row | ({"context": model.context_window} if model.context_window else {})


def _as_family(row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* with what its family is known to do."""
    families = [f for f in FAMILIES if f["provider"] == row["provider"]]
    fits = [f for f in families if row["name"].startswith(f["name"].removesuffix("*"))]
    family = max(fits, key=lambda family: len(family["name"]), default={})
    return row | {k: v for k, v in family.items() if k not in {"provider", "name"}}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
