"""Make instruction data for your task and your model, with CodecLM.

    from codeclm import build_config, export, read_rows, run

    config = build_config(
        {
            "seeds": "seeds.jsonl",
            "strong": {"model": "scripted/strong"},
            "target": {"model": "scripted/target"},
            "out": "runs/first",
        }
    )
    summary = run(config)
    print(f"{summary.rows} rows")
    for row in read_rows("runs/first"):
        print(row.instruction, row.chosen.text)
    export("runs/first", "first.parquet", format="sharegpt")

`run` works in programs, notebooks and threads. In your own event loop, `make_dataset` does the
same, and `stream_rows` hands out rows as they are kept:

    async with stream_rows(config) as rows:
        async for row in rows:
            print(row.instruction, row.chosen.text)

`codeclm.engine` documents what plugins use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.api.evaluations import build_evaluation, evaluate
    from .engine.api.exports import export, read_rows
    from .engine.api.runs import make_dataset, prepare, run, stream_rows
    from .engine.config import Config, build_config, load_config
    from .engine.data.errors import CodeclmError, RunStopped, UserError
    from .engine.data.formats import Selection
    from .engine.evaluate.outcome import Outcome
    from .engine.evaluate.settings import EvaluationConfig
    from .engine.pipeline.prepare import Plan
    from .engine.reporting.summary import Summary

__all__ = [
    "CodeclmError",
    "Config",
    "EvaluationConfig",
    "Outcome",
    "Plan",
    "RunStopped",
    "Selection",
    "Summary",
    "UserError",
    "build_config",
    "build_evaluation",
    "evaluate",
    "export",
    "load_config",
    "make_dataset",
    "prepare",
    "read_rows",
    "run",
    "stream_rows",
]

_HOMES = {
    "CodeclmError": ".engine.data.errors",
    "Config": ".engine.config",
    "EvaluationConfig": ".engine.evaluate.settings",
    "Outcome": ".engine.evaluate.outcome",
    "Plan": ".engine.pipeline.prepare",
    "Selection": ".engine.data.formats",
    "RunStopped": ".engine.data.errors",
    "Summary": ".engine.reporting.summary",
    "UserError": ".engine.data.errors",
    "build_config": ".engine.config",
    "build_evaluation": ".engine.api.evaluations",
    "evaluate": ".engine.api.evaluations",
    "export": ".engine.api.exports",
    "load_config": ".engine.config",
    "make_dataset": ".engine.api.runs",
    "prepare": ".engine.api.runs",
    "read_rows": ".engine.api.exports",
    "run": ".engine.api.runs",
    "stream_rows": ".engine.api.runs",
}


if not TYPE_CHECKING:  # a checker must know which names there are

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562): ``codeclm --help`` needs none of them."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)
