"""Every recipe is the method it is named after: what is asked, what is kept, what is shared."""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson
import pytest
from blockbuster import BlockBuster
from msgspec import structs

from codeclm.engine.config import ConfigError, FilterConfig, build_config
from codeclm.engine.data.errors import RunStopped
from codeclm.engine.data.records import InstructionRequest, Metadata, Seed
from codeclm.engine.pipeline.finishing import ANSWER, RATE
from codeclm.engine.pipeline.prepare import Plan, prepare
from codeclm.engine.pipeline.recipes import RECIPES
from codeclm.engine.pipeline.session import Session, execute
from codeclm.engine.pipeline.stages.answer import Answerer
from codeclm.engine.pipeline.stages.draft import Draft, Rubrics
from codeclm.engine.pipeline.stages.evolve import Evolver, SampledDecoder
from codeclm.engine.pipeline.stages.grow import Grower
from codeclm.engine.pipeline.stages.improve import Improver
from codeclm.engine.pipeline.stages.invent import Inventor, Pool, Reservoir
from codeclm.engine.pipeline.stages.rate import Rater
from codeclm.engine.pipeline.stages.seed_instructions import SeedAsInstruction, placeholder_metadata
from codeclm.engine.pipeline.steps import Finishing
from codeclm.engine.pipeline.writing import DECODE, INVENT
from codeclm.engine.reporting.progress import RunProgress
from codeclm.engine.reporting.progress_meter import ProgressMeter
from codeclm.prompts import Grow, PromptSet, Rate, Respond
from codeclm.providers.base import Request

from .acting import Actor, may_read_the_cache, playing
from .commands import COMMAND, codeclm, environment, write_seeds


