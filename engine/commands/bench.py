"""bench: what this machine can do, what an endpoint can do, and which settings follow."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.errors import UserError
from .arguments import Verbs, add_verb, quoted, read_dotenv
from .status import DONE

if TYPE_CHECKING:
    from ..bench import EndpointTrial, MachineTrial
    from ..config import RoleConfig

AT_ONCE = (64, 256, 1000)


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "bench", _bench, "measure this machine or, with --model, an endpoint (it is paid)"
    )
    parser.add_argument("--model", metavar="P/MODEL", help="endpoint to try, as provider/model")
    parser.add_argument("--base-url", metavar="URL", help="OpenAI-compatible server")
    parser.add_argument("--api-key", metavar="NAME", help="environment variable with the key")
    parser.add_argument(
        "--calls", type=_count, metavar="N", help="how many (default: 200; the machine: 5000)"
    )
    parser.add_argument(
        "--max-concurrent", "-c", type=_count, default=256, metavar="N", help="most in flight"
    )
    parser.add_argument(
        "--max-tokens", type=_count, default=256, metavar="N", help="longest answer"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def _bench(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="codeclm-bench-") as folder:
        if args.model is None and args.base_url is None:
            _machine(args, Path(folder))
        else:
            _endpoint(args, Path(folder))
    return DONE


def _machine(args: argparse.Namespace, folder: Path) -> None:
    from ...providers import json_codec
    from .. import bench
    from ..reporting import log

    log.to_nowhere()
    trials = bench.machine(AT_ONCE, args.calls or 5000, folder)
    if args.json:
        print(json_codec.dumps(trials).decode())
        return
    print("this machine, against a server that answers at once; every answer is on disk")
    print(f"{'in flight':>10} {'calls/s':>10} {'CPU-µs/call':>12} {'from cache/s':>13}")
    for one in trials:
        print(_machine_line(one))


def _machine_line(one: "MachineTrial") -> str:
    return (
        f"{one.in_flight:>10,} {one.calls_per_second:>10,.0f}"
        f" {one.cpu_us:>12,.0f} {one.replayed_per_second:>13,.0f}"
    )


def _endpoint(args: argparse.Namespace, folder: Path) -> None:
    from ...providers import json_codec
    from .. import bench
    from ..reporting import log

    read_dotenv()
    log.to_nowhere()
    role = _role(args)
    calls = args.calls or 200
    print(f"codeclm: up to {calls} calls to {role.model}", file=sys.stderr)
    trial = bench.endpoint(role, calls, args.max_concurrent, folder)
    if args.json:
        print(json_codec.dumps(trial).decode())
        return
    print(
        f"{'in flight':>10} {'calls/s':>9} {'tokens/s':>9} {'p50 s':>8} {'p90 s':>8} {'p99 s':>8}"
        f" {'answered':>9} {'429s':>6} {'failed':>7}"
    )
    for one in trial.levels:
        print(
            f"{one.in_flight:>10,} {one.calls_per_second:>9,.1f} {one.tokens_per_second:>9,.0f}"
            f" {one.p50:>8.3f} {one.p90:>8.3f} {one.p99:>8.3f}"
            f" {one.answered:>9,} {one.refused:>6,} {one.failed:>7,}"
        )
    _suggest(role, trial)


def _suggest(role: "RoleConfig", trial: "EndpointTrial") -> None:
    print("\nsuggested for each role that uses it:")
    print(f"  model = {quoted(role.model)}")
    for name, value in trial.suggested.items():
        print(f"  {name} = {value:g}")
    for note in trial.notes:
        print(f"note: {note}")
    if trial.complaint:
        print(f"note: the last failure was: {trial.complaint}")


def _role(args: argparse.Namespace) -> "RoleConfig":
    from .. import config

    if not args.model:
        raise config.ConfigError("--model: it is missing: write provider/model")
    role = config.RoleConfig(
        model=args.model,
        base_url=args.base_url,
        api_key=args.api_key,
        max_tokens=args.max_tokens,
        max_concurrent=args.max_concurrent,
    )
    try:
        config.hosted_model(role)
        config.key(role)
    except (UserError, ValueError) as error:
        raise config.ConfigError(f"--model: {error}") from error
    return role
