# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""litellm's Router; cooldowns off, since rows of a deployment that refused would fail at once."""

import asyncio
from collections.abc import Sequence

from timing import Call, main


def load() -> Call:
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False

    async def ask(base: str, prompts: Sequence[str], concurrency: int) -> int:
        router = litellm.Router(
            model_list=[
                {
                    "model_name": "m",
                    "litellm_params": {"model": "openai/m", "api_base": base, "api_key": "none"},
                }
            ],
            num_retries=8,
            disable_cooldowns=True,
        )
        slots = asyncio.Semaphore(concurrency)

        async def ask_one(prompt: str) -> str:
            async with slots:
                completion = await router.acompletion(
                    model="m", messages=[{"role": "user", "content": prompt}], temperature=0.7
                )
            return completion.choices[0].message.content

        return len(await asyncio.gather(*map(ask_one, prompts)))

    return lambda base, prompts, concurrency, _: asyncio.run(ask(base, prompts, concurrency))


if __name__ == "__main__":
    main(load)
