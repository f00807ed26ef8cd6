import json
import re
import socket
import threading
import tomllib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from codeclm.engine.config import (
    TEMPLATE,
    Config,
    ConfigError,
    RoleConfig,
    api_key,
    base_url,
    build_config,
    load_config,
    sampling_settings,
    to_toml,
)
from codeclm.engine.pipeline.recipes import recipe_of

from .commands import codeclm

MODELS: dict[str, Any] = {
    "seeds": "seeds.jsonl",
    "strong": {"model": "scripted/strong"},
    "target": {"model": "scripted/target"},
}
SECRET = "sk-proj-4f8c21d9a7e6b305"


def settings_from(tree: dict[str, Any] | None = None, *overrides: str) -> Config:
    return build_config({**MODELS, **(tree or {})}, overrides, where="run.toml")


def complaint(tree: dict[str, Any] | None = None, *overrides: str) -> str:
    """Return what is said of settings that are refused, by themselves or by their recipe."""
    with pytest.raises(ConfigError) as caught:
        checked(settings_from(tree, *overrides))
    return str(caught.value)


def checked(config: Config) -> Config:
    recipe_of(config, "run.toml").check(config, "run.toml")
    return config


# -- the template -----------------------------------------------------------------------------

_SETTING = re.compile(r"^# (?=\[?[a-z_.]+\]?(?: = |$| +#))")


def template() -> dict[str, Any]:
    """What `codeclm init` writes, with everything in force."""
    text = TEMPLATE.read_text("utf-8")
    return tomllib.loads("\n".join(_SETTING.sub("", line) for line in text.splitlines()))


def names(table: type[Struct], under: str = "") -> Iterator[str]:
    for f in msgspec.structs.fields(table):
        if isinstance(f.type, type) and issubclass(f.type, Struct):
            yield from names(f.type, f"{under}{f.name}.")
        else:
            yield f"{under}{f.name}"


def flat(tree: dict[str, Any], under: str = "") -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and f"{under}{name}" in TABLES:
            settings |= flat(value, f"{under}{name}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            settings[f"{under}{name}"] = value
    return settings


TABLES = {"strong", "target", "judge"} | {name.partition(".")[0] for name in names(Config)}


def test_the_template_names_every_setting_there_is() -> None:
    """The target and the judges take the settings of the strong model, which are all there."""
    written = set(flat(template()))
    required = {name for name in names(Config) if not name.startswith(("target.", "judge"))}

    assert required - written == set()


def test_every_default_in_the_template_is_the_default() -> None:
    """Where there is none, or a run can't do without, an example stands."""
    defaults = {
        name: value
        for name, value in flat(_all_of(Config())).items()
        if value not in (None, "", {}) and name != "seeds"
    }
    written = flat(template())

    assert {name: written[name] for name in defaults if name in written} == {
        name: value for name, value in defaults.items() if name in written
    }


def _all_of(table: Struct) -> dict[str, Any]:
    values = {name: getattr(table, name) for name in table.__struct_fields__}
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}  # pyright: ignore[reportUnknownArgumentType]
    return {k: _all_of(v) if isinstance(v, Struct) else v for k, v in values.items()}


def test_the_template_loads_with_everything_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    tree = template()
    del tree["input"]["template"]  # it stands instead of field
    del tree["strong"]["options"]  # they are for models in this process
    del tree["judges"]  # they stand instead of judge
    tree["target_rows"] = tree["decode"]["per_metadata"]

    assert isinstance(checked(build_config(tree, where="template.toml")), Config)


def test_the_template_as_it_is_written_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    path = tmp_path / "run.toml"
    path.write_bytes(TEMPLATE.read_bytes())
    settings = checked(load_config(path))

    assert settings == Config(
        seeds="seeds.jsonl",
        strong=RoleConfig(model="openai/gpt-6-luna"),
        target=RoleConfig(model="ollama/llama3.2"),
    )


