"""A dataset's card: how it was made, from the run's configuration, manifest and ledger.

Markdown with the front matter that the Hugging Face Hub reads. What models or users wrote is
escaped: it must not become a link, a picture or a heading of the card.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from ..config import Config
from ..data.records import Example
from ..pipeline.recipe import Recipe
from ..pipeline.recipes import RECIPES
from ..reporting.summary import Summary
from ..reporting.terminal import printable
from ..store.manifest import Manifest
from ..store.totals import Totals

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&:@$])")
_CITATION = """@inproceedings{wang2024codeclm,
  title     = {{CodecLM}: Aligning Language Models with Tailored Synthetic Data},
  author    = {Wang, Zifeng and Li, Chun-Liang and Perot, Vincent and Le, Long T. and Miao, Jin
               and Zhang, Zizhao and Lee, Chen-Yu and Pfister, Tomas},
  booktitle = {Findings of the Association for Computational Linguistics: NAACL 2024},
  year      = {2024},
  url       = {https://arxiv.org/abs/2404.05875}
}"""


class Contents(Struct, frozen=True):
    """What the rows themselves say."""

    rows: int
    use_cases: tuple[tuple[str, int], ...]
    """The ten most frequent."""
    characters: tuple[float, float]
    """Mean length of instruction and answer."""
    first: Example | None


def contents(examples: Iterable[Example]) -> Contents:
    """Read all rows once, keeping counts only."""
    cases = Counter[str]()
    rows = asked = answered = 0
    first: Example | None = None
    for example in examples:
        first = first or example
        rows += 1
        cases[example.metadata.use_case] += 1
        answer = example.response
        asked += len(example.instruction)
        answered += len(answer.text) if answer else 0
    means = (asked / rows, answered / rows) if rows else (0.0, 0.0)
    return Contents(rows, tuple(cases.most_common(10)), means, first)


class Facts(Struct, frozen=True):
    """All that a card is made from."""

    config: Config
    manifest: Manifest | None
    summary: Summary
    contents: Contents
    language: str
    files: tuple[tuple[str, str], ...]
    """Name and meaning of the files beside the card."""


def card(facts: Facts) -> str:
    """Write the card."""
    parts = (_front, _title, _made, _settings, _counts, _rounds, _costs, _inside, _limits, _cite)
    return "\n".join(line for part in parts for line in part(facts))


def escaped(text: str) -> str:
    """Write *text* so that Markdown shows it as it is, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))


