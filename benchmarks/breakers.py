"""A breaker around a call, against Python's own breaker libraries: what it costs, and whether calls run side by side.

What it costs is CPU time of a call that does nothing and succeeds. The peers count failures in a row: pybreaker sets a
counter to 0, purgatory does nothing at all. Ours counts each call in a window: successes of a closed circuit without a
lock, everything else under one.
Side by side is wall time of 32 calls of 20 ms in as many threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any, Final

from benchmarks.measure import Row, interleaved, show, times
from langgraph_guard import MemoryBackend
from langgraph_guard.policies.breaker import SUCCESS, Admit, Admitted, BreakerSettings, CircuitKey, Record
from langgraph_guard.tools.breaker import CircuitBreaker

CALLS: Final = 32
LASTS: Final = 0.020
SIDE_BY_SIDE: Final = 1.25
"""How much longer than bare calls 32 at once may take and still count as side by side."""

Protect = Callable[[Callable[[], Any]], Callable[[], Any]]
"""A function, and the same behind a breaker."""


def ours(call: Callable[[], Any]) -> Callable[[], Any]:
    return CircuitBreaker(MemoryBackend()).wrap(call, "service")


def pybreaker(call: Callable[[], Any]) -> Callable[[], Any]:
    protected: Callable[[], Any] = import_module("pybreaker").CircuitBreaker(fail_max=5)(call)
    return protected


def purgatory(call: Callable[[], Any]) -> Callable[[], Any]:
    factory = import_module("purgatory").SyncCircuitBreakerFactory(default_threshold=5)
    protected: Callable[[], Any] = factory("service")(call)
    return protected


PEERS: Final[dict[str, Protect]] = {"pybreaker": pybreaker, "purgatory": purgatory}


def rows(rounds: int = 100) -> Iterator[Row]:
    yield registry(rounds)
    yield nothing_else("no breaker", lambda call: call, rounds)
    for name, protect in PEERS.items():
        if find_spec(name) is None:
            yield Row.skipped("breakers", f"{name} is not installed")
            continue
        yield nothing_else(name, protect, rounds)
        yield from at_once(name, protect, min(rounds, 11))
    yield from at_once("no breaker", lambda call: call, min(rounds, 11))


def registry(rounds: int) -> Row:
    """What of it is the registry's."""
    execute = MemoryBackend().breakers.execute
    key, settings = CircuitKey("", "breaker", "service"), BreakerSettings()

    def admit_and_record() -> None:
        (admitted,) = execute([Admit(key, settings, "call")])
        assert isinstance(admitted, Admitted)
        execute([Record(key, settings, "call", admitted.generation, SUCCESS)])

    timing = interleaved(times(admit_and_record), times(_nothing), rounds=rounds, calls=200)
    claim = "breakers: admit and record on the memory registry against a function that does nothing"
    return Row(claim, show(timing.ours), show(timing.peer), timing.ratio)


def nothing_else(name: str, protect: Protect, rounds: int) -> Row:
    """A call that does nothing: what is left is the breaker."""
    timing = interleaved(times(ours(_nothing)), times(protect(_nothing)), rounds=rounds, calls=200)
    goal = "–" if name == "no breaker" else "< 1×"
    holds = None if name == "no breaker" else timing.ratio < 1
    claim = f"breakers: a call that does nothing, against {name}"
    return Row(claim, show(timing.ours), show(timing.peer), timing.ratio, goal, holds)


def at_once(name: str, protect: Protect, rounds: int) -> Iterator[Row]:
    """Whether a breaker lets calls run side by side."""
    seconds: dict[str, list[float]] = {"ours": [], name: []}
    with ThreadPoolExecutor(CALLS) as pool:
        for _ in range(rounds):
            for who, each in (("ours", ours(_waits)), (name, protect(_waits))):
                began = time.perf_counter()
                list(pool.map(lambda _, call=each: call(), range(CALLS)))
                seconds[who].append(time.perf_counter() - began)
    own, peer = median(seconds["ours"]), median(seconds[name])
    claim = f"breakers: {CALLS} calls of {LASTS * 1e3:.0f} ms at once, against {name}"
    ours_shown, peer_shown = f"{own * 1e3:.0f} ms", f"{peer * 1e3:.0f} ms"
    yield Row(claim, ours_shown, peer_shown, own / peer, f"< {SIDE_BY_SIDE}×", own / peer < SIDE_BY_SIDE)


def _nothing() -> None:
    pass


def _waits() -> None:
    time.sleep(LASTS)
