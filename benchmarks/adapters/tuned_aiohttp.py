# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""Bare aiohttp, tuned as ours is, without retries or a cache: the baseline."""

import asyncio
from collections.abc import Sequence

from timing import Call, main


def load() -> Call:
    import aiohttp
    import orjson
    import uvloop
    from yarl import URL

    async def ask(base: str, prompts: Sequence[str], concurrency: int) -> int:
        url, headers = URL(f"{base}/chat/completions"), {"Content-Type": "application/json"}
        remaining, answers = iter(prompts), list[str]()

        async def work() -> None:
            for prompt in remaining:
                turns = [{"role": "user", "content": prompt}]
                body = orjson.dumps({"model": "m", "messages": turns, "temperature": 0.7})
                async with session.post(url, data=body, headers=headers) as response:
                    if response.status == 200:
                        reply = orjson.loads(await response.read())
                        answers.append(reply["choices"][0]["message"]["content"])

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            await asyncio.gather(*(work() for _ in range(concurrency)))
        return len(answers)

    return lambda base, prompts, concurrency, _: uvloop.run(ask(base, prompts, concurrency))


if __name__ == "__main__":
    main(load)