@pytest.fixture(autouse=True)
def cache_reads(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


SEED = Seed(3, "s3", "Explain rain.")
METADATA = Metadata(0, "m0", "poetry", ("rhyme",), "seed", ("s3",))
ACTIONS = ("Add snow", "Add hail", "Add wind", "Add ice")


def draft(instruction: str = "Explain rain.", *, rows: int = 1, number: int = 0) -> Draft:
    return Draft(
        "d1", InstructionRequest(METADATA, 1), number, instruction, Rubrics((), ACTIONS), rows=rows
    )


def evolved(*turns: str) -> Callable[[Request], str]:
    """Say the next of *turns*, whatever is asked."""
    given = iter(turns)
    return lambda _request: next(given)


# -- answers without a judge ------------------------------------------------------------------


async def test_the_last_of_three_rewrites_is_answered_and_kept(tmp_path: Path) -> None:
    more, most = "Rain, hail, snow, sleet, fog.", "Rain, hail, snow, sleet, fog, dew, frost, wind."
    turns = evolved("Rain, hail, snow.", more, most)
    actor = Actor(improve=turns, respond="It falls.")
    async with playing(actor, tmp_path) as troupe:
        strong = troupe["strong"]
        [kept] = await Answerer(strong, FilterConfig(), Improver(strong), 3)(draft())

    assert (kept.fate, kept.winner, kept.instruction) == (
        "kept",
        "strong",
        most,
    )
    assert [one.strong is not None for one in kept.iterations] == [False, False, False, True]
    assert actor.counts() == {"improve": 3, "respond": 1}


async def test_a_rewrite_that_fails_midway_leaves_the_one_before(tmp_path: Path) -> None:
    useless = ["I'm sorry, I can't."] * 3
    turns = evolved("Rain, hail and snow.", *useless)
    actor = Actor(improve=turns, respond="It falls.")
    async with playing(actor, tmp_path) as troupe:
        strong = troupe["strong"]
        [kept] = await Answerer(strong, FilterConfig(), Improver(strong), 3)(draft())
        [lost] = await Answerer(strong, FilterConfig(), Improver(strong), 3)(
            Draft(
                "d2", InstructionRequest(METADATA, 1), 1, "Explain.", Rubrics(reason="unreadable")
            )
        )

    assert (kept.fate, kept.instruction) == ("kept", "Rain, hail and snow.")
    assert (lost.fate, lost.reason, lost.detail) == ("filtered", "no_actions", "unreadable")


@pytest.mark.parametrize(
    ("said", "fate", "reason"),
    [
        ("4.5\nFine.", "kept", "accurate"),
        ("4\nNearly.", "filtered", "inaccurate"),
        ("Lovely!", "failed", "unreadable"),
    ],
)
async def test_alpagasus_keeps_four_and_a_half(
    tmp_path: Path, said: str, fate: str, reason: str
) -> None:
    actor = Actor(respond="It falls.", rate=said)
    async with playing(actor, tmp_path) as troupe:
        answerer = Answerer(troupe["strong"], FilterConfig())
        [example] = await Rater(answerer, (troupe["judge"],))(draft())

    assert (example.fate, example.reason) == (fate, reason)
    assert "It falls." in actor.prompts("rate")[0]


async def test_a_tree_grows_in_one_pass_or_three(tmp_path: Path) -> None:
    def longer(request: Request) -> str:
        prompt = request.messages[-1].content
        old = prompt.partition("Old instruction:\n")[2].partition("\n\nNew")[0]
        return f"{old} And why?"

    actor = Actor(grow=longer, respond="It falls.")
    async with playing(actor, tmp_path) as troupe:
        strong = troupe["strong"]
        [one] = await Answerer(strong, FilterConfig(), Grower(strong), 1)(draft())
        grower = Grower(strong, (3, 3, 4))
        [three] = await Answerer(strong, FilterConfig(), grower, 3)(draft())

    assert one.instruction == "Explain rain. And why?"
    assert three.instruction == "Explain rain. And why? And why? And why?"
    assert "exactly 10 meaningful" in actor.prompts("grow")[0]
    assert "at least 40 words longer" in actor.prompts("grow")[0]
    assert [prompt.count("And why?") for prompt in actor.prompts("grow")] == [0, 0, 1, 2]


# -- evolving ---------------------------------------------------------------------------------


async def test_every_round_is_a_row_and_the_eliminated_are_evolved_again_unchanged(
    tmp_path: Path,
) -> None:
    turn = evolved("One.", "The given prompt.", "Two.", "Three.")
    judged = evolved("Not Equal", "Equal", "Not Equal")
    actor = Actor(deepen=turn, broaden=turn, equal=judged, respond="A full answer.")
    async with playing(actor, tmp_path) as troupe:
        examples = await Evolver(troupe["strong"])(draft(rows=4))

    assert [(e.fate, e.reason, e.instruction) for e in examples] == [
        ("kept", "evolved", "One."),
        ("filtered", "copied_frame", "The given prompt."),
        ("filtered", "no_information_gain", "Two."),
        ("kept", "evolved", "Three."),
    ]
    asked = [*actor.prompts("deepen"), *actor.prompts("broaden")]
    starts = [p.partition("#Given Prompt#:\n")[2].partition("\n")[0] for p in asked]
    assert Counter(starts) == {"Explain rain.": 1, "One.": 3}
    assert [e.number for e in examples] == [0, 1, 2, 3]
    assert len({e.id for e in examples}) == 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("I am sorry, no.", "apology"), ("… it is.", "empty_answer")],
)
async def test_an_answer_that_is_none_eliminates(tmp_path: Path, answer: str, reason: str) -> None:
    turn = evolved("One.")
    actor = Actor(deepen=turn, broaden=turn, equal="Not Equal", respond=answer)
    async with playing(actor, tmp_path) as troupe:
        [example] = await Evolver(troupe["strong"], rounds=1)(draft())

    assert (example.fate, example.reason) == ("filtered", reason)


async def test_where_fewer_rows_are_due_than_rounds_survive_some_are_drawn(tmp_path: Path) -> None:
    turn = evolved(*[f"Prompt {n}." for n in range(8)])
    actor = Actor(deepen=turn, broaden=turn, equal="Not Equal", respond="A full answer.")
    async with playing(actor, tmp_path) as troupe:
        one = await Evolver(troupe["strong"])(draft(rows=1, number=0))
        two = await Evolver(troupe["strong"])(draft("Explain.", rows=2, number=1))

    assert Counter(e.reason for e in one) == {"evolved": 1, "round_not_sampled": 3}
    assert Counter(e.reason for e in two) == {"evolved": 2, "round_not_sampled": 2}
    assert [e.number for e in one + two] == list(range(8))


