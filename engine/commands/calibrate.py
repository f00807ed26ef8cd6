"""``codeclm calibrate``: the yield of each threshold θ, from pilot runs; makes no call."""

import argparse
from pathlib import Path

from ..evaluate.calibration.calibrate import calibrate
from ..evaluate.calibration.pilot import read_pilot
from ..evaluate.calibration.report import calibration_text
from .arguments import add_examples, add_json, share
from .exit_status import ExitStatus
from .output import print_json, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="RUN", help="folders of pilot runs"
    )
    parser.add_argument(
        "--yield",
        dest="target_yield",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="pairs to get per basic instruction, above 0 and at most 1 (default: 0.5)",
    )
    add_json(parser)
    add_examples(
        parser,
        "codeclm calibrate runs/pilot",
        "# the θ that selects 30 % of the pairs",
        "codeclm calibrate runs/pilot-a runs/pilot-b --yield 0.3",
    )


def run(args: argparse.Namespace) -> int:
    calibrations = [calibrate(read_pilot(folder), args.target_yield) for folder in args.folders]
    if args.json:
        print_json(calibrations)
    else:
        print_text("\n".join(map(calibration_text, calibrations)))
    return ExitStatus.DONE
