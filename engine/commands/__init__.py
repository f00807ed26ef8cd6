"""The verbs of the command line: each has a module of its name, imported when it is chosen.

`TASKS` is what ``codeclm --help`` prints, in its order. To add a verb, add a row to its task and a
module beside this one with the two functions of `Command`. The other modules hold what several
verbs share: `arguments`, `settings`, `runs`, `sessions`, `output`, `exit_status`.
"""

import argparse
from importlib import import_module
from typing import Protocol, cast


class Command(Protocol):
    """What a verb's module defines."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's own arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Carry the verb out and return its `ExitStatus`."""
        ...


TASKS = {
    "make": {
        "init": "write a configuration file to start from",
        "check": "check configuration and seeds; makes no call",
        "plan": "forecast calls, tokens and cost; makes no call",
        "preview": "make a few examples and print them in full",
        "run": "make a dataset, or continue making it",
        "resume": "continue a run, given its folder",
    },
    "look": {
        "status": "summarise a run, even while it works",
        "inspect": "list examples, or print one with all its calls",
        "view": "show runs in the browser, even while they work",
        "report": "write the page of `view` as one file",
    },
    "share": {
        "export": "write the dataset to a file or a trainer's folder",
        "push": "publish the dataset on the Hugging Face Hub",
        "pack": "put a run into one file, to go on elsewhere",
        "unpack": "make a run's folder from such a file",
        "review": "export rows for human review, import the decisions",
    },
    "train": {
        "tune": "fine-tune a model on this machine",
        "answer": "answer a test set with a model on this machine",
        "loop": "rounds of making data, tuning on it and evaluating",
    },
    "measure": {
        "calibrate": "choose the threshold θ from pilot runs; makes no call",
        "contamination": "find rows of a dataset that overlap with test sets",
        "evaluate": "let a judge compare two models on a test set",
        "compare": "make datasets by several recipes and compare them",
        "bench": "measure the speed of this machine or an endpoint",
    },
    "maintain": {
        "cache": "examine the cache of paid answers, make room in it",
        "models": "list models with prices, sampling and last days",
        "plugins": "list providers, recipes, export formats and prompts",
        "completion": "let bash, zsh or fish complete commands and flags",
    },
}

COMMANDS = {verb: summary for verbs in TASKS.values() for verb, summary in verbs.items()}


def load(verb: str) -> Command:
    """Import the module of *verb*, which is one of `COMMANDS`."""
    return cast("Command", import_module(f".{verb}", __name__))
