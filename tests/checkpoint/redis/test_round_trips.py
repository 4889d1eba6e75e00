"""One round trip per operation, as big as what is new is; and no key is touched that was not declared."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.checkpoint.redis.scripts import COMMIT, DROP, REGISTER, TOUCH, WRITE
from langgraph_guard.testing import FaultProxy
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at, task
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import HOST, RedisServer

BIG = "b" * 20_000


class Counting:
    """Calls of a saver behind the proxy, and the round trips of each."""

    def __init__(self, saver: RedisSaver, proxy: FaultProxy) -> None:
        self.saver, self.proxy = saver, proxy
        saver._store.link.execute([("PING",)])  # a connection's first words are not the operation's
        for script in (COMMIT, WRITE, TOUCH, REGISTER, DROP):
            saver._store.link.execute([("SCRIPT", "LOAD", script.source)])

    def trips(self, name: str, *args: Any, **terms: Any) -> int:
        self.proxy.forget()
        getattr(self.saver, name)(*args, **terms)
        return self.proxy.round_trips


@pytest.fixture
def counting(distant: Open, proxy: FaultProxy) -> Callable[..., Counting]:
    """Makes savers whose trips are counted."""
    return lambda **options: Counting(distant(**options), proxy)


def message(number: int, length: int = 1_000) -> HumanMessage:
    """One of `length` characters."""
    return HumanMessage(f"{number:06d}".ljust(length, "m"), id=f"m{number}")


OPTIONS = pytest.mark.parametrize("options", [{}, {"ttl": 60}, {"strict": True}], ids=["plain", "ttl", "strict"])


@OPTIONS
def test_in_the_steady_state_each_operation_is_one_trip(
    counting: Callable[..., Counting], options: dict[str, Any]
) -> None:
    """Small values and big ones, also when they go ahead of the script."""
    here = counting(**options)
    author = Author(Both(here.saver, None))
    author.put(1, {"c": ["a"], "document": BIG})
    here.saver.get_tuple(at())
    for number in range(2, 5):
        values = {"c": ["a"] * number, "document": f"{number}{BIG}", "long": [BIG, f"{number}"]}
        assert here.trips("put", *author.terms(number, values, after=number - 1)) == 1
        assert here.trips("put_writes", author.at(number), [("c", ["w"]), ("document", BIG)], task(1)) == 1
        assert here.trips("get_tuple", at()) <= 2  # a big pending write is known by its name alone
    author.put(5, {"c": ["z"]}, after=4)
    assert here.trips("get_tuple", at()) == 1
    assert here.trips("get_tuple", author.at(5)) == 1


@OPTIONS
def test_at_first_sight_an_operation_is_two_trips_at_most(
    counting: Callable[..., Counting], options: dict[str, Any]
) -> None:
    """A process that just started does not know where values are; a first put needs nothing beforehand."""
    first = counting(**options)
    author = Author(Both(first.saver, None))
    assert first.trips("put", *author.terms(1, {"c": [BIG], "document": BIG}, run="r")) == 1
    assert counting(**options).trips("put_writes", author.at(1), [("c", BIG)], task(1)) == 1
    assert counting(**options).trips("get_tuple", at()) <= 2
    assert counting(**options).trips("put", *author.terms(2, {"c": [BIG, BIG]}, after=1)) == 1


def test_a_sealed_put_at_first_sight_learns_its_place_first(
    counting: Callable[..., Counting], seal_options: dict[str, Any]
) -> None:
    """What is sealed is bound to its storage and index: afterwards it is one trip again."""
    first = counting(**seal_options)
    author = Author(Both(first.saver, None))
    assert first.trips("put", *author.terms(1, {"c": ["a"]})) == 1
    assert first.trips("put", *author.terms(2, {"c": ["a", "b"]}, after=1)) == 1
    cold = counting(**seal_options)
    assert cold.trips("get_tuple", at()) <= 2
    assert cold.trips("put", *author.terms(3, {"c": ["a", "b", "c"]}, after=2)) == 1
    assert counting(**seal_options).trips("put", *author.terms(4, {"c": ["d"]}, after=3)) == 2


@pytest.mark.parametrize("run", [None, "run-1"])
def test_a_thread_is_deleted_in_two_trips(counting: Callable[..., Counting], run: str | None) -> None:
    """Which runs it has is looked up first: their indexes name it."""
    here = counting()
    Author(Both(here.saver, None)).put(1, {"c": ["a"]}, run=run)
    assert here.trips("delete_thread", "t") == 2


def test_what_a_put_sends_of_its_scripts_is_little(counting: Callable[..., Counting]) -> None:
    """Where it is a transaction it brings them along: at first sight of a thread or run, and beside what is big."""
    here = counting()
    author = Author(Both(here.saver, None))
    here.trips("put", *author.terms(1, {"n": 1}, run="run-1"))
    first = here.proxy.request_bytes
    here.trips("put", *author.terms(2, {"n": 2}, after=1, run="run-1"))
    steady = here.proxy.request_bytes
    here.trips("put", *author.terms(3, {"document": BIG}, after=2, run="run-1"))
    big = here.proxy.request_bytes
    assert first < steady + 5_000
    assert big < steady + len(BIG) + 3_500


@pytest.fixture
def seal_options() -> dict[str, Any]:
    """One key."""
    return {"seal": Seal(os.urandom(32))}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_second_turn_is_as_many_trips_as_operations(distant: Open, proxy: FaultProxy, way: str) -> None:
    """What LangGraph asks for, counted above the saver and at the network; the first turn pays for first sights."""
    saver = Tallying(distant())
    graph = graphs.react(saver)  # type: ignore[arg-type]
    with asyncio.Runner() as runner:

        def turn(number: int) -> None:
            input = {"messages": [HumanMessage("?", id=f"q{number}")]}
            if way == "sync":
                graph.invoke(input, at(), durability="sync")
            else:
                runner.run(graph.ainvoke(input, at(), durability="sync"))

        turn(1)
        proxy.forget()
        saver.calls = 0
        turn(2)
        opened = proxy.connections
        assert saver.calls > 10
        # A connection that is opened on the way greets the server once or twice.
        assert saver.calls <= proxy.round_trips <= saver.calls + 2 * opened
        runner.run(saver.saver.aclose())


class Tallying(graphs.Saver):  # type: ignore[misc, valid-type]
    """A saver that counts what it is asked for."""

    def __init__(self, saver: RedisSaver) -> None:
        super().__init__(serde=saver.serde)
        self.saver, self.calls = saver, 0

    def get_next_version(self, current: Any, channel: None) -> str:
        return self.saver.get_next_version(current, channel)

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        self.calls += 1
        return self.saver.get_tuple(config)

    def put(self, *args: Any) -> Any:
        self.calls += 1
        return self.saver.put(*args)

    def put_writes(self, *args: Any) -> None:
        self.calls += 1
        self.saver.put_writes(*args)

    async def aget_tuple(self, config: Any) -> CheckpointTuple | None:
        self.calls += 1
        return await self.saver.aget_tuple(config)

    async def aput(self, *args: Any) -> Any:
        self.calls += 1
        return await self.saver.aput(*args)

    async def aput_writes(self, *args: Any) -> None:
        self.calls += 1
        await self.saver.aput_writes(*args)


def test_a_thousand_deltas_are_read_in_three_trips(open_saver: Open, counting: Callable[..., Counting]) -> None:
    """The official saver makes seven thousand."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"items": _DeltaSnapshot([message(0)]), "n": 1})
    for number in range(2, 1_003):
        author.put(number, {"n": number}, after=number - 1, gone=["items"])
        saver.put_writes(author.at(number), [("items", [message(number)])], task(1))
    here = counting()
    history = here.saver.get_delta_channel_history(config=at(), channels=["items"])
    assert (len(history["items"]["writes"]), history["items"]["seed"]) == (1_000, _DeltaSnapshot([message(0)]))
    assert counting().trips("get_delta_channel_history", config=at(), channels=["items"]) <= 3


