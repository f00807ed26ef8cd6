"""Scores as means over log-probabilities: how they are read, kept, and refused where none come."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from math import exp, log
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.replies import decode_reply, encode_reply, to_stored
from codeclm.engine.config import ConfigError, build_config, build_table
from codeclm.engine.evaluate.settings import EvaluationConfig, check_evaluation
from codeclm.prompts import NoLogprobsError, ScoreByLogprobs
from codeclm.prompts.score_logprobs import mean_scores
from codeclm.providers.base import NumberToken, Reply
from codeclm.providers.openai_logprobs import read_number_tokens

from .commands import codeclm, write_seeds
from .servers import ReceivedRequest, Say, Server, answer, chat, say

Distribution = Mapping[str, float]
"""Probabilities by token."""


def choice_logprobs(tokens: Sequence[tuple[str, Distribution]]) -> dict[str, Any]:
    """As OpenAI and vLLM word them."""
    return {
        "content": [
            {
                "token": token,
                "logprob": log(others.get(token, 1.0)),
                "bytes": list(token.encode()),
                "top_logprobs": [
                    {"token": other, "logprob": log(p), "bytes": None}
                    for other, p in others.items()
                ],
            }
            for token, others in tokens
        ]
    }


def means(*tokens: tuple[str, Distribution]) -> tuple[float, float]:
    """What a judge meant that wrote *tokens*."""
    text = "".join(token for token, _ in tokens).replace("▁", " ").strip()
    reply = Reply(text=text, number_tokens=read_number_tokens(choice_logprobs(tokens)))
    return ScoreByLogprobs(instruction="", first="", second="").read(reply)


WHOLE: Distribution = {"8": 0.6, "7": 0.3, "10": 0.1}
LOW: Distribution = {"2": 0.5, "3": 0.25, "1": 0.25}

# -- what a distribution says -----------------------------------------------------------------


def test_a_score_is_the_mean_of_its_distribution() -> None:
    first, second = means(("8", WHOLE), (" ", {}), ("2", LOW))

    assert first == pytest.approx(0.6 * 8 + 0.3 * 7 + 0.1 * 10)
    assert second == pytest.approx(0.5 * 2 + 0.25 * 3 + 0.25 * 1)


def test_probabilities_of_what_is_no_score_do_not_count() -> None:
    first, _ = means(("8", {"8": 0.2, "6": 0.2, "Sure": 0.3, "99": 0.2, "-1": 0.1}), (" 2", {}))

    assert first == pytest.approx(7)


def test_a_number_with_and_without_a_space_is_one_score() -> None:
    first, second = means((" 8", {" 8": 0.4, "8": 0.1, " 4": 0.4}), ("\n", {}), ("▁2", {"▁2": 0.9}))

    assert first == pytest.approx((0.5 * 8 + 0.4 * 4) / 0.9)
    assert second == 2


SPLIT: Distribution = {"8": 0.6, "1": 0.4}


def test_where_10_is_two_tokens_a_1_that_was_not_written_is_left_out() -> None:
    first, second = means(("8", SPLIT), (" ", {}), ("6", {"6": 0.5, "4": 0.5}))

    assert (first, second) == pytest.approx((8, 5))


def test_where_10_is_two_tokens_a_written_10_is_told_from_1() -> None:
    ten = (("1", {"1": 0.8, "9": 0.2}), ("0", {"0": 0.75, " ": 0.25}))
    first, second = means(*ten, (" ", {}), ("6", {"6": 1.0}))

    assert first == pytest.approx(0.8 * 0.75 * 10 + 0.8 * 0.25 * 1 + 0.2 * 9)
    assert second == 6


@pytest.mark.parametrize(
    "form",
    [
        "[A] [B]",
        "Assistant 1: [A]\nAssistant 2: [B]",
        '{"assistant_1": [A], "assistant_2": [B]}',
        "[A]/10 [B]/10",
        "The scores: [A] and [B]",
    ],
)
def test_in_every_form_the_numbers_that_are_scores_are_found(form: str) -> None:
    tokens: list[tuple[str, Distribution]] = []
    for part in re.findall(r"\[[AB]\]|[0-9]+|[^0-9\[\]]+|.", form):
        scores: dict[str, tuple[str, Distribution]] = {
            "[A]": ("8", WHOLE),
            "[B]": ("2", {"2": 0.5, "4": 0.5}),
        }
        tokens.append(scores.get(part, (part, {part: 1.0})))

    assert means(*tokens) == pytest.approx((7.9, 3))


def test_a_score_with_a_decimal_stands_as_it_was_written() -> None:
    score: tuple[tuple[str, Distribution], ...]
    score = (("8", WHOLE), (".", {}), ("5", {"5": 0.5, "0": 0.5}))

    assert means(*score, (" ", {}), ("2", LOW)) == pytest.approx((8.5, 2))


def test_thinking_before_the_scores_moves_nothing() -> None:
    tokens: list[tuple[str, Distribution]]
    tokens = [
        ("7", {"7": 1.0}),
        (" or ", {}),
        ("8", {"8": 0.5, "9": 0.5, "10": 1e-9}),
        (" ", {}),
        ("2", LOW),
    ]
    kept = read_number_tokens(choice_logprobs(tokens))

    assert mean_scores("8 2", (8, 2), kept) == pytest.approx((8.5, 2))


def test_a_reply_without_log_probabilities_is_none() -> None:
    with pytest.raises(NoLogprobsError, match="no log-probabilities"):
        ScoreByLogprobs(instruction="", first="", second="").read(Reply(text="8 2"))


def unlikely(text: str, **others: float) -> dict[str, Any]:
    """A position whose written token has no probability, as OpenAI words that."""
    position: dict[str, Any] = choice_logprobs([(text, dict(others))])["content"][0]
    return {**position, "logprob": -9999.0}


@pytest.mark.parametrize(
    "lie",
    [
        unlikely("8", **{"2": 0.9}),
        choice_logprobs([("8", {str(score): 1.0 for score in range(11)})])["content"][0],
        choice_logprobs([("8", {"8": 0.6, "Sure": 0.6})])["content"][0],
    ],
)
def test_a_distribution_that_cannot_be_leaves_the_score_as_written(lie: dict[str, Any]) -> None:
    honest = choice_logprobs([(" ", {}), ("3", {"3": 0.5, "4": 0.5})])["content"]
    tokens = read_number_tokens({"content": [lie, *honest]})
    judge = ScoreByLogprobs(instruction="", first="", second="")

    assert judge.read(Reply(text="8 3", number_tokens=tokens)) == pytest.approx((8, 3.5))
    with pytest.raises(NoLogprobsError):
        judge.read(Reply(text="8 8", number_tokens=read_number_tokens({"content": [lie, lie]})))


def test_a_10_whose_second_half_has_no_probability_stands_as_written() -> None:
    one = choice_logprobs([("1", {"1": 0.6, "9": 0.4})])["content"][0]
    rest = choice_logprobs([(" ", {}), ("6", {"6": 1.0})])["content"]
    tokens = read_number_tokens({"content": [one, unlikely("0", **{".": 0.9}), *rest]})

    assert mean_scores("10 6", (10, 6), tokens) == (10, 6)


scores = st.integers(1, 10)
distributions = st.dictionaries(
    st.integers(0, 10).map(str) | st.text(max_size=3), st.floats(1e-9, 1), max_size=8
)


@given(scores, distributions, scores, distributions)
def test_a_mean_lies_within_the_scale_whatever_the_server_says(
    one: int, others_of_one: Distribution, two: int, others_of_two: Distribution
) -> None:
    tokens: list[tuple[str, Distribution]]
    tokens = [(str(one), others_of_one), (" ", {}), (str(two), others_of_two)]
    kept = read_number_tokens(choice_logprobs(tokens))
    result = mean_scores(f"{one} {two}", (one, two), kept)

    assert result is None or all(0 <= mean <= 10 for mean in result)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["content", "token", "logprob", "top_logprobs"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_shape_log_probabilities_have_the_reply_is_read(value: Any) -> None:
    for token in read_number_tokens(value):
        assert token.text.isdecimal()
        assert all(exp(logprob) > 0 for logprob in token.alternatives.values())


def test_stored_replies_keep_the_numbers_and_nothing_else_of_them() -> None:
    tokens: list[tuple[str, Distribution]]
    tokens = [("Well, ", {"Well, ": 0.9}), ("8", WHOLE), (" ", {}), ("2", LOW)]
    kept = read_number_tokens(choice_logprobs(tokens))
    reply = Reply(text="Well, 8 2", number_tokens=kept)
    stored = encode_reply(to_stored(reply, about=b"null", sample=""))  # type: ignore[arg-type]
    plain = encode_reply(to_stored(Reply(text="8 2"), about=b"null", sample=""))  # type: ignore[arg-type]

    assert decode_reply(stored).number_tokens == kept
    assert [token.text for token in kept] == ["8", "2"]
    assert kept[0] == NumberToken("8", {number: log(p) for number, p in WHOLE.items()})
    assert b"number_tokens" not in plain


# -- as a user meets it -----------------------------------------------------------------------

ROLES = (
    *("--strong", "scripted/strong", "--target", "scripted/target", "--judge", "vllm/judge"),
    *("--seeds", "seeds.jsonl", "--per-metadata", "2", "--max-iterations", "1", "--json"),
)
BY_LOGPROBS = ("--set", "judge.score=logprobs")


def scoring(asked: ReceivedRequest, *, has_logprobs: bool = True) -> Say:
    body = asked.json
    tokens: list[tuple[str, Distribution]]
    tokens = [("8", {"8": 0.5, "9": 0.5}), (" ", {}), ("4", {"4": 0.5, "2": 0.5})]
    reply = chat("8 4")
    if body.get("logprobs") and has_logprobs:
        reply["choices"][0]["logprobs"] = choice_logprobs(tokens)
    return say(reply)


async def result_of(server: Server, folder: Path, *more: str) -> Any:
    def begin() -> Any:
        write_seeds(folder, 2)
        return codeclm("run", *ROLES, "--set", f"judge.base_url={server.url}/v1", *more, cwd=folder)

    return await anyio.to_thread.run_sync(begin)


async def scores_of(folder: Path, run: str) -> set[float]:
    inspect = partial(codeclm, "inspect", run, "--json", "--limit", "100", cwd=folder)
    listed = (await anyio.to_thread.run_sync(inspect)).stdout
    examples = [json.loads(line) for line in listed.splitlines()]
    judgements = [one for example in examples for one in example["iterations"][0]["judgements"]]
    return {score for one in judgements for score in (one["strong"], one["target"])}


pytest_anyio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest_anyio
async def test_a_run_scores_by_the_mean_and_its_cached_answers_say_the_same(
    server: Server, tmp_path: Path
) -> None:
    server.always = scoring
    first = await result_of(server, tmp_path, *BY_LOGPROBS, "--out", "a")
    asked = len(server.asked)
    again = await result_of(server, tmp_path, *BY_LOGPROBS, "--out", "b")
    plain = await result_of(server, tmp_path, "--out", "c")

    assert first.returncode in {0, 3}, first.stderr
    assert await scores_of(tmp_path, "a") == await scores_of(tmp_path, "b") == {8.5, 3.0}
    assert await scores_of(tmp_path, "c") == {8.0, 4.0}
    bodies = [one.json for one in server.asked]
    assert {(one["logprobs"], one["top_logprobs"]) for one in bodies[:asked]} == {(True, 20)}
    assert not any("logprobs" in one for one in bodies[asked:])  # b was free, c asked anew
    assert json.loads(again.stdout)["calls"]["score"]["paid"] == 0
    assert json.loads(plain.stdout)["calls"]["score"]["paid"] > 0


@pytest_anyio
async def test_streamed_replies_bring_them_too(server: Server, tmp_path: Path) -> None:
    tokens: list[tuple[str, Distribution]]
    tokens = [("8", {"8": 0.5, "9": 0.5}), (" ", {}), ("4", {"4": 0.5, "2": 0.5})]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": token}, "logprobs": choice_logprobs([(token, others)])}]}
        for token, others in tokens
    ]
    chunks.append({"choices": [{"delta": {}, "logprobs": None, "finish_reason": "stop"}]})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    server.always = answer(events.encode(), headers={"Content-Type": "text/event-stream"})
    streamed = ("--set", "judge.stream=true", *BY_LOGPROBS, "--out", "run")
    done = await result_of(server, tmp_path, *streamed)

    assert done.returncode in {0, 3}, done.stderr
    assert await scores_of(tmp_path, "run") == {8.5, 3.0}


@pytest_anyio
@pytest.mark.parametrize(
    "reply",
    [
        partial(scoring, has_logprobs=False),
        say({"error": {"message": "logprobs is not supported with this model"}}, status=400),
    ],
)
async def test_a_server_that_gives_none_is_refused_in_one_line_before_anything_is_paid(
    server: Server, tmp_path: Path, reply: Any
) -> None:
    server.always = reply
    done = await result_of(server, tmp_path, *BY_LOGPROBS, "--out", "run")
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # the log
    lines = [line for line in said if "logprobs" in line or "log-prob" in line]

    assert done.returncode == 1
    assert len(server.asked) == 1
    assert len(lines) == 1
    assert 'set judge.score = "text"' in lines[0]


@pytest.mark.parametrize("judge", ["scripted/judge", "python/json:loads", "anthropic/claude-x"])
def test_a_provider_without_them_is_refused_before_the_first_call(
    tmp_path: Path, judge: str
) -> None:
    write_seeds(tmp_path, 2)
    flags = ("--judge", judge, "--set", "judge.api_key=none", *BY_LOGPROBS, "--out", "run")
    done = codeclm("run", *ROLES, *flags, cwd=tmp_path)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "judge.score: " in done.stderr
    assert 'write score = "text"' in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_evaluation_compares_what_the_judge_writes() -> None:
    role = {"model": "scripted/m"}
    tree = {"test": "x", "candidate": role, "reference": role}
    judge = {"model": "vllm/judge", "score": "logprobs"}

    with pytest.raises(ConfigError, match=r"judge\.score"):
        check_evaluation(build_evaluation({**tree, "judge": judge}), "here")


def build_evaluation(tree: dict[str, Any]) -> EvaluationConfig:
    return build_table(EvaluationConfig, tree, where="here")


def test_it_is_off_by_default() -> None:
    assert (
        build_config({"seeds": "x"}, where="test").scorer
        == build_config({"seeds": "x", "judge": {"score": "text"}}, where="test").scorer
    )
