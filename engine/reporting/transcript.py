"""One example in full as text: where it came from, each round, every call."""

from collections.abc import Iterator, Mapping
from textwrap import indent

from ..data.records import Answer, Call, Example, Iteration, Judgement
from .terminal import printable


def transcript(example: Example, seeds: Mapping[str, str]) -> str:
    """Write *example* as text, with control characters escaped.

    *seeds* holds the texts of its seeds by id; seeds no longer in the seed file may be missing.
    """
    return "\n".join(_lines(example, seeds))


def _lines(example: Example, seeds: Mapping[str, str]) -> Iterator[str]:
    metadata = example.metadata
    ending = f"{example.fate}: {example.reason}" if example.reason else example.fate
    yield f"example    {example.id} ({example.position}.{example.number})"
    yield f"fate       {ending}{f': {printable(example.detail)}' if example.detail else ''}"
    if example.winner:
        gap = "" if example.gap is None else f", gap {example.gap:+g}"
        yield f"winner     {example.winner}{gap}"
    for seed_id in metadata.seed_ids:
        yield f"seed       {seed_id}"
        yield _block(seeds.get(seed_id, "(no longer in the seed file)"))
    if not metadata.seed_ids:
        yield f"seed       none: this metadata is {metadata.origin}"
    if metadata.origin != "none":
        yield f"use case   {printable(metadata.use_case)}"
        yield f"skills     {printable(', '.join(metadata.skills)) or '(none)'}"
        if metadata.language:
            yield f"language   {printable(metadata.language)}"
        if metadata.given_text is not None:
            yield f"given text {'yes' if metadata.given_text else 'no'}"
    for number, (rubric, action) in enumerate(_pairs(example), 1):
        yield f"rubric {number}   {printable(rubric)}"
        yield f"action {number}   {printable(action)}"
    yield "basic instruction"
    yield _block(example.basic_instruction)
    for iteration in example.iterations:
        yield from _round(iteration)
    yield from _calls(example.calls)


def _pairs(example: Example) -> Iterator[tuple[str, str]]:
    for n in range(max(len(example.rubrics), len(example.actions))):
        rubric = example.rubrics[n] if n < len(example.rubrics) else "(none)"
        yield rubric, example.actions[n] if n < len(example.actions) else "(none)"


def _round(iteration: Iteration) -> Iterator[str]:
    gap = "not scored" if iteration.gap is None else f"gap {iteration.gap:+g}"
    yield f"\nround {iteration.number}: {gap}"
    if iteration.action is not None:
        yield f"  action: {printable(iteration.action)}"
        yield "  instruction"
        yield _block(iteration.instruction, depth=4)
    for role, answer in (("strong", iteration.strong), ("target", iteration.target)):
        if answer is not None:
            if answer.reasoning:
                yield f"  {role} thought"
                yield _block(answer.reasoning, depth=4)
            yield f"  {role} answered{_finish(answer)}"
            yield _block(answer.text, depth=4)
    if iteration.judgements is not None:
        yield from _scores("scores", iteration.judgements)
    if iteration.confirmation is not None:
        yield from _scores("scored again", iteration.confirmation)


def _scores(label: str, judgements: tuple[Judgement, Judgement]) -> Iterator[str]:
    for order, scores in zip(("strong first", "target first"), judgements, strict=True):
        yield f"  {label}, {order}: strong {scores.strong:.4g}, target {scores.target:.4g}"
        for name, (strong, target) in scores.by_judge.items():
            yield f"    {name}: strong {strong:.4g}, target {target:.4g}"


def _finish(answer: Answer) -> str:
    marks = [] if answer.finish_reason == "stop" else [answer.finish_reason]
    marks += ["reads like a refusal"] if answer.refuses else []
    return f" ({', '.join(marks)})" if marks else ""


def _calls(calls: tuple[Call, ...]) -> Iterator[str]:
    width = max([11, *(len(call.stage) for call in calls)])
    wide = max([7, *(len(call.role) for call in calls)])
    yield f"\n{'call':<{width}} {'role':<{wide}}  prompt  answer  tries  from      key"
    for call in calls:
        origin = "cache" if call.cached else "provider"
        yield (
            f"{call.stage:<{width}} {call.role:<{wide}} {call.prompt_tokens:>7}"
            f" {call.completion_tokens:>7} {call.attempts:>6}  {origin:<8}  {call.key}"
        )


def _block(text: str, *, depth: int = 2) -> str:
    return indent(printable(text), " " * depth + "│ ", lambda _: True)
