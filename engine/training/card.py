"""A dataset card: how the data was made, from the run's configuration, manifest and ledger.

Markdown with the front matter that the Hugging Face Hub reads. Text of models and users is escaped:
it must not become a link, a picture or a heading of the card.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from ..config import Config, describe_temperature, is_program
from ..data.records import Example
from ..pipeline.recipe import Recipe
from ..pipeline.recipes import RECIPES
from ..reporting.judge import panel_lines
from ..reporting.selection import selection_lines
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


class DatasetContents(Struct, frozen=True):
    """Figures of the rows.

    Attributes:
        rows: in the dataset.
        use_cases: the ten most frequent, with their rows.
        instruction_length: mean, in characters.
        answer_length: mean, in characters.
        first: the first row.
    """

    rows: int
    use_cases: tuple[tuple[str, int], ...]
    instruction_length: float
    answer_length: float
    first: Example | None


def read_contents(examples: Iterable[Example]) -> DatasetContents:
    """Read all rows once, keeping counts only."""
    use_cases = Counter[str]()
    rows = instruction_characters = answer_characters = 0
    first: Example | None = None
    for example in examples:
        first = first or example
        rows += 1
        use_cases[example.metadata.use_case] += 1
        instruction_characters += len(example.instruction)
        answer_characters += len(_answer_text(example))
    return DatasetContents(
        rows,
        tuple(use_cases.most_common(10)),
        instruction_characters / max(rows, 1),
        answer_characters / max(rows, 1),
        first,
    )


def _answer_text(example: Example) -> str:
    return example.response.text if example.response else ""


class CardFacts(Struct, frozen=True):
    """Everything a card is made from; ``files`` are names and meanings of the files beside it."""

    config: Config
    manifest: Manifest | None
    summary: Summary
    contents: DatasetContents
    language: str
    files: tuple[tuple[str, str], ...]
    license: str | None = None
    """Its id on the Hub."""


def card_text(facts: CardFacts) -> str:
    """Write the card."""
    sections = (
        _front_matter,
        _title,
        _method,
        _settings,
        _counts,
        _rounds,
        _costs,
        _contents,
        _limits,
        _citation,
    )
    return "\n".join(line for section in sections for line in section(facts))


def escaped(text: str) -> str:
    """Write *text* so that Markdown shows it as it is, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))