def fenced(text: str) -> str:
    """Write *text* as a block that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{printable(text)}\n{fence}"


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "n>10M")


def _front(facts: Facts) -> Iterator[str]:
    yield "---"
    yield "# license: yours to choose; the terms of the models that wrote the data may bind you"
    yield "language:"
    yield f"- {facts.language}"
    yield "size_categories:"
    yield f"- {_size(facts.contents.rows)}"
    yield "task_categories:"
    yield "- text-generation"
    yield "tags:"
    yield from ("- synthetic", "- instruction-tuning", "- codeclm")
    yield "configs:"
    yield "- config_name: default"
    yield "  data_files: train.jsonl"
    yield "---"


def _title(facts: Facts) -> Iterator[str]:
    target = " and one target model" if _has(facts, "target") else ""
    yield "\n# Instruction data made with codeclm\n"
    yield (
        f"{facts.contents.rows:,} pairs of instruction and answer, written by a language model for"
        f" one kind of task{target}. No person has read them all."
    )
    yield ""
    for name, meaning in facts.files:
        yield f"* `{name}`: {meaning}"


def _recipe(facts: Facts) -> Recipe:
    return RECIPES[facts.config.recipe]


def _has(facts: Facts, role: str) -> bool:
    return role in _recipe(facts).roles


def _made(facts: Facts) -> Iterator[str]:
    config, manifest, recipe = facts.config, facts.manifest, _recipe(facts)
    yield "\n## How it was made\n"
    yield f"By the recipe `{recipe.name}` ({recipe.source}): {recipe.summary}.\n"
    if recipe.scores_gaps(config):
        yield (
            "Kept are instructions where the judge sees the strong and the target model's answers"
            " further apart than θ (Contrastive Filtering), with the better answer.\n"
        )
    for name, role in recipe.role_configs(config).items():
        said = "judge" if name == "judge" else f"{name} model"
        yield f"* {said}: {escaped(role.model)}, temperature {role.temperature}"
    if manifest:
        yield f"* codeclm `{manifest.codeclm}`, run started `{manifest.started}`"
        yield f"* seed files: digest `{manifest.seeds}`"


def _settings(facts: Facts) -> Iterator[str]:
    yield "\n| setting | value |\n|---|---|"
    yield from (
        f"| {name} | {escaped(value)} |" for name, value in _recipe(facts).settings(facts.config)
    )
    yield f"| rows wanted | {facts.config.target_rows or 'as many as there are'} |"
    yield f"| seed of all random choices | {facts.config.seed} |"
    yield from (
        f"| quality: {name} | {escaped(value)} |" for name, value in facts.config.quality.in_force()
    )
    yield from _prompts(facts)


def _prompts(facts: Facts) -> Iterator[str]:
    if facts.manifest is None:
        return
    yield "\nPrompts, by digest:\n"
    for role, digests in facts.manifest.prompts.items():
        names = (f"{name} `{digest[:12]}`" for name, digest in sorted(digests.items()))
        yield f"* {role}: {', '.join(names)}"


def _counts(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    yield "\n## What came of it\n"
    yield "| | came in | kept | filtered | failed | unfinished |"
    yield "|---|---|---|---|---|---|"
    yield _sums("seeds", summary.seeds)
    yield _sums("instructions", summary.instructions)
    reasons = {**summary.instructions.filtered, **summary.instructions.failed}
    if reasons:
        told = ", ".join(f"{escaped(reason)} {n:,}" for reason, n in sorted(reasons.items()))
        yield f"\nInstructions not kept: {told}."
    yield from _overlaps(summary)


def _overlaps(summary: Summary) -> Iterator[str]:
    if not summary.overlaps:
        return
    yield "\n| overlap with test set | rows | dropped |\n|---|---|---|"
    for test, found in summary.overlaps.items():
        yield f"| {escaped(test)} | {len(found.rows):,} | {len(found.dropped):,} |"


def _sums(name: str, sums: Totals) -> str:
    lost = f"{sum(sums.filtered.values()):,} | {sum(sums.failed.values()):,}"
    return f"| {name} | {sums.input:,} | {sums.kept:,} | {lost} | {sums.unfinished:,} |"


def _rounds(facts: Facts) -> Iterator[str]:
    gaps = facts.summary.gaps
    if not gaps.scored:
        return
    yield "\n| round | scored | selected | rate | rows |\n|---|---|---|---|---|"
    for number, scored in gaps.scored.items():
        chosen, rows = gaps.selected.get(number, 0), facts.summary.by_iteration.get(number, 0)
        yield f"| {number} | {scored:,} | {chosen:,} | {chosen / scored:.1%} | {rows:,} |"
    won = ", ".join(f"{who} {count:,}" for who, count in facts.summary.winners.items())
    if won:
        yield f"\nBetter answers: {won}."


def _costs(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    yield "\n## What it cost\n"
    if not summary.calls_in_all:
        yield "No answer was paid for: all answers came from the cache."
        return
    money = summary.money_in_all
    priced = "no prices were given" if money is None else f"{money:.2f} at the prices given"
    yield f"{summary.calls_in_all:,} answers of models were paid for, over all sessions; {priced}."


def _inside(facts: Facts) -> Iterator[str]:
    inside = facts.contents
    asked, answered = inside.characters
    yield "\n## What is in it\n"
    yield f"An instruction has {asked:,.0f} characters on average, an answer {answered:,.0f}."
    if inside.use_cases:
        told = ", ".join(f"{escaped(case)} ({count:,})" for case, count in inside.use_cases)
        yield f"The most frequent use cases: {told}."
    if inside.first:
        answer = inside.first.response
        yield "\nThe first row:\n"
        yield fenced(inside.first.instruction)
        yield ""
        yield fenced(answer.text if answer else "")


def _limits(facts: Facts) -> Iterator[str]:
    yield "\n## Limits and known biases\n"
    yield "* Models wrote these texts: errors and inventions are among them."
    if _has(facts, "target"):
        yield "* It is made for one target model: what that model does well already is left out."
    if _has(facts, "judge"):
        same = "are one, which may prefer its own answers." if _self_judged(facts) else "differ."
        yield f"* The judge and the strong model {same}"
    yield from _bias(facts)
    yield "* The seeds' topics, language and slant are carried over; their rights may be, too."
    unchecked = "" if facts.summary.overlaps else ", overlap with test sets"
    yield f"* Not checked: facts, personal data, safety{unchecked}."


def _self_judged(facts: Facts) -> bool:
    return facts.config.scorer.model == facts.config.strong.model


def _bias(facts: Facts) -> Iterator[str]:
    gaps = facts.summary.gaps
    if gaps.flipped is not None and gaps.first_lead is not None:
        yield (
            f"* Position bias of the judge: its two orders named different winners in"
            f" {gaps.flipped:.1%} of rounds; being shown first was worth {gaps.first_lead:+.2f}"
            " points. Scores are means over both orders."
        )


def _cite(_: Facts) -> Iterator[str]:
    yield "\n## Citation\n"
    yield f"```bibtex\n{_CITATION}\n```\n"
