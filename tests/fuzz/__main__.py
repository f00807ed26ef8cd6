"""The command of `scripts/fuzz`."""

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from .cases import fuzzer
from .families import FAMILIES


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Feed damaged input to commands.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cases", type=int, help="stop after so many cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--family", choices=tuple(FAMILIES), help="of this family alone")
    parser.add_argument("--folder", type=Path, help="where cases are kept that went wrong")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="codeclm-fuzz-"))
    print(f"seed {args.seed}", flush=True)
    kinds: dict[str, int] = {}
    cases = 0
    end = time.monotonic() + args.minutes * 60
    with fuzzer(folder, seed=args.seed) as fuzz:
        for number in count(args.first):
            if time.monotonic() > end or cases == args.cases:
                break
            cases += 1
            for finding in fuzz.case(number, args.family):
                kinds[finding.problem] = kinds.get(finding.problem, 0) + 1
                if kinds[finding.problem] > 1:
                    continue
                line = shlex.join(finding.command)
                more = f" --family {args.family}" if args.family else ""
                print(f"{finding.family}: {finding.problem}: codeclm {line[:300]}")
                repeat = f"--seed {args.seed} --first {number} --cases 1{more}"
                print(f"    repeat: scripts/fuzz {repeat}", flush=True)
        statuses = ", ".join(f"{n} × {status}" for status, n in sorted(fuzz.statuses.items()))
    print(f"{cases} cases, {fuzz.commands} commands ({statuses}), {len(kinds)} kinds of problems")
    for problem, number in sorted(kinds.items(), key=lambda kind: -kind[1]):
        print(f"{number:>6} {problem}")
    if not kinds and not args.folder:
        shutil.rmtree(folder)
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