# -- complaints -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"sedes": 1}, "sedes: unknown setting; did you mean seeds?"),
        ({"strong": {"modle": "x"}}, "strong.modle: unknown setting; did you mean model?"),
        ({"judge": {"temprature": 1}}, "judge.temprature: unknown setting; did you mean temp"),
        ({"filter": {"margn": 3}}, "filter.margn: unknown setting; available: threshold, "),
        ({"filter": {"treshold": 3}}, "filter.treshold: unknown setting; did you mean threshold?"),
        ({"retry": {"attemps": 3}}, "retry.attemps: unknown setting; did you mean attempts?"),
        ({"cache": {"dir": "x"}}, "cache.dir: unknown setting; available: folder"),
        ({"threshold": 3}, "threshold: unknown setting; did you mean filter.threshold?"),
        ({"augment_to": 9}, "augment_to: unknown setting; did you mean metadata.augment_to?"),
        ({"size": {"max_candidates": 9}}, "size.max_candidates: unknown setting; did you mean max"),
        ({"decode": {"max_iteration": 9}}, "decode.max_iteration: unknown setting; did you mean f"),
        ({"strong": {"rpm": 9}}, "strong.rpm: unknown setting; it is called requests_per_minute"),
        ({"margin_threshold": 1}, "margin_threshold: unknown setting; it is called filter.thres"),
        ({"seed_field": "q"}, "seed_field: unknown setting; it is called input.field here"),
        (
            {"strong": {"model": "gpt-5"}},
            "strong.model: 'gpt-5' names no provider; write provider/model, such as openai/gpt-5",
        ),
        ({"max_cost": 5}, "max_cost: unknown setting; it is called budget.money here"),
        ({"n_iterations": 1}, "n_iterations: unknown setting; it is called filter.max_iterations"),
        ({"strong_model": "x"}, "strong_model: unknown setting; it is called strong.model here"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(
    tree: dict[str, Any], message: str
) -> None:
    assert complaint(tree).startswith(f"run.toml: {message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filter.threshold='x'", "filter.threshold: must be a number, got 'x'"),
        ("filter.threshold=11", "filter.threshold: must be a number ≤ 10, got 11"),
        ("filter.threshold=-1", "filter.threshold: must be a number ≥ 0, got -1"),
        ("filter.max_iterations=0", "filter.max_iterations: must be an integer ≥ 1, got 0"),
        ("filter.max_iterations=2.5", "filter.max_iterations: must be an integer, got 2.5"),
        ("filter.filter_basic=1", "filter.filter_basic: must be true or false, got 1"),
        ("filter.leftover='keep'", "filter.leftover: must be one of drop, keep_strong, got 'keep'"),
        ("strong.transport=fast", "strong.transport: must be one of aiohttp, lean, got 'fast'"),
        ("quality.near_duplicates=x", "quality.near_duplicates: must be one of minhash, off, ro"),
        ("input.format=xls", "input.format: must be one of arrow, csv, json, jsonl, parq"),
        ("quality.languages=en", 'quality.languages: must be a list, as in ["en"]'),
        ("metadata.skills=3", "metadata.skills: must be a list, as in [3]"),
        ("strong.temperature=3", "strong.temperature: must be a number ≤ 2, got 3"),
        ("strong.max_concurrent=0", "strong.max_concurrent: must be an integer ≥ 1, got 0"),
        ("strong.requests_per_minute=0", "strong.requests_per_minute: must be a number > 0, got 0"),
        ("strong.extra=3", "strong.extra: must be a table"),
        ("strong=3", "strong: must be a table, got 3"),
        ("target_rows=0", "target_rows: must be an integer ≥ 1, got 0"),
        ("retry.attempts=0", "retry.attempts: must be an integer ≥ 1, got 0"),
        ("size.max_expansion=0.5", "size.max_expansion: must be a number ≥ 1, got 0.5"),
        ("decode.chunk=51", "decode.chunk: must be an integer ≤ 50, got 51"),
        (
            "export=['csv']",
            "export: unknown export format 'csv': available: alpaca, sharegpt, messages, p",
        ),
        ("strong.model=''", "strong.model: must not be empty"),
        ("strong.api_key=['sk-secret']", "strong.api_key: must be text"),
        ("strong.model='gpt'", "strong.model: "),
        ("strong.model='nobody/gpt'", "strong.model: "),
        ("strong.extra={top_k=inf}", "strong.extra: null, inf and nan cannot be written"),
        ("seeds='\udcff'", "'\\udcff' is not UTF-8: rename what holds it"),
        ("strong.price_input=1", "strong: price_input and price_output: set both or neither"),
    ],
)
def test_a_wrong_type_or_range_names_the_key(override: str, message: str) -> None:
    assert complaint(None, override).startswith(f"run.toml: {message}")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"seeds": []}, "seeds: missing: name a file, or set metadata.file"),
        ({"target": {}}, "target.model: missing: write provider/model"),
        (
            {"input": {"field": "a", "template": "{a}"}},
            "input.field and input.template: set only one",
        ),
        (
            {"target_rows": 9, "max_candidates": 8},
            "max_candidates: must not be less than target_rows",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tree: dict[str, Any], message: str) -> None:
    assert complaint(tree).startswith(f"run.toml: {message}")


