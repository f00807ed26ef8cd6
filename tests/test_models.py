"""The table of models: whom it knows, and what it decides about sampling."""

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.config import (
    ConfigError,
    JudgeConfig,
    RoleConfig,
    build_table,
    check_role,
    is_streamed,
    retirement,
    sampling_settings,
)
from codeclm.engine.config.sampling import MAX_TOKENS, THINKING_MAX_TOKENS
from codeclm.providers.hosts import HOSTS
from codeclm.providers.models import find_model, model_table

from .commands import codeclm, write_seeds

HOST_NAMES = {host.name for host in HOSTS}


def role(model: str, **settings: Any) -> RoleConfig:
    return build_table(RoleConfig, {"model": model, **settings}, where="role")


# -- the table --------------------------------------------------------------------------------


def test_every_row_is_of_a_host_and_has_a_name_of_its_own() -> None:
    rows = model_table().models
    names = [(row.provider, row.name) for row in rows]

    assert len(set(names)) == len(names)
    assert {row.provider for row in rows} <= HOST_NAMES


@pytest.mark.parametrize("row", model_table().models, ids=lambda row: f"{row.provider}/{row.name}")
def test_every_row_is_found_by_its_name_and_makes_sense(row: Any) -> None:
    assert find_model(row.provider, row.name.removesuffix("*")) == row or row.is_family
    if not row.is_family:
        assert row.price_output >= row.price_input > 0
        assert row.price_cached is None or row.price_cached <= row.price_input
        assert row.batch_factor is None or 0 < row.batch_factor <= 1


@pytest.mark.parametrize(
    ("provider", "name", "row", "has_price"),
    [
        ("openai", "gpt-5.5-2026-04-23", "gpt-5.5", True),
        ("openai", "GPT-6-Luna", "gpt-6-luna", True),
        ("openai", "gpt-6.2-astra", "gpt-6*", False),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::x1", "gpt-4.1-mini", False),
        ("azure", "gpt-5.5", "gpt-5.5", False),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5", True),
        ("anthropic", "claude-opus-9", "claude*", False),
        ("openrouter", "anthropic/claude-opus-4.8", "claude-opus-4-8", False),
        ("bedrock", "us.anthropic.claude-opus-4-8-v1:0", "claude-opus-4-8", False),
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash", True),
        ("vertex", "google/gemini-3.8-flash", "gemini-3.8-flash", False),
    ],
)
def test_a_name_finds_its_row_however_it_is_spelt(
    provider: str, name: str, row: str, has_price: bool
) -> None:
    known = find_model(provider, name)

    assert known is not None
    assert (known.name, known.price_input is not None) == (row, has_price)


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "llama-3"),
        ("openai", "gpt-oss-20b-of-mine"),
        ("vllm", "meta-llama/Llama-3.2-3B-Instruct"),
        ("vllm", "my-gpt-5-distilled"),
        ("local", "smollm2"),
        ("scripted", "strong"),
    ],
)
def test_other_models_have_no_row(provider: str, name: str) -> None:
    assert find_model(provider, name) is None


@given(st.sampled_from(sorted(HOST_NAMES)), st.text(max_size=40))
def test_no_name_breaks_the_lookup(provider: str, name: str) -> None:
    known = find_model(provider, name)

    assert known is None or known in model_table().models or known.price_input is None


# -- what it decides --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "temperature", "max_tokens"),
    [
        ("openai/gpt-4.1", {}, 0.7, MAX_TOKENS),
        ("openai/gpt-5.4", {}, 0.7, MAX_TOKENS),
        ("openai/gpt-5.4", {"extra": {"reasoning_effort": "high"}}, None, THINKING_MAX_TOKENS),
        ("openai/gpt-6-sol", {}, None, THINKING_MAX_TOKENS),
        ("openai/gpt-6-sol", {"extra": {"reasoning_effort": "none"}}, 0.7, MAX_TOKENS),
        ("openai/gpt-6-sol", {"extra": {"reasoning": {"effort": "none"}}}, 0.7, MAX_TOKENS),
        ("openai/o3", {}, None, THINKING_MAX_TOKENS),
        ("openai/gpt-6-sol", {"temperature": 1, "max_tokens": 500}, 1, 500),
        ("openai/gpt-6-sol", {"temperature": "default", "max_tokens": "default"}, None, None),
        ("openai/my-model", {}, 0.7, MAX_TOKENS),
        ("openai/my-model", {"temperature": "default"}, None, MAX_TOKENS),
        ("openai/my-model", {"temperature": None, "max_tokens": None}, None, None),
        ("anthropic/claude-haiku-4-5", {}, 0.7, MAX_TOKENS),
        ("anthropic/claude-haiku-4-5", {"top_p": 0.9}, None, MAX_TOKENS),
        (
            "anthropic/claude-sonnet-4-6",
            {"extra": {"thinking": {"type": "adaptive"}}},
            None,
            THINKING_MAX_TOKENS,
        ),
        ("anthropic/claude-opus-4-8", {}, None, MAX_TOKENS),
        ("anthropic/claude-opus-5-5", {}, None, THINKING_MAX_TOKENS),
        ("gemini/gemini-2.5-flash", {}, 0.7, THINKING_MAX_TOKENS),
        ("gemini/gemini-3.8-flash", {}, None, THINKING_MAX_TOKENS),
        ("gemini/gemini-3.8-flash", {"temperature": 0.5}, 0.5, THINKING_MAX_TOKENS),
        ("scripted/strong", {}, 0.7, MAX_TOKENS),
    ],
)
def test_the_table_decides_what_the_user_does_not(
    model: str, settings: dict[str, Any], temperature: float | None, max_tokens: int | None
) -> None:
    sampling = sampling_settings(role(model, **settings))

    assert (sampling.temperature, sampling.max_tokens) == (temperature, max_tokens)


