"""``codeclm bench``: how fast this machine or an endpoint is, and which settings suit it."""

import argparse
import tempfile
from pathlib import Path

from msgspec import structs

from ..bench.endpoint import EndpointTrial, measure_endpoint
from ..bench.machine import MachineTrial, measure_machine
from ..calls.gate import pass_gate
from ..config import ConfigError, RoleConfig, api_key, check_role, hosted_model
from ..data.errors import UserError
from .arguments import add_examples, add_json, positive_integer
from .exit_status import ExitStatus
from .origin import add_trust, find_origin, print_endpoints
from .output import print_json, print_message, print_text
from .settings import toml_string

IN_FLIGHT = (64, 256, 1000)
"""Levels at which this machine is measured."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="P/MODEL", help="model to call, as provider/model")
    parser.add_argument("--base-url", metavar="URL", help="OpenAI-compatible server")
    parser.add_argument(
        "--api-key", metavar="NAME", help="name of the environment variable that holds the key"
    )
    parser.add_argument(
        "--calls",
        type=positive_integer,
        metavar="N",
        help="how many calls to make (default: 200 to an endpoint, else 5000)",
    )
    parser.add_argument(
        "--max-concurrent",
        type=positive_integer,
        default=256,
        metavar="N",
        help="most calls in flight (default: 256)",
    )
    parser.add_argument(
        "--max-tokens",
        type=positive_integer,
        default=256,
        metavar="N",
        help="length limit of an answer (default: 256)",
    )
    add_trust(parser)
    add_json(parser)
    add_examples(
        parser,
        "# this machine",
        "codeclm bench",
        "# an endpoint: 500 calls, and the settings that suit it",
        "codeclm bench --model vllm/qwen3-8b --calls 500 \\",
        "    --base-url http://localhost:8000/v1",
    )


def run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="codeclm-bench-") as folder:
        if args.model is None and args.base_url is None:
            _bench_machine(args, Path(folder))
        else:
            _bench_endpoint(args, Path(folder))
    return ExitStatus.DONE


def _bench_machine(args: argparse.Namespace, folder: Path) -> None:
    trials = measure_machine(IN_FLIGHT, args.calls or 5000, folder)
    if args.json:
        print_json(trials)
        return
    print_text("this machine, against a server that answers at once; every answer is on disk")
    print_text(f"{'in flight':>10} {'calls/s':>10} {'CPU-µs/call':>12} {'from cache/s':>13}")
    for trial in trials:
        print_text(_machine_line(trial))


def _machine_line(trial: MachineTrial) -> str:
    return (
        f"{trial.in_flight:>10,} {trial.calls_per_second:>10,.0f}"
        f" {trial.cpu_us:>12,.0f} {trial.replayed_per_second:>13,.0f}"
    )


def _bench_endpoint(args: argparse.Namespace, folder: Path) -> None:
    role = _role(args)
    calls = args.calls or 200
    print_message(f"up to {calls} calls to {role.model}")
    trial = measure_endpoint(role, calls, args.max_concurrent, folder)
    if args.json:
        print_json(trial)
        return
    print_text(
        f"{'in flight':>10} {'calls/s':>9} {'tokens/s':>9} {'p50 s':>8} {'p90 s':>8} {'p99 s':>8}"
        f" {'answered':>9} {'429s':>6} {'failed':>7}"
    )
    for level in trial.levels:
        print_text(
            f"{level.in_flight:>10,} {level.calls_per_second:>9,.1f}"
            f" {level.tokens_per_second:>9,.0f}"
            f" {level.p50:>8.3f} {level.p90:>8.3f} {level.p99:>8.3f}"
            f" {level.answered:>9,} {level.refused:>6,} {level.failed:>7,}"
        )
    _print_suggestion(role, trial)


def _print_suggestion(role: RoleConfig, trial: EndpointTrial) -> None:
    print_text("\nsuggested settings for each role that uses this endpoint:")
    print_text(f"  model = {toml_string(role.model)}")
    for name, value in trial.suggested.items():
        print_text(f"  {name} = {value:g}")
    for note in trial.notes:
        print_text(f"note: {note}")
    if trial.complaint:
        print_text(f"note: the last failure was: {trial.complaint}")


def _role(args: argparse.Namespace) -> RoleConfig:
    if not args.model:
        raise ConfigError("--model: required with --base-url, as provider/model")
    role = RoleConfig(
        model=args.model,
        base_url=args.base_url,
        api_key=args.api_key,
        max_tokens=args.max_tokens,
        max_concurrent=args.max_concurrent,
    )
    origin = find_origin(None, (), (role,), trusted=args.trust)
    values: tuple[str | None, ...] = (args.base_url, args.api_key)
    typed = frozenset(value for value in values if value)
    try:
        hosted_model(role)
        api_key(role)
    except UserError as error:
        raise ConfigError(f"--model: {error}") from error
    check_role(role, "command line")
    origin = structs.replace(origin, command_line=typed)
    print_endpoints(pass_gate({"model": role}, "command line", origin))
    return role
