"""One example's whole story as text: where it came from, each round, every call.

What models wrote is printed with its control characters escaped: it must not drive the terminal.
"""

import re
from collections.abc import Iterator, Mapping
from textwrap import indent

from ..data.records import Answer, Call, Example, Iteration

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Escape control characters, direction marks and lone surrogates; keep line breaks and tabs."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text.replace("\r\n", "\n"))


def text(example: Example, seeds: Mapping[str, str]) -> str:
    """Tell *example*; *seeds* holds the texts of its seeds by id, as far as they are known."""
    return "\n".join(_lines(example, seeds))


def _lines(example: Example, seeds: Mapping[str, str]) -> Iterator[str]:
    metadata = example.metadata
    ending = f"{example.fate}: {example.reason}" if example.reason else example.fate
    yield f"example    {example.id} (metadata {example.position}, number {example.number})"
    yield f"fate       {ending}{f': {printable(example.detail)}' if example.detail else ''}"
    if example.winner:
        gap = "" if example.gap is None else f", gap {example.gap}"
        yield f"winner     {example.winner}{gap}"
    for seed_id in metadata.seed_ids:
        yield f"seed       {seed_id}"
        yield _block(seeds.get(seed_id, "(not in the seed file any more)"))
    if not metadata.seed_ids:
        yield f"seed       none: this metadata is {metadata.origin}"
    if metadata.origin != "none":
        yield f"use case   {printable(metadata.use_case)}"
        yield f"skills     {printable(', '.join(metadata.skills)) or '(none)'}"
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
        yield _block(iteration.instruction, deep=4)
    for who, answer in (("strong", iteration.strong), ("target", iteration.target)):
        if answer is not None:
            yield f"  {who} answered{_cut(answer)}"
            yield _block(answer.text, deep=4)
    if iteration.judgements is not None:
        first, second = iteration.judgements
        yield f"  scores, strong first: strong {first.strong:g}, target {first.target:g}"
        yield f"  scores, target first: strong {second.strong:g}, target {second.target:g}"


def _cut(answer: Answer) -> str:
    return "" if answer.finish_reason == "stop" else f" ({answer.finish_reason})"


def _calls(calls: tuple[Call, ...]) -> Iterator[str]:
    yield "\ncall        role     prompt  answer  asked  from      key"
    for call in calls:
        origin = "cache" if call.cached else "provider"
        yield (
            f"{call.stage:<11} {call.role:<7} {call.prompt_tokens:>7} {call.completion_tokens:>7}"
            f" {call.asked:>6}  {origin:<8}  {call.key}"
        )


def _block(said: str, *, deep: int = 2) -> str:
    return indent(printable(said), " " * deep + "│ ", lambda _: True)