@pytest.mark.parametrize("count", [1, 4, 5, 10])
async def test_so_many_basic_instructions_are_evolved_as_give_an_orders_rows(count: int) -> None:
    async def write(order: InstructionRequest) -> list[Draft]:
        return [draft(f"Explain {n}.", number=n) for n in range(order.count)]

    drafts = await SampledDecoder(write, 4)(InstructionRequest(METADATA, count))

    assert sum(one.rows for one in drafts) == count
    assert len(drafts) == -(-count // 4)
    assert [one.number for one in drafts] == sorted({one.number for one in drafts})


# -- inventing --------------------------------------------------------------------------------


def pool(size: int, most: int = 1000) -> Pool:
    reservoir = Reservoir(most, 0)
    for n in range(size):
        reservoir.add(Seed(n, f"s{n}", f"Describe how to bake a loaf of bread number {n} at home"))
    return Pool(reservoir.seeds, 0)


async def test_requests_show_three_seeds_and_refuse_what_is_too_similar(tmp_path: Path) -> None:
    said = [
        "Describe how to bake a loaf of bread number 7 at home",
        "Compare two rivers of Asia by their length",
        "Compare two rivers of Asia by their depth",
        "Draw a map of Asia",
        "List reasons why glass is transparent",
    ]
    reply = "\n".join(f"###\n{n}. Instruction: {text}" for n, text in enumerate(said, 1))
    actor = Actor(invent=reply)
    seeds = pool(50)
    async with playing(actor, tmp_path) as troupe:
        order = next(seeds.requests(50, demonstrations=3, tasks=20))
        drafts = await Inventor(troupe["strong"], seeds)(order)

    assert [one.refused for one in drafts] == [
        "too_similar", "", "too_similar", "not_for_text", ""
    ]  # fmt: skip
    assert all(text in actor.prompts("invent")[0] for text in order.texts)
    assert (len(set(order.texts)), order.metadata.position) == (3, 50)


def test_the_pool_and_what_a_request_shows_depend_on_the_runs_seed_alone() -> None:
    def shown() -> list[tuple[str, ...]]:
        requests = pool(500, most=20).requests(500, demonstrations=3, tasks=20)
        return [next(requests).metadata.seed_ids for _ in range(40)]

    assert shown() == shown()
    assert len({seed_id for ids in shown() for seed_id in ids}) <= 20
    assert len(pool(2, most=20).seeds) == 2


async def test_a_seed_as_it_is_becomes_the_basic_instruction_as_often_as_its_rows_need() -> None:
    take, metadata, texts = (
        SeedAsInstruction(rows=4),
        placeholder_metadata(SEED),
        ("Explain rain.",),
    )

    first = await take(InstructionRequest(metadata, 6, texts=texts))
    later = await take(InstructionRequest(metadata, 1, 8, texts=texts))

    assert [one.instruction for one in first + later] == ["Explain rain."] * 3
    assert [one.rows for one in first + later] == [3, 3, 1]
    assert [one.number for one in first + later] == [0, 1, 8]
    assert len({one.id for one in first + later}) == 3


# -- as a user meets them ---------------------------------------------------------------------

STRONG = ("--strong", "scripted/strong", "--display", "none")


def ran(folder: Path, recipe: str, *more: str) -> dict[str, Any]:
    """Run *recipe* in a folder of its own over one cache; return its summary."""
    target = ("--target", "scripted/target") if "target" in RECIPES[recipe].roles else ()
    done = codeclm(
        *("run", "--recipe", recipe, "--seeds", "seeds.jsonl", *STRONG, *target, "--json"),
        *("--out", recipe, *more),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = orjson.loads(done.stdout)
    return summary


STAGES = {
    "codeclm": ["encode", "decode", "refine"],
    "codeclm-metadata": ["encode", "decode", "answer"],
    "codeclm-rubrics": ["encode", "decode", "harden"],
    "codeclm-filter": ["encode", "decode", "filter"],
    "self-instruct": ["invent", "answer"],
    "alpagasus": ["invent", "answer"],
    "tree-instruct": ["seeds", "grow"],
    "wizardlm": ["seeds", "evolve"],
    "wizardlm-plus": ["encode", "decode", "evolve"],
}


@pytest.mark.blocking
@pytest.mark.parametrize("recipe", RECIPES.names())
async def test_progress_shows_the_stages_that_the_recipe_has(tmp_path: Path, recipe: str) -> None:
    models = {role: {"model": f"scripted/{role}"} for role in ("strong", "target")}
    places = {"out": str(tmp_path / "run"), "cache": {"folder": str(tmp_path / "cache")}}
    shown: list[list[str]] = []
    moments: list[RunProgress] = []

    def ready() -> Plan:
        seeds = write_seeds(tmp_path, 2)
        tree = {"seeds": str(seeds), "recipe": recipe, "target_rows": 2, **models, **places}
        plan = prepare(build_config(tree, where="test"), where="test")
        plan.folder.make()
        return plan

    async def watch(session: Session) -> None:
        meter = ProgressMeter(session)
        while True:
            shown.append(list(session.counters.stages))
            moments.append(meter.read())
            await anyio.lowlevel.checkpoint()

    plan = await anyio.to_thread.run_sync(ready)
    session = await execute(plan, watch=watch)

    assert session.ending == "finished"
    assert {moment.output.target_rows for moment in moments} == {2}
    assert all(0 <= (moment.share or 0) <= 1 for moment in moments)
    assert list(moments[-1].activity.stages) == STAGES[recipe]
    assert recipe in STAGES, f"add {recipe!r} and its stages to STAGES in tests/test_recipes.py"
    assert shown[-1] == list(session.counters.stages) == STAGES[recipe]
    assert all(counts.entered for counts in session.counters.stages.values())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES.names())
def test_every_recipe_reaches_the_same_number_of_rows(tmp_path: Path, recipe: str) -> None:
    write_seeds(tmp_path, 12)

    summary = ran(tmp_path, recipe, "--target-rows", "40", "--export", "alpaca", "messages")
    again = codeclm("resume", recipe, "--display", "none", cwd=tmp_path)
    status = codeclm("status", recipe, cwd=tmp_path)
    rows = (tmp_path / recipe / "alpaca.jsonl").read_text().splitlines()
    told = codeclm("inspect", recipe, orjson.loads(rows[0])["id"], cwd=tmp_path)

    assert (summary["rows"], len(rows), summary["seeds"]["unfinished"]) == (40, 40, 0)
    assert (again.returncode, status.returncode, told.returncode) == (0, 0, 0)
    assert "fate       kept" in told.stdout
    assert "calls" in summary


@pytest.mark.slow
def test_wizardlm_plus_decodes_by_the_very_calls_that_codeclm_made(tmp_path: Path) -> None:
    write_seeds(tmp_path, 12)
    for recipe in ("codeclm", "wizardlm-plus", "codeclm-metadata", "codeclm-rubrics"):
        ran(tmp_path, recipe, "--per-metadata", "5")
    calls = {
        recipe: orjson.loads((tmp_path / recipe / "summary.json").read_bytes())["calls"]
        for recipe in ("wizardlm-plus", "codeclm-metadata", "codeclm-rubrics")
    }

    for stages in calls.values():
        assert (stages["encode"]["paid"], stages["decode"]["paid"]) == (0, 0)
        assert stages["decode"]["reused"] == 12
    assert calls["codeclm-metadata"]["respond"]["paid"] == 0
    assert calls["codeclm-rubrics"]["rubrics"]["paid"] == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"recipe": "wizard"}, "recipe: unknown recipe 'wizard': did you mean 'wizardlm'"),
        ({"recipe": "codeclm"}, "target.model: missing"),
        ({"recipe": "self-instruct"}, "target_rows: .* never runs out"),
        ({"recipe": "wizardlm", "metadata": {"file": "m.jsonl"}}, "wizardlm starts from seeds"),
        ({"recipe": "wizardlm", "export": ["preference"]}, "preference needs two answers"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_before_any_call(
    settings: dict[str, Any], complaint: str
) -> None:
    tree = {"seeds": "x", "strong": {"model": "scripted/strong"}, **settings}
    config = build_config(tree, where="test")
    with pytest.raises(ConfigError, match=complaint):
        prepare(config, where="test")


PLUGIN = """
from codeclm.engine import FROM_METADATA, Finishing, Recipe
from codeclm.engine.pipeline.stages.answer import Answerer
from codeclm.engine.pipeline.writing import DECODE
from codeclm.prompts import Respond

PLAIN = Recipe(
    name="plain",
    summary="decode and answer",
    source="a test",
    mode=FROM_METADATA,
    writing=DECODE,
    finishing=Finishing(
        stage="reply",
        build=lambda tools: Answerer(tools.strong, tools.config.filter),
        prompts={"strong": (Respond,)},
        calls=lambda _config, drafts: {Respond: drafts},
        rewrites=False,
    ),
)
"""


def test_another_distribution_adds_a_recipe(tmp_path: Path) -> None:
    """In twenty lines: it runs, and plans, forecasts and checks know it."""
    (tmp_path / "plain_recipe.py").write_text(PLUGIN)
    metadata = tmp_path / "codeclm_plain-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: codeclm-plain\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[codeclm.recipes]\nplain = plain_recipe:PLAIN\n")
    write_seeds(tmp_path, 3)
    line = ("--recipe", "plain", "--seeds", "seeds.jsonl", "--strong", "scripted/strong")

    def command(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *argv],
            cwd=tmp_path,
            env=environment(tmp_path, PYTHONPATH=str(tmp_path)),
            capture_output=True,
            text=True,
            check=False,
        )

    plan = command("plan", *line)
    check = command("check", *line)
    unknown = command("check", *line, "--recipe", "plane")
    run = command("run", *line, "--display", "none", "--json", "--out", "run")

    assert "respond" in plan.stdout, plan.stderr
    assert "plain: decode and answer" in check.stdout
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "unknown recipe 'plane': did you mean 'plain'?" in unknown.stderr
    assert run.returncode in {0, 3}, run.stderr
    summary = orjson.loads(run.stdout)
    assert summary["calls"]["respond"]["paid"] == 30


