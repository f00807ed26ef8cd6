"""``codeclm pack``: a run in one file, to go on elsewhere."""

import argparse
from pathlib import Path

from ..config import load_config
from ..disk.atomic import check_replaceable
from ..reporting.runs import existing_run
from ..store.pack import pack
from .arguments import add_examples, add_force, add_json, add_pay_again, add_run_folder
from .documents import Written
from .exit_status import ExitStatus
from .origin import add_trust, file_origin
from .output import print_json, print_message
from .settings import CACHE_FLAG, add_flags, add_seeds, flag_overrides, seed_overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="file to write (default: NAME.codeclm.tar.gz)"
    )
    add_flags(parser, (CACHE_FLAG,))
    add_seeds(parser)
    add_pay_again(parser)
    add_trust(parser)
    add_force(parser)
    add_json(parser)
    add_examples(
        parser,
        "codeclm pack runs/big",
        "# its seeds have moved since",
        "codeclm pack runs/big --seeds data/seeds.jsonl --to big.codeclm.tar.gz",
    )


def run(args: argparse.Namespace) -> int:
    folder = existing_run(args.folder)
    overrides = [*flag_overrides(args, (CACHE_FLAG,), ()), *seed_overrides(args)]
    config = load_config(folder.config, overrides, check=False)
    origin = file_origin(folder.config, overrides, trusted=args.trust)
    to = args.to or Path(f"{folder.path.absolute().name}.codeclm.tar.gz")
    check_replaceable(to, force=args.force)
    packed = pack(folder, config, to, origin=origin, pay_again=args.pay_again)
    if packed.missing:
        print_message(
            f"{packed.missing:,} answers that the run used are not in"
            f" {config.cache.path()}, and so not in the pack (--cache names another)"
        )
    for name in packed.left_out:
        print_message(f"{name}: not packed: have this test set at the same path where you go on")
    if args.json:
        print_json(Written(str(to), packed.answers))
    size = to.stat().st_size / 1e6
    print_message(
        f"wrote {to}: {size:,.1f} MB, {packed.answers:,} answers, {packed.seed_files:,} seed"
        f" files; to go on elsewhere: codeclm unpack {to.name}"
    )
    return ExitStatus.DONE
