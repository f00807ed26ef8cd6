"""The command of `scripts/chaos`."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .rounds import play
from .sessions import Round

HEADER = (
    "   # scenario  width transport    budget  over requests faults kills in-flight re-paid old-ms"
    " unaccounted  verdict"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Kill and resume real runs.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--size", type=int, default=4, help="1: some hundred calls a round")
    parser.add_argument(
        "--strict", action="store_true", help="for a quiet machine: an answer is stored in 50 ms"
    )
    parser.add_argument("--folder", type=Path, help="where rounds are kept that went wrong")
    args = parser.parse_args()
    # In the background of a shell SIGINT is ignored, and processes that we start inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = args.folder or Path(tempfile.mkdtemp(prefix="codeclm-chaos-"))
    print(f"seed {args.seed}, size {args.size}\n{HEADER}", flush=True)

    def report(result: Round) -> None:
        print(_line(result), flush=True)
        if result.wrong:
            repeat = f"--seed {args.seed} --size {args.size} --first {result.number} --rounds 1"
            print(f"repeat: scripts/chaos {repeat}", flush=True)

    results = play(
        args.rounds,
        seed=args.seed,
        folder=folder,
        first=args.first,
        size=args.size,
        strict=args.strict,
        report=report,
    )
    wrong = [result for result in results if result.wrong]
    print(_totals(results) + (f" (kept in {folder})" if wrong else ""))
    if not wrong and not args.folder:
        shutil.rmtree(folder)
    return 1 if wrong else 0


def _line(result: Round) -> str:
    plan = result.plan
    transport = f"{plan.transport}, sse" if plan.streams else plan.transport
    return (
        f"{result.number:>4} {plan.scenario.name:<8} {plan.width:>6} {transport:<12}"
        f" {plan.budget or '-':>6} {result.over:>5} {result.requests:>8} {result.faults:>6}"
        f" {result.kills:>5} {result.in_flight:>9} {result.again:>7} {result.oldest * 1000:>6.0f}"
        f" {result.unaccounted:>11}  {'; '.join(result.wrong) or 'ok'}"
        f"  [{', '.join(result.interventions)}]"
    )


def _totals(results: Sequence[Round]) -> str:
    interventions = sum(len(result.interventions) for result in results)
    return (
        f"{len(results)} rounds, {interventions} interventions,"
        f" {sum(result.kills for result in results)} kills,"
        f" {sum(result.requests for result in results)} requests,"
        f" {sum(result.faults for result in results)} faults,"
        f" {sum(result.in_flight for result in results)} in flight at kills,"
        f" {sum(result.again for result in results)} paid again,"
        f" oldest lost answer {max((r.oldest for r in results), default=0.0) * 1000:.0f} ms,"
        f" {sum(result.unaccounted for result in results)} unaccounted,"
        f" {sum(bool(result.wrong) for result in results)} rounds wrong"
    )


if __name__ == "__main__":
    sys.exit(main())
