"""What a run is said to cost is what the specification's arithmetic says."""

import pytest

from codeclm.engine.config import Config, build_config
from codeclm.engine.pipeline.recipes import RECIPES
from codeclm.engine.reporting.forecast import Forecast, forecast
from codeclm.prompts import BUILT_IN, PromptSet

MODELS = {"strong": {"model": "scripted/strong"}, "target": {"model": "scripted/target"}}


def told(config: Config, *, seeds: int = 0, metadata: int = 0) -> Forecast:
    prompts = {name: PromptSet.load("default", BUILT_IN) for name in ("strong", "target", "judge")}
    return forecast(
        config, prompts, seeds=seeds, metadata=metadata, seed_tokens=30, answer_tokens=400
    )


def config(**settings: object) -> Config:
    return build_config({"seeds": "x.jsonl", **MODELS, **settings}, where="test")


def test_the_papers_setting_takes_between_8444_and_38444_calls() -> None:
    """Spec §3.7: N = 2000 from 44 seeds and 200 items, one decode call per item."""
    paper = config(target_rows=2000, metadata={"augment_to": 200}, size={"shortfall": "report"})

    found = told(paper, seeds=44)

    assert (found.low, found.high) == (8_444, 38_444)


def test_metadata_written_by_hand_need_no_encoding() -> None:
    found = told(config(decode={"per_metadata": 10}), metadata=5)

    calls = {row.stage: row.low for row in found.rows}
    assert calls == {
        "encode": 0, "decode": 5, "rubrics": 5, "respond": 100, "score": 100, "improve": 0
    }  # fmt: skip


def test_a_first_rewrite_before_scoring_is_counted() -> None:
    """With filter_basic = false every instruction is rewritten once, and scored three times."""
    found = told(config(filter={"filter_basic": False}, decode={"per_metadata": 1}), seeds=10)

    calls = {row.stage: (row.low, row.high) for row in found.rows}
    assert calls["improve"] == (10, 30)
    assert calls["score"] == (20, 60)


def test_money_needs_prices_and_counts_both_answerers() -> None:
    free = told(config(), seeds=10)
    strong = {"model": "scripted/strong", "price_input": 1.0, "price_output": 2.0}
    target = {"model": "scripted/target", "price_input": 0.5, "price_output": 1.0}
    priced = told(config(strong=strong), seeds=10)
    both = told(config(strong=strong, target=target), seeds=10)

    assert free.low_money is None
    assert priced.low_money is not None
    assert both.low_money is not None
    assert 0 < priced.low_money < both.low_money


def test_a_stream_of_seeds_ends_where_there_are_rows_enough() -> None:
    """Each seed is asked for its share, 4 or 5, and again up to five times as many."""
    found = told(config(target_rows=200), seeds=44)

    calls = {row.stage: (row.low, row.high) for row in found.rows}
    assert calls["encode"] == (44, 44)
    assert calls["decode"] == (44, 44 + 4 * 200)
    assert calls["respond"] == (2 * 200, 2 * 5 * 200 * 4)


@pytest.mark.parametrize("recipe", RECIPES.names())
def test_every_recipe_is_foretold_and_needs_no_role_that_it_does_not_ask(recipe: str) -> None:
    roles: dict[str, object] = {n: MODELS[n] for n in RECIPES[recipe].roles if n in MODELS}
    tree = {"seeds": "x", "recipe": recipe, "target_rows": 200, **roles}
    settings = build_config(tree, where="test")
    prompts = {str(name): PromptSet.load("default", BUILT_IN) for name in RECIPES[recipe].roles}

    found = forecast(settings, prompts, seeds=44, metadata=0, seed_tokens=30, answer_tokens=400)

    assert 200 <= found.low <= found.likely <= found.high
    assert all(row.low <= row.likely <= row.high for row in found.rows)
    assert all(row.prompt_tokens for row in found.rows)
