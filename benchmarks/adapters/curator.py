# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""bespokelabs-curator with its openai backend; its limits raised out of the way.

It downloads a table when it starts, to count tokens with. Here it gets a table of single bytes, so
that it runs without a network; counting is then slightly cheaper.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from timing import Call, main


def load() -> Call:
    os.environ["CURATOR_DISABLE_RICH_DISPLAY"] = "1"
    os.environ["TELEMETRY_ENABLED"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["OPENAI_API_KEY"] = "none"
    import tiktoken

    def single_bytes(_: str) -> tiktoken.Encoding:
        ranks = {bytes([n]): n for n in range(256)}
        return tiktoken.Encoding(
            "bytes", pat_str=r"\w+|\W", mergeable_ranks=ranks, special_tokens={}
        )

    tiktoken.get_encoding = tiktoken.encoding_for_model = single_bytes
    from bespokelabs import curator

    def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        os.environ["CURATOR_CACHE_DIR"] = str(folder / "curator")
        model = curator.LLM(
            model_name="gpt-4o-mini",
            backend="openai",
            backend_params={
                "base_url": base,
                "api_key": "none",
                "max_concurrent_requests": concurrency,
                "max_requests_per_minute": 10_000_000,
                "max_tokens_per_minute": 10_000_000_000,
            },
            generation_params={"temperature": 0.7},
        )
        response = model(list(prompts), working_dir=str(folder / "curator"))
        return len(getattr(response, "dataset", response))

    return ask


if __name__ == "__main__":
    main(load)
