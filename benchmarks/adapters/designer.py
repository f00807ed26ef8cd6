# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""data-designer: one text column over a seed column, a row group as large as its buffer."""

from collections.abc import Sequence
from pathlib import Path

from timing import Call, main


def load() -> Call:
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        seeds = folder / "seeds.parquet"
        if not seeds.exists():
            pd.DataFrame({"prompt": list(prompts)}).to_parquet(seeds)
        designer = DataDesigner(
            artifact_path=folder / "artifacts",
            model_providers=[dd.ModelProvider(name="ours", endpoint=base, api_key="none")],
        )
        designer.set_run_config(
            dd.RunConfig(disable_early_shutdown=True, max_in_flight_tasks=max(1024, concurrency))
        )
        model = dd.ModelConfig(
            alias="m",
            model="m",
            provider="ours",
            skip_health_check=True,
            inference_parameters=dd.ChatCompletionInferenceParams(
                temperature=0.7, max_parallel_requests=concurrency
            ),
        )
        builder = dd.DataDesignerConfigBuilder(model_configs=[model])
        builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seeds)))
        builder.add_column(
            dd.LLMTextColumnConfig(name="answer", model_alias="m", prompt="{{ prompt }}")
        )
        results = designer.create(
            builder,
            num_records=len(prompts),
            dataset_name="rows",
            resume=dd.ResumeMode.IF_POSSIBLE,
        )
        return len(results.load_dataset())

    return ask


if __name__ == "__main__":
    main(load)
