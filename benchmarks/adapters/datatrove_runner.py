# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""datatrove's InferenceRunner in this process; with checkpoints if answers must be kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timing import Call, main, must_keep_answers


def load() -> Call:
    import json

    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()

    async def rollout(document: Any, generate: Any) -> str:
        completion = await generate({"messages": [{"role": "user", "content": document.text}]})
        return completion.text

    def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        config = InferenceConfig(
            server_type="endpoint",
            model_name_or_path="m",
            endpoint_url=base.removesuffix("/v1"),
            default_generation_params={"temperature": 0.7},
            max_concurrent_generations=concurrency,
            server_ready_delay_sec=0.1,
        )
        writer = JsonlWriter(
            str(folder / "out"), output_filename="${rank}_${chunk_index}.jsonl", compression=None
        )
        runner = InferenceRunner(
            rollout_fn=rollout,
            config=config,
            output_writer=writer,
            checkpoints_local_dir=str(folder / "checkpoints") if must_keep_answers() else None,
            records_per_chunk=500,
        )
        runner.run((Document(text=text, id=str(n)) for n, text in enumerate(prompts)), 0, 1)
        lines = [
            json.loads(line)
            for file in (folder / "out").glob("*.jsonl")
            for line in file.read_text("utf-8").splitlines()
        ]
        return len({line["id"] for line in lines})

    return ask


if __name__ == "__main__":
    main(load)