@pytest.mark.parametrize(
    ("model", "settings", "streams"),
    [
        ("openai/gpt-4.1", {}, False),
        ("openai/gpt-4.1", {"stream": True}, True),
        ("openai/o3", {}, True),
        ("openai/o3", {"stream": False}, False),
        ("openai/gpt-6-sol", {"extra": {"reasoning_effort": "none"}}, False),
        ("anthropic/claude-opus-5-5", {}, True),
        ("anthropic/claude-sonnet-4-6", {"extra": {"thinking": {"type": "adaptive"}}}, True),
        ("openai/unheard-of", {}, False),
        ("scripted/strong", {}, False),
    ],
)
def test_models_that_think_are_streamed(
    model: str, settings: dict[str, Any], streams: bool
) -> None:
    assert is_streamed(role(model, **settings)) is streams


def test_the_judge_scores_at_temperature_0_where_its_model_takes_one() -> None:
    assert sampling_settings(JudgeConfig(model="openai/gpt-4.1")).temperature == 0.0
    assert sampling_settings(JudgeConfig(model="openai/gpt-6-sol")).temperature is None


@pytest.mark.parametrize(
    ("model", "settings", "complaint"),
    [
        (
            "openai/gpt-6-sol",
            {"temperature": 0.7},
            "temperature: openai/gpt-6-sol takes no temperature but its own while it thinks: ",
        ),
        ("openai/o3", {"top_p": 0.5}, "top_p: openai/o3 takes no top_p but its own: remove it"),
        (
            "anthropic/claude-opus-4-8",
            {"temperature": 0},
            "temperature: anthropic/claude-opus-4-8 takes no temperature but its own: remove it",
        ),
        (
            "anthropic/claude-haiku-4-5",
            {"temperature": 0.5, "top_p": 0.5},
            "top_p: anthropic/claude-haiku-4-5 takes temperature or top_p, not both: remove one",
        ),
        (
            "openai/gpt-4o",
            {"max_tokens": 20_000},
            "max_tokens: openai/gpt-4o writes at most 16,384 tokens, got 20,000",
        ),
    ],
)
def test_what_the_model_refuses_is_refused_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch, model: str, settings: dict[str, Any], complaint: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")

    with pytest.raises(ConfigError) as caught:
        check_role(role(model, **settings), "strong")

    assert str(caught.value).startswith(f"strong.{complaint}")


@pytest.mark.parametrize("value", ["null", "none", "warm"])
def test_text_that_is_no_temperature_is_answered_with_what_is(value: str) -> None:
    with pytest.raises(ConfigError, match=r'temperature: must be a number or "default", got'):
        role("openai/gpt-4.1", temperature=value)


@pytest.mark.parametrize(
    ("today", "notice"),
    [
        (date(2026, 9, 1), None),
        (date(2026, 10, 1), "anthropic/claude-sonnet-4-5 will be shut down on 2026-11-30"),
        (date(2026, 11, 30), "anthropic/claude-sonnet-4-5 was shut down on 2026-11-30"),
    ],
)
def test_a_model_s_last_day_is_told_sixty_days_before(today: date, notice: str | None) -> None:
    assert retirement(role("anthropic/claude-sonnet-4-5"), today) == notice


# -- as users meet it -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_parameter_that_is_not_sent_stays_so_when_the_run_is_resumed(
    tmp_path: Path, suffix: str
) -> None:
    write_seeds(tmp_path, 2)
    settings: dict[str, Any] = {
        "seeds": "seeds.jsonl",
        "out": "run",
        "strong": {"model": "scripted/strong", "temperature": None, "max_tokens": None},
        "target": {"model": "scripted/target"},
    }
    toml = (
        'seeds = "seeds.jsonl"\nout = "run"\ntarget.model = "scripted/target"\n'
        '[strong]\nmodel = "scripted/strong"\ntemperature = "default"\nmax_tokens = "default"\n'
    )
    text = json.dumps(settings) if suffix == "json" else toml
    (tmp_path / f"my.{suffix}").write_text(text)

    done = codeclm("run", f"my.{suffix}", cwd=tmp_path)
    again = codeclm("resume", "run", cwd=tmp_path)

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    kept = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert kept["strong"] == {
        "model": "scripted/strong",
        "temperature": "default",
        "max_tokens": "default",
    }
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    roles = manifest["settings"]
    assert (roles["strong"]["temperature"], roles["judge"]["temperature"]) == ("default", "default")


def test_a_model_s_row_is_printed_with_the_table_s_date(tmp_path: Path) -> None:
    done = codeclm("models", "openai/gpt-6-sol", cwd=tmp_path)

    assert done.returncode == 0
    assert "price        input 2, cached 0.2, written 2.5, output 10\n" in done.stdout
    assert "temperature  taken at reasoning effort none only\n" in done.stdout
    assert f"as of {model_table().date}" in done.stdout
    as_json = json.loads(codeclm("models", "gpt-6-sol", "--json", cwd=tmp_path).stdout)
    assert as_json["date"] == str(model_table().date)
    assert [row["name"] for row in as_json["models"]] == ["gpt-6-sol"]


def test_all_models_are_listed_and_one_that_is_unknown_says_what_follows(tmp_path: Path) -> None:
    everything = codeclm("models", cwd=tmp_path)
    unknown = codeclm("models", "vllm/my-model", cwd=tmp_path)

    named = [row for row in model_table().models if not row.is_family]
    assert len(everything.stdout.splitlines()) == len(named) + 1
    assert unknown.returncode == 2
    assert "vllm/my-model: not in the table of" in unknown.stderr
