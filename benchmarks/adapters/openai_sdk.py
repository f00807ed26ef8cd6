# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""The openai SDK behind a semaphore, on its aiohttp back end (the fastest it offers)."""

import asyncio
from collections.abc import Sequence

from timing import Call, main


def load() -> Call:
    import openai

    async def ask(base: str, prompts: Sequence[str], concurrency: int) -> int:
        bound = type(openai.DEFAULT_CONNECTION_LIMITS)  # of httpx or of its successor
        limits = bound(max_connections=None, max_keepalive_connections=None)
        async with openai.AsyncOpenAI(
            base_url=base,
            api_key="none",
            max_retries=8,
            http_client=openai.DefaultAioHttpClient(limits=limits),
        ) as client:
            places = asyncio.Semaphore(concurrency)

            async def one(prompt: str) -> str:
                async with places:
                    said = await client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": prompt}], temperature=0.7
                    )
                return said.choices[0].message.content

            return len(await asyncio.gather(*map(one, prompts)))

    return lambda base, prompts, concurrency, _: asyncio.run(ask(base, prompts, concurrency))


if __name__ == "__main__":
    main(load)