# Bytes


def test_the_bytes_of_a_put_do_not_depend_on_the_history(counting: Callable[..., Counting]) -> None:
    """A message of a kilobyte after ten, and after a thousand."""
    here = counting()
    sent = {}
    for length in (10, 1_000):
        author = Author(Both(here.saver, None), f"t{length:04}")
        history = [message(number) for number in range(length)]
        author.put(1, {"messages": history})
        author.put(2, {"messages": [*history, message(2_001)]}, after=1)
        here.trips("put", *author.terms(3, {"messages": [*history, message(2_001), message(2_002)]}, after=2))
        sent[length] = here.proxy.request_bytes
    assert abs(sent[1_000] - sent[10]) < 0.03 * sent[10]


def test_what_a_graph_sends_per_turn_does_not_depend_on_the_history(distant: Open, proxy: FaultProxy) -> None:
    """The same through LangGraph, its reads included: requests are what is counted."""
    saver = distant()
    graph = graphs.acting(saver, lambda state: {"messages": [AIMessage("a" * 1_000, id=f"a{len(state['messages'])}")]})
    sent = []
    for turn in range(60):
        proxy.forget()
        graph.invoke({"messages": [message(turn)]}, at(), durability="sync")
        sent.append(proxy.request_bytes)
    assert max(sent[50:]) < 1.05 * min(sent[5:15])