def fenced(text: str) -> str:
    """Write *text* as a block that nothing inside can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{printable(text)}\n{fence}"


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "n>10M")


def _front_matter(facts: CardFacts) -> Iterator[str]:
    yield "---"
    if facts.license:
        yield f"license: {facts.license}"
    else:
        yield "# license: choose one that the terms of the models that wrote the data allow"
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


def _title(facts: CardFacts) -> Iterator[str]:
    target = " and for one target model" if _has(facts, "target") else ""
    yield "\n# Instruction data made with codeclm\n"
    yield (
        f"{facts.contents.rows:,} pairs of instruction and answer, written by a language model for"
        f" tasks like those of its seeds{target}. No person has read all of them."
    )
    yield ""
    for name, meaning in facts.files:
        yield f"* `{name}`: {meaning}"


def _recipe(facts: CardFacts) -> Recipe:
    return RECIPES[facts.config.recipe]


def _has(facts: CardFacts, role: str) -> bool:
    return role in _recipe(facts).roles


def _method(facts: CardFacts) -> Iterator[str]:
    config, manifest, recipe = facts.config, facts.manifest, _recipe(facts)
    yield "\n## How it was made\n"
    yield f"By the recipe `{recipe.name}` ({recipe.source}): {recipe.summary}.\n"
    if recipe.scores_gaps(config):
        yield (
            "An instruction is kept if the judge's scores of the strong and the target model's"
            f" answers differ by more than θ (Contrastive Filtering). {_whose_answers(facts)}\n"
        )
    for name, role in recipe.role_configs(config).items():
        label = f"{name} model" if name in {"strong", "target"} else escaped(name)
        how = "a program" if is_program(role) else f"temperature {describe_temperature(role)}"
        yield f"* {label}: {escaped(role.model)}, {how}"
    if manifest:
        yield f"* codeclm `{manifest.codeclm}`, run started `{manifest.started}`"
        yield f"* seed files: digest `{manifest.seeds}`"


def _whose_answers(facts: CardFacts) -> str:
    """Say whose answers the rows hold."""
    if facts.config.filter.keep == "strong":
        return "Only leads of the strong model count, so all answers are its own."
    winners, rows = facts.summary.winners, facts.contents.rows
    own = winners.get("target", 0) / rows if rows else 0.0
    return (
        "A row holds the better answer, whose author is its `winner`: the target model's own in"
        f" {own:.1%} of rows, else the strong model's."
    )


def _settings(facts: CardFacts) -> Iterator[str]:
    yield "\n| setting | value |\n|---|---|"
    yield from (
        f"| {name} | {escaped(value)} |" for name, value in _recipe(facts).settings(facts.config)
    )
    yield f"| target rows | {facts.config.target_rows or 'none: as many as the seeds give'} |"
    yield f"| random seed | {facts.config.seed} |"
    yield from (
        f"| quality: {name} | {escaped(value)} |" for name, value in facts.config.quality.in_force()
    )
    yield from _prompts(facts)


def _prompts(facts: CardFacts) -> Iterator[str]:
    if facts.manifest is None:
        return
    source = facts.manifest.files.get("prompts", "")
    yield f"\nPrompts: {escaped(source)}. Digests of the templates:\n"
    for role, digests in facts.manifest.prompts.items():
        names = (f"{name} `{digest[:12]}`" for name, digest in sorted(digests.items()))
        yield f"* {role}: {', '.join(names)}"


def _counts(facts: CardFacts) -> Iterator[str]:
    summary = facts.summary
    yield "\n## What was kept\n"
    yield "| | in | kept | filtered | failed | unfinished |"
    yield "|---|---|---|---|---|---|"
    yield _totals_row("seeds", summary.seeds)
    yield _totals_row("instructions", summary.instructions)
    reasons = {**summary.instructions.filtered, **summary.instructions.failed}
    if reasons:
        counts = (f"{escaped(reason)} {n:,}" for reason, n in sorted(reasons.items()))
        yield f"\nInstructions not kept: {', '.join(counts)}."
    yield from _coverage(summary)
    yield from _overlaps(summary)


def _coverage(summary: Summary) -> Iterator[str]:
    coverage = summary.coverage
    if coverage is None or not coverage.distance:
        return
    yield "\n| rows against seeds | total variation | values with a row |\n|---|---|---|"
    if coverage.with_row is not None:
        yield f"| seeds with a row | | {coverage.with_row:,} of {coverage.seeds:,} |"
    for name, distance in coverage.distance.items():
        values = coverage.values.get(name)
        counts = "" if values is None else f"{values[0]:,} of {values[1]:,}"
        yield f"| {escaped(name)} | {distance:.2f} | {counts} |"


def _overlaps(summary: Summary) -> Iterator[str]:
    if not summary.overlaps:
        return
    yield "\n| overlap with test set | rows | dropped |\n|---|---|---|"
    for test, overlap in summary.overlaps.items():
        yield f"| {escaped(test)} | {len(overlap.rows):,} | {len(overlap.dropped):,} |"


def _totals_row(name: str, totals: Totals) -> str:
    filtered, failed = sum(totals.filtered.values()), sum(totals.failed.values())
    figures = (totals.input, totals.kept, filtered, failed, totals.unfinished)
    return f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} |"


def _rounds(facts: CardFacts) -> Iterator[str]:
    gaps = facts.summary.gaps
    if not gaps.scored:
        return
    yield "\n| round | scored | selected | rate | rows |\n|---|---|---|---|---|"
    for number, scored in gaps.scored.items():
        selected, rows = gaps.selected.get(number, 0), facts.summary.by_iteration.get(number, 0)
        rate = "-" if gaps.selection.unfinished else f"{selected / scored:.1%}"
        yield f"| {number} | {scored:,} | {selected:,} | {rate} | {rows:,} |"
    yield f"\n{' '.join(selection_lines(gaps.selection))}."
    won = ", ".join(f"{who} {count:,}" for who, count in facts.summary.winners.items())
    if won:
        yield f"\nBetter answers: {won}."


def _costs(facts: CardFacts) -> Iterator[str]:
    summary = facts.summary
    yield "\n## What it cost\n"
    if not summary.calls_in_all:
        yield "Nothing: all replies came from the cache."
        return
    money = summary.money_in_all
    roles = ", ".join(summary.prices)
    cost = "no price is known" if money is None else f"{money:.2f} at the prices known for {roles}"
    yield f"{summary.calls_in_all:,} paid calls to models in all sessions; {cost}."


def _contents(facts: CardFacts) -> Iterator[str]:
    contents = facts.contents
    yield "\n## What is in it\n"
    yield (
        f"An instruction has {contents.instruction_length:,.0f} characters on average, an answer"
        f" {contents.answer_length:,.0f}."
    )
    if contents.use_cases:
        use_cases = (f"{escaped(name)} ({count:,})" for name, count in contents.use_cases)
        yield f"The most frequent use cases: {', '.join(use_cases)}."
    if contents.first:
        yield "\nThe first row:\n"
        yield fenced(contents.first.instruction)
        yield ""
        yield fenced(_answer_text(contents.first))


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "\n## Limits and known biases\n"
    yield "* Models wrote these texts: expect errors and fabrications."
    if _has(facts, "target"):
        yield "* It is made for one target model: what that model already does well is left out."
    if _has(facts, "judge"):
        yield f"* {_whose_judgement(facts.config)}"
    yield from _bias(facts)
    yield "* Topics, language and bias of the seeds carry over; so may their rights."
    unchecked = "" if facts.summary.overlaps else ", overlap with test sets"
    yield f"* Not checked: facts, personal data, safety{unchecked}."


def _whose_judgement(config: Config) -> str:
    models = {role.model for role in config.judge_roles.values()}
    if len(config.judge_roles) > 1:
        own = "the strong model among them" if config.strong.model in models else "other models"
        return f"The mean of {len(config.judge_roles)} judges counts, {own}."
    if config.strong.model in models:
        return "The judge is the strong model, which may prefer its own answers."
    return "The judge and the strong model are different models."


def _bias(facts: CardFacts) -> Iterator[str]:
    bias = facts.summary.gaps.bias
    if bias is not None:
        yield (
            f"* Position bias of the judge: {bias.describe('rounds')}. Scores are means over both"
            " orders."
        )
    judge = facts.summary.gaps.judge
    if judge is not None:
        verdict = "" if judge.is_reliable else ": what was selected is mostly chance"
        yield f"* Reliability of the judge: {judge.describe()}{verdict}."
        yield from (f"    * {escaped(line)}" for line in panel_lines(facts.summary.gaps.panel))


def _citation(_: CardFacts) -> Iterator[str]:
    yield "\n## Citation\n"
    yield f"```bibtex\n{_CITATION}\n```\n"
