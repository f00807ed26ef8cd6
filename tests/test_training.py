"""The hand-over to trainers and the card; tuning itself where the extra ``train`` is installed."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.answers import read_answers
from codeclm.engine.data.formats import ExportError
from codeclm.engine.data.seeds import SeedError
from codeclm.engine.training.card import escaped, fenced
from codeclm.engine.training.hyperparameters import Hyperparameters
from codeclm.engine.training.pairs import Pair, Preference, read_pairs
from codeclm.engine.training.trainers import (
    TRAINERS,
    TrainingSetup,
    find_trainer,
    write_trainer_folder,
)
from codeclm.providers.transformers.alpaca import ALPACA, ALPACA_CHAT, alpaca

from . import tiny_model
from .commands import COMMAND, codeclm, environment, write_lines, write_seeds
from .viewing import embedded

KEYS: dict[str, Any] = json.loads((Path(__file__).parent / "trainer_keys.json").read_text("utf-8"))
TRAINER_NAMES = [trainer.name for trainer in TRAINERS]
PAIRS = [Pair("Tell me of {cats}.", "They purr."), Pair('Say "a"\n: b', "a\n\n")]
HOSTILE = "# Title [x](http://e.example) <img src=x> **b** ```\n---\n\x1b[31m"


PREFERENCES = [Preference(*pair, rejected=f"Not {pair.answer}") for pair in PAIRS]


def written(folder: Path, trainer: str, devices: int = 1, **how: Any) -> dict[str, Any]:
    setup = TrainingSetup("meta-llama/Llama-3.2-1B", devices, Hyperparameters(), **how)
    samples = PREFERENCES if setup.method == "dpo" else PAIRS
    assert write_trainer_folder(folder, find_trainer(trainer), setup, samples) == len(samples)
    config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    return config


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# -- files for trainers -----------------------------------------------------------------------


WAYS = [
    {"template": template, "lora": lora, "method": method}
    for template in ("alpaca", "chat")
    for lora in (False, True)
    for method in ("sft", "dpo")
]


@pytest.mark.parametrize("how", WAYS, ids=lambda how: "-".join(map(str, how.values())))
@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_a_config_says_only_what_its_trainer_knows(
    tmp_path: Path, trainer: str, how: dict[str, Any]
) -> None:
    config = written(tmp_path, trainer, **how)
    known = set(KEYS[trainer]["config"])
    if trainer != "axolotl":  # the others hand the rest to transformers
        known |= set(KEYS["transformers"]["config"])

    assert set(config) <= known


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_the_papers_settings_are_numbers_not_texts(tmp_path: Path, trainer: str) -> None:
    """YAML 1.1 reads 1e-05 as a text."""
    config = written(tmp_path, trainer)
    epochs = config["num_epochs" if trainer == "axolotl" else "num_train_epochs"]
    schedule = config["lr_scheduler" if trainer == "axolotl" else "lr_scheduler_type"]

    assert (config["learning_rate"], config["lr_scheduler_kwargs"]) == (
        1e-5,
        {"lr_end": 1e-6, "power": 1.0},
    )
    assert (epochs, schedule, config["warmup_steps"]) == (15, "polynomial", 0)
    assert (config["adam_beta1"], config["adam_beta2"], config["weight_decay"]) == (0.9, 0.95, 0.1)
    assert config["bf16"] is True


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_batch_is_64_on_any_number_of_devices(tmp_path: Path, trainer: str, devices: int) -> None:
    config = written(tmp_path, trainer, devices)
    at_once = config["micro_batch_size" if trainer == "axolotl" else "per_device_train_batch_size"]

    assert at_once * config["gradient_accumulation_steps"] * devices == 64


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_devices_that_cannot_share_a_batch_are_refused(tmp_path: Path, trainer: str) -> None:
    with pytest.raises(ExportError, match="cannot be shared by 3 device"):
        written(tmp_path, trainer, 3)


def test_an_unknown_trainer_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ExportError, match="'trlx': available: trl, axolotl, llama-factory"):
        find_trainer("trlx")


def test_trl_gets_the_prompt_as_it_is_trained(tmp_path: Path) -> None:
    config = written(tmp_path, "trl")

    assert lines(tmp_path / "train.jsonl")[0] == {
        "prompt": ALPACA.replace("{instruction}", "Tell me of {cats}."),
        "completion": "They purr.",
    }
    assert config["completion_only_loss"] is True
    assert set(config["datasets"][0]) <= set(KEYS["trl"]["dataset"])


def test_axolotl_puts_the_same_prompt_around_an_instruction(tmp_path: Path) -> None:
    [dataset] = written(tmp_path, "axolotl")["datasets"]
    prompt = dataset["type"]

    assert set(dataset) <= set(KEYS["axolotl"]["dataset"])
    assert set(prompt) <= set(KEYS["axolotl"]["type"])
    assert prompt["no_input_format"].format(instruction="Tell {me}.") == alpaca("Tell {me}.")
    assert lines(tmp_path / "train.jsonl")[1] == {"instruction": 'Say "a"\n: b', "output": "a\n\n"}


def test_llama_factory_finds_the_data_by_its_name(tmp_path: Path) -> None:
    config = written(tmp_path, "llama-factory")
    info = json.loads((tmp_path / "dataset_info.json").read_text("utf-8"))
    entry = info[config["dataset"]]

    assert set(entry) <= set(KEYS["llama-factory"]["dataset_info"])
    assert set(entry["columns"]) <= set(KEYS["llama-factory"]["columns"])
    assert (tmp_path / entry["file_name"]).exists()
    assert set(entry["columns"].values()) == set(lines(tmp_path / "train.jsonl")[0])


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_preferences_hold_both_answers_to_the_same_prompt(tmp_path: Path, trainer: str) -> None:
    for template in ("alpaca", "chat"):
        config = written(tmp_path, trainer, method="dpo", template=template)
        row = lines(tmp_path / "train.jsonl")[0]
        first, other = json.dumps(row["chosen"]), json.dumps(row["rejected"])

        assert ("They purr." in first, "Not They purr." in other) == (True, True)
        assert first.replace("They", "Not They") == other
        assert trainer == "trl" or "dpo" in {config.get("stage"), config.get("rl")}
        if trainer != "llama-factory":  # it has Alpaca's template itself
            assert (ALPACA[:30] in json.dumps(row)) == (template == "alpaca")
        assert 0.1 in {config.get(key) for key in ("beta", "rl_beta", "pref_beta")}


def test_a_chat_is_rows_of_turns_and_no_text_of_ours(tmp_path: Path) -> None:
    trl = written(tmp_path / "t", "trl", template="chat")
    written(tmp_path / "a", "axolotl", template="chat")
    factory = written(tmp_path / "l", "llama-factory", template="chat")
    question = {"role": "user", "content": "Tell me of {cats}."}
    answer = {"role": "assistant", "content": "They purr."}

    assert lines(tmp_path / "t" / "train.jsonl")[0] == {
        "prompt": [question],
        "completion": [answer],
    }
    assert lines(tmp_path / "a" / "train.jsonl")[0] == {"messages": [question, answer]}
    assert trl["completion_only_loss"] is True
    assert "template" not in factory


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_an_adapter_learns_ten_times_as_fast(run: Path, trainer: str) -> None:
    for name, flags in (("full", ()), ("lora", ("--lora",))):
        to = f"{trainer}-{name}"
        assert (
            codeclm("export", "r", "--trainer", trainer, "--to", to, *flags, cwd=run).returncode
            == 0
        )
    full, lora = (
        yaml.safe_load((run / f"{trainer}-{name}" / "config.yaml").read_text("utf-8"))
        for name in ("full", "lora")
    )

    assert lora["learning_rate"] == pytest.approx(10 * full["learning_rate"])
    assert not any(key.startswith("lora") for key in full)
    assert any(key.startswith("lora") for key in lora)
    assert "not in the paper" in (run / f"{trainer}-lora" / "config.yaml").read_text("utf-8")


# -- the command and the card -----------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_seeds(folder, 4)
    models = ("--strong", "scripted/strong", "--target", "scripted/target")
    done = codeclm("run", "--seeds", "seeds.jsonl", *models, "--out", "r", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("trainer", TRAINER_NAMES)
def test_a_run_becomes_a_folder_for_the_trainer(run: Path, trainer: str) -> None:
    done = codeclm("export", "r", "--trainer", trainer, "--to", trainer, cwd=run)
    rows = lines(run / trainer / "train.jsonl")

    assert done.returncode == 0, done.stderr
    assert f"wrote {len(rows)} rows" in done.stderr
    assert f"cd {trainer} && " in done.stderr
    assert {"README.md", "config.yaml", "train.jsonl"} <= {
        p.name for p in (run / trainer).iterdir()
    }


def test_the_card_agrees_with_the_ledger(run: Path) -> None:
    codeclm("export", "r", "--trainer", "trl", "--to", "card", "--language", "de", cwd=run)
    text = (run / "card" / "README.md").read_text("utf-8")
    summary = json.loads(codeclm("status", "r", "--json", cwd=run).stdout)
    front = yaml.safe_load(text.split("---\n")[1])

    assert front["language"] == ["de"]
    assert front["size_categories"] == ["n<1K"]
    assert "license" not in front
    assert f"{summary['rows']} pairs of instruction and answer" in text
    assert f"{summary['calls_in_all']:,} paid calls to models in all sessions" in text
    assert "scripted/strong" in text
    assert "codeclm's own wording, after the elements of the paper's prompts" in unescaped(text)
    assert "arxiv.org/abs/2404.05875" in text


def unescaped(markdown: str) -> str:
    return re.sub(r"\\(.)", r"\1", markdown)


def test_a_card_says_nothing_of_roles_and_prompts_that_its_recipe_does_not_use(
    tmp_path: Path,
) -> None:
    """The second run pays for nothing: its answers are in the cache."""
    write_seeds(tmp_path, 3)
    asked = ("run", "--seeds", "seeds.jsonl", "--strong", "scripted/strong")
    more = ("--recipe", "wizardlm", "--set", "quality.min_response_words=2")
    for name in ("a", "b"):
        done = codeclm(*asked, *more, "--out", name, cwd=tmp_path)
        assert done.returncode in {0, 3}, done.stderr
    codeclm("export", "b", "--trainer", "trl", "--to", "t", "--model", "m/m", cwd=tmp_path)
    text = (tmp_path / "t" / "README.md").read_text("utf-8")
    codeclm("report", "b", "--transcripts", "0", cwd=tmp_path)
    page = (tmp_path / "b" / "report.html").read_text("utf-8")

    [report] = embedded(page)
    overview: Any = report["overview"]

    assert overview["recipe_summary"].endswith("(paper A.2)")
    assert ["quality: min response words", "2"] in overview["settings"]
    assert overview["thresholds"] is None
    assert "`wizardlm` (paper A.2): 4 rounds of evolve" in text
    assert "min response words | 2" in text
    assert "all replies came from the cache" in text
    assert not re.search("target model|judge|θ|Contrastive|encode|rubrics", text)


@pytest.fixture(scope="module")
def untargeted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder beside a run of a recipe that asks the strong model alone."""
    folder = tmp_path_factory.mktemp("untargeted")
    write_seeds(folder, 3)
    asked = ("--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--out", "r")
    done = codeclm("run", *asked, "--recipe", "codeclm-metadata", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_without_a_target_is_asked_for_a_model(untargeted: Path) -> None:
    done = codeclm("export", "r", "--trainer", "trl", "--to", "x", cwd=untargeted)

    assert (done.returncode, "--model" in done.stderr) == (2, True)
    assert not (untargeted / "x").exists()


def test_preferences_are_refused_where_one_model_answered(untargeted: Path) -> None:
    done = codeclm("export", "r", "--format", "preference", "--to", "x.jsonl", cwd=untargeted)

    assert done.returncode == 2
    assert "preference needs two answers per row, and recipe codeclm-metadata" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_for_dpo_needs_two_answers(untargeted: Path) -> None:
    dpo = ("--trainer", "trl", "--format", "preference", "--model", "m/m", "--to", "x")
    done = codeclm("export", "r", *dpo, cwd=untargeted)

    assert done.returncode == 2
    assert "preference needs two answers per row" in done.stderr
    assert not (untargeted / "x").exists()


def test_a_trainer_has_a_format_of_its_own(run: Path) -> None:
    done = codeclm(
        *("export", "r", "--trainer", "trl", "--format", "messages", "--to", "x"), cwd=run
    )

    assert (done.returncode, "leave out --format messages" in done.stderr) == (2, True)


def test_a_models_name_that_no_hub_has_is_doubted(run: Path) -> None:
    plain = ("export", "r", "--trainer", "trl", "--to", "doubt")

    assert "check the model's name" in codeclm(*plain, cwd=run).stderr
    assert "check" not in codeclm(*plain, "--model", "owner/name", cwd=run).stderr


@given(st.integers(1, 300))
def test_any_number_of_devices_shares_the_nearest_batch(devices: int) -> None:
    hyperparameters = Hyperparameters().shared_by(devices)
    at_once = hyperparameters.device_batch * hyperparameters.accumulation(devices) * devices

    assert at_once == hyperparameters.batch
    assert hyperparameters.device_batch <= Hyperparameters().device_batch
    assert abs(hyperparameters.batch - 64) <= max(devices / 2, devices - 64)


@pytest.mark.parametrize(
    "line",
    [
        "export r --to x --trainer trl --devices 0",
        "export r --to x --trainer trl --devices -1",
        "report r --transcripts -1",
        "preview --count -1",
        "plan --answer-tokens -5",
        "cache prune --older-than -1",
        "cache prune --older-than nan",
        "contamination x.jsonl --ngram 0",
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, line: str) -> None:
    done = codeclm(*line.split(), cwd=tmp_path)

    assert (done.returncode, "must be" in done.stderr, "usage" in done.stderr) == (2, True, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_made(run: Path) -> None:
    for line in ("init a/b/c.toml", "export r --to ex/x.jsonl", "report r --to rep/x.html"):
        done = codeclm(*line.split(), cwd=run)
        assert (done.returncode, (run / line.split()[-1]).exists()) == (0, True), done.stderr


def test_init_writes_no_toml_under_another_name(tmp_path: Path) -> None:
    done = codeclm("init", "conf.yaml", cwd=tmp_path)

    assert (done.returncode, "name it conf.toml" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@given(st.text(alphabet="`\n\\#a-[]<>*\x1b\u202e"))
def test_nothing_in_a_text_ends_its_block(text: str) -> None:
    first, *inner_lines, last = fenced(text).split("\n")

    assert first == f"{last}text"
    assert not any(re.match(rf"\s*{last}", line) for line in inner_lines)


def test_a_models_words_are_no_markup() -> None:
    text = escaped(HOSTILE)

    assert "\n" not in text
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[\[\]<>*`#]", text)


# -- what is trained on -----------------------------------------------------------------------


def test_pairs_are_read_from_every_format_that_is_exported(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write_lines(
        tmp_path / "p.jsonl",
        [
            {"instruction": "a", "input": "", "output": "b"},
            {"instruction": "a", "input": "c", "output": "b"},
            {"prompt": "a", "completion": "b"},
            {"messages": turns},
        ],
    )

    assert read_pairs(path) == [Pair("a", "b"), Pair("a\n\nc", "b"), Pair("a", "b"), Pair("a", "b")]
    assert read_pairs(path, 1) == [Pair("a", "b")]


@pytest.mark.parametrize("record", [{"instruction": "a"}, {"messages": []}, 7])
def test_a_line_without_a_pair_is_named(tmp_path: Path, record: Any) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"prompt": "a", "completion": "b"}, record])

    with pytest.raises(SeedError, match=r"p\.jsonl:2: "):
        read_pairs(path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--batch", "7", "--device-batch", "2"), "cannot be shared"),
        (("--lr", "1e-6"), "--last-lr must be below --lr"),
        (("--epochs", "0"), "epochs"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_loaded(
    tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    write_lines(tmp_path / "p.jsonl", [{"prompt": "a", "completion": "b"}])
    done = codeclm("tune", "p.jsonl", "--model", "m", "--out", "o", *flags, cwd=tmp_path)

    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_the_engine_never_imports_torch() -> None:
    """Everything else must work, and start quickly, without the extra."""
    script = (
        "import sys; import codeclm.engine.cli as c; import codeclm.engine.training.tuning;"
        "c.build_parser(['tune']); import codeclm.engine.training.answering;"
        "print({'torch', 'transformers', 'trl'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "set()"


# -- tuning a tiny model ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.make(tmp_path_factory.mktemp("tiny"))


QUICK = ("--epochs", "6", "--batch", "2", "--lr", "3e-2", "--last-lr", "1e-3")


def tuned(cwd: Path, model: Path, *more: str, out: str = "out") -> dict[str, Any]:
    argv = ("tune", "p.jsonl", "--model", str(model), "--out", out, *QUICK, "--json", *more)
    done = codeclm(*argv, cwd=cwd)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def write_pairs(folder: Path) -> Path:
    answers = ("two cats", "seven dogs", "x" * 900, "a task")
    given_pairs = ({"instruction": f"tell {n}", "output": a} for n, a in enumerate(answers))
    return write_lines(folder / "p.jsonl", given_pairs)


@pytest.mark.slow
def test_tuning_teaches_counts_and_is_seeded(tmp_path: Path, tiny: Path) -> None:
    write_pairs(tmp_path)
    flags = ("--max-length", "256", "--held-out", "p.jsonl")
    first = tuned(tmp_path, tiny, *flags)
    again = tuned(tmp_path, tiny, *flags, out="again")

    assert (first["trained"], first["truncated"], first["left_out"]) == (4, 1, 0)
    assert first["held_out"]["after"] < first["held_out"]["before"]
    assert first["steps"][0]["learning_rate"] == 3e-2
    assert [s["loss"] for s in first["steps"]] == [s["loss"] for s in again["steps"]]
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.slow
def test_a_killed_tuning_goes_on_with_the_same_command(tmp_path: Path, tiny: Path) -> None:
    write_pairs(tmp_path)
    whole = tuned(tmp_path, tiny, "--save-steps", "1", out="whole")
    argv = ("tune", "p.jsonl", "--model", str(tiny), "--out", "cut", *QUICK, "--save-steps", "1")
    with subprocess.Popen(
        [*COMMAND, *argv], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        while b"step 3 of" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    (tmp_path / "cut" / "checkpoints" / "checkpoint-99").mkdir()  # torn: without its last file
    resumed = tuned(tmp_path, tiny, "--save-steps", "1", out="cut")

    assert [s["loss"] for s in resumed["steps"]] == [s["loss"] for s in whole["steps"]]


@pytest.mark.slow
def test_a_folder_of_another_tuning_is_left_alone(tmp_path: Path, tiny: Path) -> None:
    write_pairs(tmp_path)
    tuned(tmp_path, tiny)
    other = ("tune", "p.jsonl", "--model", str(tiny), "--out", "out", "--epochs", "1")
    done = codeclm(*other, cwd=tmp_path)

    assert done.returncode == 2
    assert "hyperparameters differ" in done.stderr


@pytest.mark.slow
def test_answers_are_what_evaluate_reads_however_often_one_is_stopped(
    tmp_path: Path, tiny: Path
) -> None:
    write_lines(tmp_path / "t.jsonl", ({"id": n, "instruction": f"tell {n}"} for n in range(5)))
    flags = ("--model", str(tiny), "--test", "t.jsonl", "--batch", "2", "--max-tokens", "4")
    assert codeclm("answer", *flags, "--to", "a.jsonl", cwd=tmp_path).returncode == 0
    path = tmp_path / "a.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    assert codeclm("answer", *flags, "--to", "a.jsonl", cwd=tmp_path).returncode == 0
    other = codeclm("answer", *flags, "--max-tokens", "5", "--to", "a.jsonl", cwd=tmp_path)

    assert path.read_bytes() == whole
    read = read_answers(path)
    assert set(read) == {"0", "1", "2", "3", "4"}
    assert {answer.finish_reason for answer in read.values()} <= {"stop", "length"}
    assert any(answer.finish_reason == "length" for answer in read.values())
    assert (other.returncode, "another file" in other.stderr) == (2, True)


# -- with TRL itself --------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("how", WAYS, ids=lambda how: "-".join(map(str, how.values())))
def test_trl_takes_its_config(tmp_path: Path, tiny: Path, how: dict[str, Any]) -> None:
    assert tiny.exists()
    settings, model = parsed_by_trl(tmp_path, written(tmp_path, "trl", **how), how["method"])

    assert settings.max_length == 2048
    assert settings.lr_scheduler_kwargs == {"lr_end": 1e-6, "power": 1.0}
    assert getattr(settings, "completion_only_loss", True) is True
    assert getattr(settings, "beta", 0.1) == 0.1
    assert (model.use_peft, model.lora_r) == (how["lora"], 16)


def parsed_by_trl(folder: Path, config: dict[str, Any], method: str) -> tuple[Any, Any]:
    """The trainer's and the model's arguments as `trl sft` or `trl dpo` reads *config*."""
    trl: Any = pytest.importorskip("trl")
    script: Any = pytest.importorskip(f"trl.scripts.{method}")
    path = folder / "parsed.yaml"
    cpu = {"bf16": False, "use_cpu": True}  # bf16 needs a GPU here
    path.write_text(yaml.safe_dump({**config, **cpu}), "utf-8")
    parsed = script.make_parser().parse_args_and_config(["--config", os.fspath(path)])
    kind = trl.DPOConfig if method == "dpo" else trl.SFTConfig
    settings = next(part for part in parsed if isinstance(part, kind))
    return settings, next(part for part in parsed if isinstance(part, trl.ModelConfig))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("template", ["alpaca", "chat"])
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_an_adapter_is_really_trained(
    tmp_path: Path, tiny: Path, method: str, template: str
) -> None:
    """What `trl sft` and `trl dpo` do with the folder, a few steps of it, on this machine."""
    datasets: Any = pytest.importorskip("datasets")
    trl: Any = pytest.importorskip("trl")
    pytest.importorskip("peft", reason="an adapter needs peft")
    transformers: Any = pytest.importorskip("transformers")
    config = written(tmp_path, "trl", lora=True, method=method, template=template)
    config |= {"max_steps": 2, "max_length": 256, "learning_rate": 1e-2}
    config["output_dir"] = str(tmp_path / "tuned")
    settings, model = parsed_by_trl(tmp_path, config, method)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = ALPACA_CHAT
    rows = datasets.load_dataset(
        "json", data_files=str(tmp_path / "train.jsonl"), cache_dir=str(tmp_path), split="train"
    )
    kind = trl.DPOTrainer if method == "dpo" else trl.SFTTrainer
    trainer = kind(
        str(tiny),
        args=settings,
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=trl.get_peft_config(model),
    )
    trainer.train()

    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert (len(losses), losses[1] < losses[0]) == (2, True), losses
    assert any("lora" in name for name, _ in trainer.model.named_parameters())