# Keys


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server with a user who may touch nothing but the saver's keys."""
    with RedisServer("user saver on >secret ~lgg:* +@all -@dangerous +info") as server:
        yield server


def everything(saver: RedisSaver) -> None:
    """Each operation, with each kind of value."""
    author = Author(Both(saver, None))
    author.put(1, {"c": ["a"], "document": BIG, "n": 1}, run="r1")
    author.put(2, {"c": ["a", BIG], "n": 2}, after=1, run="r2")
    saver.put_writes(author.at(2), [("c", BIG), ("d", 1), ("__interrupt__", ["?"])], task(1))
    author.put(3, {"c": ["b"], "n": 3}, after=2, run="r2")
    assert saver.get_tuple(at()) is not None
    assert len([*saver.list(at())]) == len([*saver.list(None)]) == 3
    saver.get_delta_channel_history(config=at(), channels=["c"])
    saver.copy_thread("t", "copy")
    saver.delete_for_runs(["r1"])
    saver.prune(["copy"])
    saver.delete_thread("t")
    assert len([*saver.list(None)]) == 1


@pytest.mark.parametrize("options", [{}, {"ttl": 60}], ids=["for good", "with a ttl"])
def test_nothing_but_its_own_keys_is_touched(guarded: RedisServer, options: dict[str, Any]) -> None:
    """A user whose permission ends there can do all of it."""
    guarded.flush()
    url = f"redis://saver:secret@{HOST}:{guarded.port}"
    with RedisSaver.from_conn_string(url, tenant="*:{x}", **options) as saver:
        everything(saver)


@pytest.mark.parametrize("options", [{}, {"ttl": 60}], ids=["for good", "with a ttl"])
def test_scripts_touch_the_keys_that_they_declare(guarded: RedisServer, options: dict[str, Any]) -> None:
    """Managed services and Dragonfly refuse others; a Cluster could not know where to run them."""
    guarded.flush()
    with RedisSaver.from_conn_string(guarded.url, **options) as saver, watching(guarded) as seen:
        everything(saver)
    ran = [(declared, touched) for declared, touched in by_script(seen) if touched]  # without: it was not loaded yet
    assert len(ran) > 10
    assert [touched - declared for declared, touched in ran if touched - declared] == []


@contextmanager
def watching(server: RedisServer) -> Iterator[list[tuple[str, list[str]]]]:
    """What the server does meanwhile: who asked ("lua" for a script), and the words."""
    seen: list[tuple[str, list[str]]] = []
    with server.client(decode_responses=True) as client, client.monitor() as monitor:
        yield seen
        server.tell("ECHO", "that was all")
        while not seen or seen[-1][1][:1] != ["ECHO"]:
            found = monitor.next_command()
            seen.append((found["client_type"], found["command"].split(" ")))


def by_script(seen: list[tuple[str, list[str]]]) -> Iterator[tuple[set[str], set[str]]]:
    """For each run of a script the keys that it declared and those that it touched."""
    declared: set[str] | None = None
    touched: set[str] = set()
    for who, words in seen:
        if who == "lua":
            if words[0].upper() != "TIME":
                touched |= set(words[1:]) if words[0].upper() == "UNLINK" else {words[1]}
            continue
        if declared is not None:
            yield declared, touched
        declared, touched = None, set()
        if words[0].upper() == "EVALSHA":
            declared = set(words[3 : 3 + int(words[2])])