@pytest.mark.parametrize(
    "base_url", ["localhost:8000/v1", "ftp://host/v1", "//host/v1", "host", "file:///etc/passwd"]
)
def test_a_base_url_that_is_no_http_address_is_refused(base_url: str) -> None:
    message = complaint({"strong": {"model": "some-model", "base_url": base_url}})

    assert message == f"run.toml: strong.base_url: must be an http(s) address, got {base_url!r}"


# -- keys -------------------------------------------------------------------------------------


def test_a_missing_key_is_named_by_its_variable() -> None:
    message = complaint({"strong": {"model": "openai/gpt-4.1"}})

    assert message.startswith("run.toml: strong.api_key: ")
    assert "OPENAI_API_KEY" in message


def test_a_missing_key_of_one_s_own_is_named_by_its_variable() -> None:
    message = complaint({"strong": {"model": "openai/gpt-4.1", "api_key": "TEAM_KEY"}})

    assert message == "run.toml: strong.api_key: the environment variable TEAM_KEY is not set"


@pytest.mark.parametrize(
    "key", [SECRET, "AKIAIOSFODNN7EXAMPLE/x", "gsk_abc123", "0123456789abcdef", "a b"]
)
def test_a_key_written_where_its_variable_s_name_belongs_is_never_repeated(key: str) -> None:
    message = complaint({"strong": {"model": "openai/gpt-4.1", "api_key": key}})

    assert key not in message
    assert "must be the NAME of an environment variable" in message


def test_the_key_comes_from_the_variable_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", f" {SECRET} \n")
    settings = settings_from({"strong": {"model": "openai/gpt-4.1", "api_key": "TEAM_KEY"}})

    assert api_key(settings.strong) == SECRET
    assert SECRET not in to_toml(settings)
    assert SECRET not in repr(settings)


def test_a_server_of_ones_own_needs_no_key() -> None:
    settings = settings_from({"strong": {"model": "qwen", "base_url": "http://localhost:8000/v1/"}})

    assert api_key(settings.strong) is None
    assert base_url(settings.strong) == "http://localhost:8000/v1"


# -- what is read -----------------------------------------------------------------------------


