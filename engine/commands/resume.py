"""``codeclm resume``: continue a run, given its folder."""

import argparse

from ..config import load_config
from ..pipeline.prepare import prepare
from .arguments import add_progress, add_run_folder
from .runs import existing_run
from .sessions import run_and_report
from .settings import add_override, read_dotenv, toml_string


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    add_override(parser)
    add_progress(parser)


def run(args: argparse.Namespace) -> int:
    path = existing_run(args.folder).config
    read_dotenv()
    config = load_config(path, [f"out={toml_string(str(args.folder))}", *args.overrides])
    return run_and_report(prepare(config, where=str(path)), args, allow_change=False)
