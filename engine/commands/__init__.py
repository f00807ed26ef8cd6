"""The verbs of the command line: each has a module of its name, imported when it is chosen.

`COMMANDS` is the list that ``codeclm --help`` prints, in its order. To add a verb, add a row here
and a module beside it with the two functions of `Command`. The other modules hold what several
verbs share: `arguments`, `settings`, `folders`, `sessions`, `output`, `exit_status`.
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


COMMANDS = {
    "run": "make a dataset; repeat the command to continue an interrupted run",
    "resume": "continue a run that was stopped or failed",
    "preview": "make a few examples in a temporary folder and print their transcripts",
    "init": "write a commented configuration file to start from",
    "check": "check the configuration and the seeds without making a call",
    "plan": "estimate the calls, tokens and cost of a run without making a call",
    "status": "summarise a run, even while it is working",
    "report": "write a run's summary and transcripts as one HTML page",
    "export": "write the dataset to a file or a trainer's folder, even while the run is working",
    "inspect": "print the full transcript of one example",
    "review": "export rows for human review, and import the decisions",
    "contamination": "find the rows of a dataset that overlap with test sets",
    "evaluate": "let a judge compare two models on a test set: wins, ties, losses, CRR",
    "calibrate": "help to choose the threshold θ from pilot runs",
    "compare": "make datasets by several recipes and compare them",
    "tune": "fine-tune a model on this machine, with the paper's settings",
    "answer": "answer a test set with a model on this machine, as input for evaluate",
    "cache": "examine the cache of paid answers, or make room in it",
    "plugins": "list the providers, recipes, export formats and prompts, and who brings them",
    "bench": "measure this machine or, with --model, an endpoint (those calls are billed)",
}


def load(verb: str) -> Command:
    """Import the module of *verb*, which is one of `COMMANDS`."""
    return cast("Command", import_module(f".{verb}", __name__))
