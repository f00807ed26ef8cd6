# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""async-batch-llm's process_prompts; with JSON-lines artifacts if answers must be kept."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from timing import Call, main, must_keep_answers


def load() -> Call:
    from async_batch_llm import JsonlArtifactStore, ResumePolicy, llm, process_prompts

    async def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        batch = await process_prompts(
            llm("openai-compatible:m", base_url=base, api_key="none", temperature=0.7),
            list(prompts),
            concurrency=concurrency,
            artifact_store=JsonlArtifactStore(folder / "answers.jsonl")
            if must_keep_answers()
            else None,
            resume=ResumePolicy.REUSE_SUCCESSES if must_keep_answers() else ResumePolicy.NONE,
        )
        return sum(1 for result in batch.results if result.success)

    return lambda *arguments: asyncio.run(ask(*arguments))


if __name__ == "__main__":
    main(load)
