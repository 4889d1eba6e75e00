"""Langfuse is down: what a run, a flush and the end of the program notice of it, against Langfuse being up.

Each measurement is a process of its own that runs agents with a long history, flushes with a bound of two seconds and
ends; the server is a receiver in this process that refuses, resets, hangs, fails or is slow. Runs are compared by
their CPU, exporting threads included, at the median; the time that they took is in brackets, and says as much about
what else the machine did meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.measure import Row, show
from tests.servers.otlp import Fault, Receiver

FAULTS: Final[tuple[Fault, ...]] = ("refused", "reset", "hang", "500", "slow")
UNKNOWN_HOST: Final = "http://langfuse.invalid"
RUNS: Final = 200
SIZE: Final = 200
RATIO: Final = 1.2
FLUSH: Final = 2.2
END: Final = 4.0
GROWTH: Final = 150


@dataclass(frozen=True)
class Seen:
    """What one process saw: CPU seconds and seconds of a run at the median, of its flush and its end; MB that it grew
    by."""

    run: float
    wall: float
    flush: float
    end: float
    growth: float


def rows(rounds: int = 3) -> Iterator[Row]:
    few = rounds == 1
    runs = 3 if few else RUNS
    down = ("hang",) if few else (*FAULTS, "dns")
    found: dict[str, list[Seen]] = {name: [] for name in ("up", *down)}
    for _ in range(rounds):
        for name, seen in found.items():
            seen.append(_seen(name, runs))
    up, up_wall = _least(found["up"])
    for name in down:
        run, wall = _least(found[name])
        ratio = run / up
        claim = f"outage: a run while Langfuse is {_says(name)}"
        yield Row(claim, _both(run, wall), _both(up, up_wall), ratio, f"≤ {RATIO:.1f}×", ratio <= RATIO)
    every = [each for name in down for each in found[name]]
    flush, growth = (max(getattr(each, part) for each in every) for part in ("flush", "growth"))
    end = max(min(each.end for each in found[name]) for name in down)
    yield _bound("the longest flush(2) of any outage", flush, FLUSH)
    yield _bound("the longest end of a program, of any outage, with its own last flush", end, END)
    yield Row(
        f"outage: memory that {runs} runs with {SIZE} KB of history take while nothing leaves",
        f"{growth:.0f} MB",
        f"{max(each.growth for each in found['up']):.0f} MB",
        growth / max(1.0, *(each.growth for each in found["up"])),
        f"≤ {GROWTH} MB",
        growth <= GROWTH,
    )


def _least(seen: list[Seen]) -> tuple[float, float]:
    """Of several medians the least: what else the machine does can only add."""
    return min(each.run for each in seen), min(each.wall for each in seen)


def _both(run: float, wall: float) -> str:
    return f"{show(run)} ({show(wall)})"


def _bound(says: str, seconds: float, goal: float) -> Row:
    return Row(f"outage: {says}", show(seconds), show(goal), seconds / goal, f"≤ {show(goal)}", seconds <= goal)


def _says(name: str) -> str:
    words = {"500": "answering 500", "dns": "at a host that is not known", "hang": "hanging", "reset": "hanging up"}
    return words.get(name, name)


def _seen(name: str, runs: int) -> Seen:
    with nullcontext() if name == "dns" else Receiver(name) as receiver:  # type: ignore[arg-type]
        url = receiver.url if receiver is not None else UNKNOWN_HOST
        keys = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk", "LANGFUSE_BASE_URL": url}
        command = [sys.executable, "-m", "benchmarks.outage", str(runs)]
        variables = {**os.environ, **keys}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=600)
        ended = time.time()
    said = json.loads(done.stdout.splitlines()[-1])
    return Seen(said["run"], said["wall"], said["flush"], ended - said["at"], said["growth"])


def _work(runs: int) -> None:
    """The process that is measured."""
    from benchmarks.langfuse import graph, history
    from langgraph_guard import observability

    observability.setup(langfuse=True, metrics=False)
    app: Any = graph()
    asked = {"messages": history(SIZE)}
    app.invoke(asked, observability.run_config(thread_id="warm"))
    before, took, worked = _memory(), [], []
    for n in range(runs):
        config = observability.run_config(thread_id=str(n))
        began, busy = time.perf_counter(), time.process_time()
        app.invoke(asked, config)
        took.append(time.perf_counter() - began)
        worked.append(time.process_time() - busy)
    growth = _memory() - before
    began = time.perf_counter()
    observability.flush(2.0)
    flush = time.perf_counter() - began
    said = {"run": median(worked), "wall": median(took), "flush": flush, "growth": growth, "at": time.time()}
    print(json.dumps(said), flush=True)


def _memory() -> float:
    """MB of this process that are in memory now."""
    pages = Path("/proc/self/statm").read_text()
    return int(pages.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    _work(int(sys.argv[1]))
