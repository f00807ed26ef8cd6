# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""distilabel: one TextGeneration step, its cache on; batches as large as the calls in flight."""

from collections.abc import Sequence
from pathlib import Path

from timing import Call, main


def load() -> Call:
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        with Pipeline(name="rows", cache_dir=str(folder / "distilabel")) as pipeline:
            rows = LoadDataFromDicts(
                data=[{"instruction": prompt} for prompt in prompts], batch_size=concurrency
            )
            model = OpenAILLM(
                model="m",
                base_url=base,
                api_key="none",
                max_retries=8,
                generation_kwargs={"temperature": 0.7},
            )
            _ = rows >> TextGeneration(llm=model, input_batch_size=concurrency)
        distiset = pipeline.run(use_cache=True)
        return sum(1 for row in distiset["default"]["train"] if row["generation"])

    return ask


if __name__ == "__main__":
    main(load)
