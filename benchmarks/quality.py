"""What each quality rule costs per row, and what near-duplicate indexes cost in memory.

    python benchmarks/quality.py SEEDS.jsonl [--rows 100000]

Instructions are the seeds' own, with half of their words replaced by words of other seeds.
Responses are four instructions long.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random

from codeclm.engine.data.records import Seed
from codeclm.engine.data.seeds import SeedSource, read
from codeclm.engine.data.text.rouge import RougeIndex
from codeclm.engine.quality.checks import Check, LanguageCheck, LengthCheck
from codeclm.engine.quality.contamination import ContaminationCheck, PromptIndex
from codeclm.engine.quality.similarity import MinHashIndex, SimilarityIndex

PAGE = 4096


def resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE


def per_row(step: Callable[[str], object], rows: Iterable[str]) -> float:
    """Return the microseconds that *step* takes per row."""
    count = 0
    start = time.perf_counter()
    for row in rows:
        step(row)
        count += 1
    return (time.perf_counter() - start) / count * 1e6


def read_row(check: Check, row: str) -> object:
    return check(row, "response")


def filter_rows(index: SimilarityIndex, rows: list[str]) -> tuple[float, float]:
    """Return microseconds and bytes per row."""
    before = resident()

    def step(row: str) -> None:
        if not index.similar(row):
            index.add(row)

    return per_row(step, rows), (resident() - before) / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    args = parser.parse_args()
    texts = [seed.instruction for seed in read(SeedSource((args.seeds,))) if isinstance(seed, Seed)]
    words = [word for text in texts for word in text.split()]
    random = Random(0)

    def row() -> str:
        original = random.choice(texts).split()[:60]
        return " ".join(
            random.choice(words) if random.random() < 0.5 else word for word in original
        )

    rows = [row() for _ in range(args.rows)]
    few = rows[:2000]
    answers = ["\n".join(few[n : n + 4]) for n in range(len(few) - 4)]
    overlap = PromptIndex((("seeds", str(n), text) for n, text in enumerate(texts)), 13)
    for name, check in (
        ("length", LengthCheck("response", 3, 1000)),
        ("language", LanguageCheck(["en"])),
        ("overlap", ContaminationCheck(overlap)),
    ):
        instructions, responses = (
            per_row(partial(read_row, check), sample) for sample in (few, answers)
        )
        print(f"{name:<10} {instructions:8.1f} µs/instruction {responses:8.1f} µs/response")
    for name, index, count in (
        ("rouge", RougeIndex(0.7), min(args.rows, 20_000)),
        ("minhash", MinHashIndex(0.7), args.rows),
    ):
        microseconds, size = filter_rows(index, rows[:count])
        print(f"{name:<10} {microseconds:8.1f} µs {size:8.0f} bytes per row, {count:,} rows")


if __name__ == "__main__":
    main()