def test_a_recipe_whose_parts_do_not_fit_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="odd: invent needs requests with demonstrations"):
        structs.replace(RECIPES["wizardlm"], name="odd", writing=INVENT)


def test_a_recipe_of_seeds_that_nothing_rewrites_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="odd: answer does not rewrite the seeds"):
        structs.replace(RECIPES["wizardlm"], name="odd", finishing=ANSWER)


def test_two_steps_of_one_name_are_refused_when_the_recipe_is_made() -> None:
    writing = structs.replace(DECODE, stage="answer")
    with pytest.raises(ValueError, match="odd: both steps have the stage name 'answer'"):
        structs.replace(RECIPES["codeclm-metadata"], name="odd", writing=writing)


BOTH_MODELS = {role: {"model": f"scripted/{role}"} for role in ("strong", "target")}


@pytest.mark.parametrize(
    ("finishing", "complaint"),
    [
        (structs.replace(RATE, prompts={"strong": (Respond,)}), "forecasts Rate: add Rate to"),
        (
            structs.replace(ANSWER, prompts={"strong": (Grow, Respond)}),
            "step answer: calls leaves out Grow: add Grow to calls, or to uncounted",
        ),
        (structs.replace(ANSWER, uncounted=(Respond,)), "remove Respond from uncounted"),
        (
            structs.replace(RATE, prompts={"strong": (Respond, Rate)}),
            "recipe odd: a step asks the judge model, which it does not declare: add 'judge' to",
        ),
    ],
)
def test_a_step_that_declares_other_prompts_than_it_asks_is_refused_before_any_call(
    finishing: Finishing, complaint: str
) -> None:
    recipe = structs.replace(RECIPES["codeclm-metadata"], name="odd", finishing=finishing)
    config = build_config({"seeds": "x", "recipe": "odd", **BOTH_MODELS}, where="test")
    with pytest.raises(ConfigError, match=complaint):
        recipe.check(config, "test")


