"""What the contract's files share: a saver driven blocking and on an event loop, and what is put into it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Barrier
from typing import Any, Final, Literal, TypeAlias

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple

from langgraph_guard.testing.contracts.loop import Run, one_loop
from langgraph_guard.testing.contracts.saver.model import ModelSaver
from langgraph_guard.testing.contracts.saver.twins import Twins

Saver: TypeAlias = BaseCheckpointSaver[str]
Values: TypeAlias = Mapping[str, Any]
Call: TypeAlias = Callable[[], Any]

Way: TypeAlias = Literal["sync", "async"]
WAYS: Final[tuple[Way, ...]] = ("sync", "async")

CANARY: Final = "canary"
"""A thread that no test may change but by its name."""


def uid(number: int) -> str:
    """A checkpoint id; ids sort as their numbers do."""
    return f"{number:08x}-0000-6000-8000-000000000000"


def task(number: int) -> str:
    """A task id; ids sort as their numbers do."""
    return f"{number:08x}-0000-5000-8000-00000000cafe"


def at(thread: Any = "t", ns: str = "", id: str | None = None, **more: Any) -> RunnableConfig:
    """A config that points at a namespace of a thread, or at one checkpoint there."""
    configurable = {"thread_id": thread, "checkpoint_ns": ns, **more}
    return {"configurable": configurable if id is None else {**configurable, "checkpoint_id": id}}


def anywhere(thread: str) -> RunnableConfig:
    """A config that names no namespace."""
    return {"configurable": {"thread_id": thread}}


def place(config: RunnableConfig | None) -> tuple[str, str, str] | None:
    """Thread, namespace and checkpoint that `config` points at."""
    if config is None:
        return None
    found = config["configurable"]
    return found["thread_id"], found["checkpoint_ns"], found["checkpoint_id"]


def places(found: Sequence[CheckpointTuple]) -> list[tuple[str, str, str] | None]:
    return [place(each.config) for each in found]


def ids(found: Sequence[CheckpointTuple]) -> list[str]:
    return [each.checkpoint["id"] for each in found]


class Both:
    """A saver, and graphs over it, driven in one of the two ways; a test is written once."""

    def __init__(self, saver: Saver, run: Run | None) -> None:
        self.saver = saver
        self._run = run

    def over(self, saver: Saver) -> Both:
        """Another saver, driven in the same way."""
        return Both(saver, self._run)

    # The saver's methods

    def put(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: Any, versions: Any) -> RunnableConfig:
        stored: RunnableConfig = self.do(self.saver, "put", config, checkpoint, metadata, versions)
        return stored

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.do(self.saver, "put_writes", config, writes, task_id, task_path)

    def find(self, config: RunnableConfig) -> CheckpointTuple | None:
        found: CheckpointTuple | None = self.do(self.saver, "get_tuple", config)
        return found

    def get(self, config: RunnableConfig) -> CheckpointTuple:
        found = self.find(config)
        assert found is not None, f"nothing at {config['configurable']}"
        return found

    def writes(self, config: RunnableConfig) -> list[tuple[str, str, Any]]:
        return list(self.get(config).pending_writes or [])

    def values(self, config: RunnableConfig) -> dict[str, Any]:
        return self.get(config).checkpoint["channel_values"]

    def listing(self, config: RunnableConfig | None, **terms: Any) -> list[CheckpointTuple]:
        if self._run is None:
            return [*self.saver.list(config, **terms)]
        found: list[CheckpointTuple] = self._run(_collect(self.saver.alist(config, **terms)))
        return found

    def history(self, config: RunnableConfig, *channels: str) -> Any:
        return self.do(self.saver, "get_delta_channel_history", config=config, channels=channels)

    # Graphs

    def invoke(self, graph: Any, input: Any, config: RunnableConfig, **terms: Any) -> Any:
        return self.do(graph, "invoke", input, config, **terms)

    def state(self, graph: Any, config: RunnableConfig, **terms: Any) -> Any:
        return self.do(graph, "get_state", config, **terms)

    def update(self, graph: Any, config: RunnableConfig, values: Any, **terms: Any) -> RunnableConfig:
        updated: RunnableConfig = self.do(graph, "update_state", config, values, **terms)
        return updated

    def states(self, graph: Any, config: RunnableConfig) -> Any:
        """The history of a thread, newest first."""
        if self._run is None:
            return [*graph.get_state_history(config)]
        return self._run(_collect(graph.aget_state_history(config)))

    # Either

    def do(self, target: Any, name: str, *args: Any, **terms: Any) -> Any:
        """Call `target.name`, or `target.aname`."""
        return self._wait(self.call(target, name, *args, **terms))

    def call(self, target: Any, name: str, *args: Any, **terms: Any) -> Call:
        """The same for later."""
        return partial(getattr(target, name if self._run is None else f"a{name}"), *args, **terms)

    def at_once(self, calls: Sequence[Call]) -> Sequence[Any]:
        """All of them at the same time, in as many threads or tasks; what each returned, or raised."""
        if self._run is None:
            return _in_threads(calls)
        ended: Sequence[Any] = self._run(_in_tasks(calls))
        return ended

    def _wait(self, call: Call) -> Any:
        return call() if self._run is None else self._run(_awaited(call))


async def _awaited(call: Call) -> Any:
    return await call()


async def _collect(found: AsyncIterator[Any]) -> Any:
    return [each async for each in found]


async def _in_tasks(calls: Sequence[Call]) -> Sequence[Any]:
    return await asyncio.gather(*(_awaited(call) for call in calls), return_exceptions=True)


def _in_threads(calls: Sequence[Call]) -> Sequence[Any]:
    start = Barrier(len(calls))

    def begin(call: Call) -> Any:
        start.wait()
        try:
            return call()
        except Exception as error:
            return error

    with _hasty_threads(), ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


@contextmanager
def _hasty_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Author:
    """Puts checkpoints into one namespace as a graph does: whatever changes gets a new version."""

    def __init__(self, both: Both, thread: Any = "t", ns: str = "") -> None:
        self.both, self.thread, self.ns = both, thread, ns
        self.puts: dict[int, Checkpoint] = {}

    def put(
        self,
        number: int,
        changes: Values | None = None,
        *,
        after: int | None = None,
        gone: Sequence[str] = (),
        run: str | None = None,
        **metadata: Any,
    ) -> RunnableConfig:
        """Put `number` after the checkpoint `after`, whose values it has but for `changes` and what is `gone`."""
        return self.both.put(*self.terms(number, changes, after=after, gone=gone, run=run, **metadata))

    def terms(
        self,
        number: int,
        changes: Values | None = None,
        *,
        after: int | None = None,
        gone: Sequence[str] = (),
        run: str | None = None,
        **metadata: Any,
    ) -> tuple[RunnableConfig, Checkpoint, Any, dict[str, Any]]:
        """What `put` is called with."""
        parent = blank(0) if after is None else self.puts[after]
        new = {name: self._next(parent["channel_versions"].get(name)) for name in (*(changes or {}), *gone)}
        checkpoint = blank(number)
        checkpoint["channel_values"] = {**parent["channel_values"], **(changes or {})}
        for name in gone:
            checkpoint["channel_values"].pop(name, None)
        checkpoint["channel_versions"] = {**parent["channel_versions"], **new}
        checkpoint["versions_seen"] = {"node": dict(parent["channel_versions"])}
        self.puts[number] = checkpoint
        config = at(self.thread, self.ns, None if after is None else uid(after))
        return config, checkpoint, about(number, **({"run_id": run} if run else {}), **metadata), new

    def chain(self, count: int, run: str | None = None) -> None:
        """Checkpoints 1, 2, … each with a value of its own and one that never changes."""
        self.put(1, {"n": 1, "fixed": "as it was"}, run=run)
        for number in range(2, count + 1):
            self.put(number, {"n": number}, after=number - 1, run=run)

    def at(self, number: int | None = None) -> RunnableConfig:
        """Where checkpoint `number` is; without one, the latest."""
        return at(self.thread, self.ns, None if number is None else uid(number))

    def _next(self, version: Any) -> Any:
        return self.both.saver.get_next_version(version, None)


def blank(number: int) -> Checkpoint:
    """A checkpoint in which nothing has been written."""
    return {
        "v": 4,
        "id": uid(number),
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
        "updated_channels": None,
    }


def about(step: int, **more: Any) -> Any:
    """Metadata."""
    return {"source": "loop", "step": step, "parents": {}, **more}


class Harness:
    """Fixtures over the methods that a saver's tests override."""

    def make_saver(self) -> Saver:
        """A saver over a store, or a prefix of one, that is empty; it may store `STORED_TYPES`."""
        raise NotImplementedError("override make_saver(self)")

    def another(self, saver: Saver) -> Saver:
        """A saver over the same data that has seen nothing of it yet, as in a process that just started."""
        raise NotImplementedError("override another(self, saver)")

    def make_model(self) -> Saver:
        """A saver in memory that answers as this one must. One that stores checkpoints whole has a model of its own."""
        return ModelSaver()

    def close(self, saver: Saver) -> None:
        """Free what `saver` holds; called once for each saver that a test used."""

    async def aclose(self, saver: Saver) -> None:
        """Free what belongs to the event loop; called on that loop, before `close`."""

    @pytest.fixture
    def opened(self) -> list[Saver]:
        """Every saver of this test, to be closed after it."""
        return []

    @pytest.fixture(params=WAYS)
    def both(self, request: pytest.FixtureRequest, opened: list[Saver]) -> Iterator[Both]:
        """A fresh saver, driven in each of the two ways."""
        yield from self._driven(request.param, opened)

    @pytest.fixture
    def blocking(self, opened: list[Saver]) -> Iterator[Both]:
        """A fresh saver, for what has nothing to do with the way it is driven."""
        yield from self._driven("sync", opened)

    @pytest.fixture
    def twins(self, both: Both) -> Both:
        """The saver and the model, told the same; whenever their answers differ, the test fails."""
        return both.over(Twins(both.saver, self.make_model()))

    @pytest.fixture
    def cold(self, opened: list[Saver]) -> Callable[[Both], Both]:
        """The same data in a process that just started."""

        def start(both: Both) -> Both:
            pair = both.saver if isinstance(both.saver, Twins) else None
            fresh = self.another(pair.first if pair else both.saver)
            opened.append(fresh)
            return both.over(Twins(fresh, pair.second) if pair else fresh)

        return start

    def _driven(self, way: Way, opened: list[Saver]) -> Iterator[Both]:
        with one_loop() as run:
            opened.append(self.make_saver())
            try:
                yield Both(opened[0], run if way == "async" else None)
            finally:
                for saver in opened:
                    run(self.aclose(saver))
                    self.close(saver)
