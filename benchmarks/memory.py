"""Does memory grow with the number of seeds? Resident size of a real run, over time.

``codeclm run`` in a process of its own streams seeds of seven calls each (encode, decode, rubrics,
two answers, two scores) against the load server. What counts is the growth after a tenth of the
seeds, when every pool is full.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .callpath import write_seeds
from .measuring import (
    CLIENT_CORE,
    Gate,
    Line,
    LoadServer,
    announce,
    arguments,
    hold,
    keep,
    load_server,
    megabytes_of,
    plot,
    settle,
    show,
)


class Sample(NamedTuple):
    seconds: float
    seeds: int
    """Seeds finished by then."""
    megabytes: float


class _Refine(msgspec.Struct, frozen=True):
    left: int = 0


class _Stages(msgspec.Struct, frozen=True):
    refine: _Refine = _Refine()


class _Progress(msgspec.Struct, frozen=True):
    """The part of ``codeclm run --json`` that is read here: one instruction is one seed."""

    stages: _Stages


_progress = msgspec.json.Decoder(_Progress)


def sample_memory(server: LoadServer, seeds: int, in_flight: int, folder: Path) -> list[Sample]:
    """Run *seeds* seeds to the end; sample the process twice a second."""
    write_seeds(folder / "seeds.jsonl", seeds)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "codeclm.engine", "run"),
            *("--seeds", str(folder / "seeds.jsonl"), "--base-url", f"{server.url}/v1"),
            *("--strong", "vllm/m", "--target", "vllm/m", "--max-concurrent", str(in_flight)),
            *("--per-metadata", "1", "--max-iterations", "1", "--set", "judge.temperature=0.7"),
            *("--set", "filter.leftover=keep_strong"),
            *("--out", str(folder / "run"), "--cache", str(folder / "cache"), "--json"),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),  # noqa: PLW1509
    )
    finished = [0]
    listener = threading.Thread(target=_listen, args=(process, finished))
    listener.start()
    samples = list[Sample]()
    start = time.monotonic()
    while process.poll() is None:
        time.sleep(0.5)
        if size := megabytes_of(process.pid):
            samples.append(Sample(time.monotonic() - start, finished[0], size))
    listener.join()
    if process.returncode:
        raise RuntimeError(f"exit status {process.returncode}")
    return samples


def _listen(process: "subprocess.Popen[bytes]", finished: list[int]) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            try:
                finished[0] = _progress.decode(line).stages.refine.left
            except msgspec.MsgspecError:
                continue  # a line for people


def summary(seeds: int, in_flight: int, samples: list[Sample]) -> dict[str, Any]:
    sizes = [sample.megabytes for sample in samples]
    # The end of a run empties its pools and reads the ledger: it is reported separately.
    working = [sample for sample in samples if sample.seeds < seeds * 0.95] or samples
    warm = [s.megabytes for s in working if s.seeds >= min(seeds * 0.1, 100_000)] or sizes
    return {
        "seeds": seeds,
        "in flight": in_flight,
        "seeds/s": round(seeds / samples[-1].seconds),
        "MB at a tenth": round(warm[0], 1),
        "MB working": round(max(s.megabytes for s in working), 1),
        "growth MB": round(warm[-1] - warm[0], 1),
        "MB most": round(max(sizes), 1),
    }


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--in-flight", type=int, nargs="+")
    parser.add_argument("--latency", type=float, default=50, help="milliseconds")


def main() -> None:
    job, args = arguments(__doc__, _add_arguments)
    seeds = args.seeds or (job.pick([40], [2_000], [10_000, 100_000, 1_000_000]))
    widths = args.in_flight or (job.pick([64], [64], [512, 1000]))
    settle()
    about = announce("memory")
    rows, series = list[dict[str, Any]](), list[dict[str, Any]]()
    for count in seeds:
        for in_flight in widths:
            with (
                load_server(args.latency, "--answers", "staged") as server,
                tempfile.TemporaryDirectory() as folder,
            ):
                samples = sample_memory(server, count, in_flight, Path(folder))
            rows.append(summary(count, in_flight, samples))
            show(f"{count:,} seeds", rows[-1:])
            thin = samples[:: max(1, len(samples) // 500)]
            series.append({"seeds": count, "in flight": in_flight, "samples": thin})
    show("resident memory of a run", rows)
    keep(job, "memory", about, {"summary": rows, "series": series})
    most = max(seeds)
    lines = [
        Line(
            f"{one['in flight']:,} in flight",
            [s.seeds for s in one["samples"]],
            [s.megabytes for s in one["samples"]],
        )
        for one in series
        if one["seeds"] == most
    ]
    plot(job, "memory", "Memory of a run", lines, x="seeds finished", y="MB resident")
    hold(job, [Gate("growth while working, MB", row["growth MB"], most=30) for row in rows])


if __name__ == "__main__":
    main()