@pytest.mark.parametrize("recipe", RECIPES.names())
def test_every_recipe_counts_and_declares_what_it_asks(recipe: str) -> None:
    tree = {"seeds": "x", "recipe": recipe, "target_rows": 2, **BOTH_MODELS}
    RECIPES[recipe].check(build_config(tree, where="test"), "test")


async def test_a_prompt_that_no_step_declares_stops_the_run_before_it_is_sent(
    tmp_path: Path,
) -> None:
    actor = Actor()
    async with playing(actor, tmp_path) as troupe:
        strong = troupe["strong"]
        strong.prompts = PromptSet({Respond: "{{instruction}}"})
        with pytest.raises(RunStopped, match="'grow' was not loaded: add Grow to the prompts of"):
            await strong.ask(Grow(instruction="Explain.", nodes=1, fewest=1, most=9), item="i")

    assert actor.counts() == {}


def test_a_recipe_has_one_name_and_asks_no_role_it_does_not_need() -> None:
    strong = {"model": "scripted/strong"}
    plus = build_config({"seeds": "x", "strong": strong, "recipe": "wizardlm+"}, where="test")

    assert RECIPES[plus.recipe].name == "wizardlm-plus"
    assert list(RECIPES[plus.recipe].role_configs(plus)) == ["strong"]
