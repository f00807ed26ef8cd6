# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""inspect_ai: an eval set whose samples are the rows; no scorer, no display."""

import os
from collections.abc import Sequence
from pathlib import Path

from timing import Call, main


def load() -> Call:
    os.environ["INSPECT_DISPLAY"] = "none"
    from inspect_ai import Task, eval_set
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.solver import generate

    def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        model = get_model(
            "openai/m",
            base_url=base,
            api_key="none",
            responses_api=False,
            config=GenerateConfig(max_connections=concurrency, temperature=0.7, max_retries=20),
        )
        samples = [Sample(input=prompt, id=n) for n, prompt in enumerate(prompts)]
        task = Task(dataset=MemoryDataset(samples), solver=generate(), name="rows")
        # An eval set reuses what an interrupted one in the same folder has answered.
        _, logs = eval_set(
            task,
            model=model,
            log_dir=str(folder / "logs"),
            max_samples=concurrency,
            log_buffer=100,
            score=False,
            retry_attempts=0,
        )
        return logs[0].eval.dataset.samples if logs[0].status == "success" else 0

    return ask


if __name__ == "__main__":
    main(load)
