# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
"""codeclm: one stage of a line, with every answer on disk before it counts."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from timing import Call, main


def load() -> Call:
    import gc

    import anyio

    from codeclm.engine.calls.clients import CallSettings, open_clients
    from codeclm.engine.calls.counters import Counters
    from codeclm.engine.calls.prompts import load_prompts
    from codeclm.engine.config import build_config
    from codeclm.engine.pipeline import line as flow
    from codeclm.prompts import Respond

    async def ask(base: str, prompts: Sequence[str], concurrency: int, folder: Path) -> int:
        role = "strong"
        config = build_config(
            {"seeds": "none", "target": {"model": "vllm/m"}},
            [
                f"{role}.model='vllm/m'",
                f"{role}.base_url='{base}'",
                f"{role}.max_concurrent={concurrency}",
                f"cache.folder='{folder}'",
            ],
            where="benchmark",
        )
        answers = list[str]()

        async def rows() -> AsyncIterator[tuple[int, str]]:
            for row in enumerate(prompts):
                yield row

        async def keep(answer: str) -> None:
            answers.append(answer)

        def lost(*_: object) -> None:
            return

        loaded = {role: load_prompts(config, role, config.strong, (Respond,), "benchmark")}
        settings = CallSettings(config.cache.path(), config.retry, config.parse_attempts)
        async with open_clients(
            {role: config.strong}, loaded, settings, counters=Counters()
        ) as clients:

            async def respond(row: tuple[int, str]) -> list[str]:
                number, prompt = row
                reply = await clients.models[role].ask(
                    Respond(instruction=prompt), item=str(number)
                )
                return [reply.value]

            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 50, 1000)
            line = flow.begin(flow.Stage("respond", respond, lost, concurrency, concurrency))
            await flow.run(rows(), line, keep, halt=lost, counts={})
            await clients.drained()
        return len(answers)

    return lambda *arguments: anyio.run(ask, *arguments, backend_options={"use_uvloop": True})


if __name__ == "__main__":
    main(load)
