"""Concurrency: many threads and many tasks on one circuit, of whom no more than the permitted ones pass."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, Final, TypeVar, cast

import pytest

from langgraph_guard.backends.protocols import BreakerRegistry
from langgraph_guard.policies.breaker import (
    FAILURE,
    SUCCESS,
    Admit,
    Admitted,
    BreakerSettings,
    Outcome,
    Peek,
    Record,
    Refused,
    Status,
)
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import KEY, WAIT, Circuits, Harness

THREADS: Final = 48

Result = TypeVar("Result")


class Concurrency(Harness):
    """A fleet that wakes up at the end of the open time would be the next outage."""

    @pytest.mark.parametrize("permitted", [1, 5])
    def test_at_the_end_of_the_open_time_exactly_the_permitted_probes_pass(self, permitted: int) -> None:
        """48 threads at once. Check-then-set lets up to 48 of them through."""
        settings = BreakerSettings(jitter=0, permitted_number_of_calls_in_half_open_state=permitted)
        passed = []
        for _ in range(self.trials):
            registry = self._about_to_be_half_open(settings)
            replies = in_threads(lambda worker: registry.execute([Admit(KEY, settings, f"w{worker}")])[0])  # noqa: B023 - run now
            admitted = [reply for reply in replies if isinstance(reply, Admitted)]
            changes = [reply.change for reply in admitted if reply.change]
            passed.append((len(admitted), len(changes), sum(isinstance(reply, Refused) for reply in replies)))
        assert passed == [(permitted, 1, THREADS - permitted)] * self.trials

    def test_at_the_end_of_the_open_time_exactly_one_task_passes(self) -> None:
        """The same on one event loop, where every await lets others in."""
        settings = BreakerSettings(jitter=0)
        passed = []
        for _ in range(self.trials):
            registry = self._about_to_be_half_open(settings)
            replies = asyncio.run(_in_tasks(registry, settings))
            passed.append(sum(isinstance(reply, Admitted) for reply in replies))
        assert passed == [1] * self.trials

    def test_one_probe_from_many_threads_is_one_place(self) -> None:
        """A retry may overtake the attempt that it replaces."""
        settings = BreakerSettings(jitter=0, permitted_number_of_calls_in_half_open_state=2)
        for _ in range(self.trials):
            registry = self._about_to_be_half_open(settings)
            replies = in_threads(lambda _: registry.execute([Admit(KEY, settings, "probe")])[0])  # noqa: B023 - run now
            assert {cast(Admitted, reply)[:2] for reply in replies} == {(2, True)}
            assert isinstance(registry.execute([Admit(KEY, settings, "other")])[0], Admitted)

    @pytest.mark.parametrize("outcome", [FAILURE, SUCCESS], ids=["failure", "success"])
    def test_no_result_is_lost(self, outcome: Outcome) -> None:
        """A window that loses counts opens too late."""
        settings = BreakerSettings(minimum_number_of_calls=1_000)
        for _ in range(self.trials):
            registry = self.make_registry(FakeClock())
            in_threads(lambda worker: _calls(registry, settings, worker, outcome))  # noqa: B023 - run now
            (status,) = cast(tuple[Status, ...], registry.execute([Peek((KEY,), settings)])[0])
            assert (status.calls, status.failures) == (THREADS * 4, THREADS * 4 * (outcome is FAILURE))

    def test_many_failures_at_once_open_it_once(self) -> None:
        """One change, one back-off, one event."""
        settings = BreakerSettings(jitter=0)
        for _ in range(self.trials):
            registry = self.make_registry(FakeClock())
            changes = in_threads(lambda worker: _calls(registry, settings, worker, FAILURE))  # noqa: B023 - run now
            assert sum(changes) == 1

    def _about_to_be_half_open(self, settings: BreakerSettings) -> BreakerRegistry:
        clock = FakeClock()
        registry = self.make_registry(clock)
        Circuits(registry.execute, settings).trip()
        clock.advance(WAIT)
        return registry


def _calls(registry: BreakerRegistry, settings: BreakerSettings, worker: int, outcome: Outcome) -> int:
    """Four calls of a worker; how many changes they made."""
    changes = 0
    for call in range(4):
        id = f"{worker}-{call}"
        admitted = registry.execute([Admit(KEY, settings, id)])[0]
        if isinstance(admitted, Admitted):
            (change,) = registry.execute([Record(KEY, settings, id, admitted.generation, outcome)])
            changes += change is not None
    return changes


async def _in_tasks(registry: BreakerRegistry, settings: BreakerSettings) -> list[Any]:
    async def ask(worker: int) -> Any:
        await asyncio.sleep(0)
        return (await registry.aexecute([Admit(KEY, settings, f"w{worker}")]))[0]

    return await asyncio.gather(*(ask(worker) for worker in range(THREADS)))


def in_threads(work: Callable[[int], Result], number: int = THREADS) -> list[Result]:
    """`work` in as many threads at once, which change hands as often as the interpreter can."""
    start = Barrier(number)

    def begin(worker: int) -> Result:
        start.wait()
        return work(worker)

    with _hasty_threads(), ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


@contextmanager
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
