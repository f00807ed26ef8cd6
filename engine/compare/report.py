"""A comparison as text: its headline, the paper's claims, and ``report.md``."""

from collections.abc import Iterable

from ..reporting.tables import markdown
from .claims import Claim
from .result import ComparisonResult
from .tables import comparison_tables


def headline(result: ComparisonResult) -> str:
    """Return what was compared, in a line."""
    targets = {dataset.target_rows for dataset in result.plain_datasets}
    rows = f"{min(targets):,}" if len(targets) == 1 else f"{min(targets):,} to {max(targets):,}"
    seeds = (
        f"from {result.validation:,} of {result.seeds:,} seeds"
        if result.seeds
        else "no seeds in common"
    )
    count = len(result.plain_datasets)
    recipes = "1 recipe" if count == 1 else f"{count} recipes"
    target = f", target {result.target}" if result.target else ""
    return f"{recipes}, {rows} rows each, {seeds}; strong {result.strong}{target}"


def markdown_report(result: ComparisonResult, plots: Iterable[str]) -> str:
    """Write ``report.md``; *plots* are the names of pictures beside it."""
    parts = ["# Comparison of recipes\n", headline(result) + "\n"]
    parts += map(markdown, comparison_tables(result))
    parts += ["### The paper's claims\n", *map(_claim_item, result.claims), ""]
    parts += [f"![{name}]({name})\n" for name in plots]
    return "\n".join(parts)


def _claim_item(claim: Claim) -> str:
    evidence = "".join(f"\n   - {line}" for line in claim.evidence)
    return f"{claim.number}. **{claim.status}**: {claim.text}{evidence}"


def claims_text(claims: Iterable[Claim]) -> str:
    """Write the claims with the figures behind each."""
    lines = ["The paper's claims"]
    for claim in claims:
        lines.append(f"{claim.number}  {claim.status:<14} {claim.text}")
        lines += [f"     {line}" for line in claim.evidence]
    return "\n".join(lines) + "\n"