def test_toml_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    tree = {**MODELS, "filter": {"threshold": 2.5}, "export": ["sharegpt"]}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    (tmp_path / "a.yaml").write_text(
        "seeds: seeds.jsonl\nstrong: {model: scripted/strong}\ntarget:\n  model: scripted/target\n"
        "filter:\n  threshold: 2.5\nexport: [sharegpt]\n"
    )
    (tmp_path / "a.toml").write_text(to_toml(settings_from(tree)))
    read = [load_config(tmp_path / f"a.{suffix}") for suffix in ("json", "yaml", "toml")]

    assert read == [settings_from(tree)] * 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "seeds = ", "Invalid value (at end of document)"),
        ("a.toml", "seeds = 1\nseeds = 2\n", "Cannot overwrite a value (at line 2, column 10)"),
        ("a.json", "{", "Expecting property name enclosed in double quotes: line 1 column 2"),
        ("a.json", "[1]", "must be a table of settings"),
        ("a.yaml", "a: [", "while parsing a flow node"),
        ("a.yaml", "3", "must be a table of settings"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_bytes_that_are_no_text_are_a_complaint(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"seeds = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path)


def test_set_reads_its_value_as_toml_or_else_as_words() -> None:
    settings = settings_from(
        None,
        "filter.threshold=2",
        "out=runs/a b",
        'strong.extra={top_k=5,stop=["a"]}',
        "export=['messages']",
        "target.temperature = 0.1",
    )

    assert (settings.filter.threshold, settings.out) == (2.0, "runs/a b")
    assert settings.strong.extra == {"top_k": 5, "stop": ["a"]}
    assert (settings.export, settings.target.temperature) == (("messages",), 0.1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filter", "--set filter: write key=value, as in filter.threshold=2.5"),
        ("=3", "--set =3: write key=value"),
        ("out.x=3", "--set out.x=3: out is not a table"),
        ("filter.x=3", "run.toml: filter.x: unknown setting"),
    ],
)
def test_set_complains_in_its_own_words(override: str, message: str) -> None:
    assert complaint({"out": "there"}, override).startswith(message)


# TOML has no lone surrogates and no integers beyond 64 bits.
words = st.text(st.characters(codec="utf-8"))
extras = st.dictionaries(
    words,
    st.recursive(
        st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | words
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@given(extra=extras, headers=st.dictionaries(words, words, max_size=2), seeds=words.filter(bool))
def test_a_run_s_own_copy_reads_back_as_what_was_run(
    extra: dict[str, Any], headers: dict[str, str], seeds: str
) -> None:
    settings = settings_from({"seeds": [seeds], "strong": {"model": "scripted/a", "extra": extra}})
    settings = msgspec.structs.replace(
        settings, target=msgspec.structs.replace(settings.target, headers=headers)
    )

    assert msgspec.convert(tomllib.loads(to_toml(settings)), Config) == settings


def test_the_judge_is_the_strong_model_at_temperature_0() -> None:
    settings = settings_from(
        {"strong": {"model": "scripted/strong", "temperature": 0.9, "top_p": 0.5}}
    )

    assert settings.scorer.model == "scripted/strong"
    assert sampling_settings(settings.scorer).temperature == 0.0
    assert settings.scorer.top_p == 0.5


def test_what_is_said_of_the_judge_wins_over_the_strong_model() -> None:
    settings = settings_from({"judge": {"temperature": 0.3, "max_tokens": 16}})

    assert (settings.scorer.model, settings.scorer.temperature) == ("scripted/strong", 0.3)
    assert settings.scorer.max_tokens == 16


# -- through the command ----------------------------------------------------------------------


@contextmanager
def counting() -> Generator[tuple[str, list[int]]]:
    """Give a loopback address, and the connections that came in."""
    connections = list[int]()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                connections.append(1)
                connection.close()

        waiting = threading.Thread(target=accept, daemon=True)
        waiting.start()
        host, port = listening.getsockname()
        yield f"http://{host}:{port}/v1", connections
        listening.shutdown(socket.SHUT_RDWR)
        waiting.join()


@pytest.mark.parametrize(
    "line",
    [
        "sedes = 1",
        "filter.threshold = 11",
        "strong.temperature = 'warm'",
        f"target.api_key = '{SECRET}'",
        "target.api_key = 'NOT_SET_ANYWHERE'",
        "prompts = 'no such set'",
        "seeds = 'nowhere.jsonl'",
        "judge.model = 'local/no-such-file.gguf'",
        "target.options = { latency = 1 }",
        "metadata.file = 'nowhere.jsonl'",
        "seeds = ",
    ],
)
def test_each_wrong_configuration_is_one_line_and_status_2_before_any_request(
    line: str, tmp_path: Path
) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Say hello."}\n')
    with counting() as (url, connections):
        lines = ["seeds = 'seeds.jsonl'", "strong.model = 'm'", "target.model = 'm'"]
        lines += [f"strong.base_url = '{url}'", f"target.base_url = '{url}'"]
        key = line.partition(" = ")[0]
        lines = [setting for setting in lines if setting.partition(" = ")[0] != key]
        (tmp_path / "run.toml").write_text("\n".join([*lines, line]) + "\n")
        done = codeclm("run", "run.toml", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("codeclm: ")
    assert SECRET not in done.stderr
    assert connections == []


def test_dotenv_holds_keys_but_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Say hello."}\n')
    (tmp_path / ".env").write_text(f"TEAM_KEY={SECRET}\n")
    tail = ["--seeds", "seeds.jsonl", "--target", "scripted/target"]
    head = ["check", "--strong", "openai/gpt-4.1", "--set", "strong.api_key=TEAM_KEY"]
    with_file = codeclm(*head, *tail, cwd=tmp_path)
    emptied = codeclm(*head, *tail, cwd=tmp_path, TEAM_KEY="")

    assert (with_file.returncode, with_file.stderr) == (0, "")
    assert "no call was made" in with_file.stdout
    assert (emptied.returncode, "TEAM_KEY is not set" in emptied.stderr) == (2, True)


def test_a_share_needs_a_fixed_set_of_metadata() -> None:
    assert "metadata.share: needs a fixed set of metadata" in complaint(
        {"metadata": {"share": 0.5}, "seeds": "seeds.jsonl"}
    )
    assert settings_from(
        {"metadata": {"share": 0.5, "augment_to": 9}, "seeds": "seeds.jsonl"}
    ).metadata.part(9) == 5  # fmt: skip


def test_a_folder_in_place_of_a_file_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a folder; name a file of settings$"):
        load_config(tmp_path)
    (tmp_path / "config.toml").touch()
    with pytest.raises(ConfigError, match="a run's folder; to continue it: codeclm resume "):
        load_config(tmp_path)
