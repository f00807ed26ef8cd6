# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""The openai SDK behind a semaphore, on its aiohttp backend, the fastest it has."""

import asyncio
from collections.abc import Sequence

from timing import Call, main


def load() -> Call:
    import openai

    async def ask(base: str, prompts: Sequence[str], concurrency: int) -> int:
        limits_type = type(openai.DEFAULT_CONNECTION_LIMITS)  # of httpx or of its successor
        limits = limits_type(max_connections=None, max_keepalive_connections=None)
        async with openai.AsyncOpenAI(
            base_url=base,
            api_key="none",
            max_retries=8,
            http_client=openai.DefaultAioHttpClient(limits=limits),
        ) as client:
            slots = asyncio.Semaphore(concurrency)

            async def ask_one(prompt: str) -> str:
                async with slots:
                    completion = await client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": prompt}], temperature=0.7
                    )
                return completion.choices[0].message.content

            return len(await asyncio.gather(*map(ask_one, prompts)))

    return lambda base, prompts, concurrency, _: asyncio.run(ask(base, prompts, concurrency))


if __name__ == "__main__":
    main(load)
