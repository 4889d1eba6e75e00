"""What a thread costs: each element of its lists once, each big value once, and nothing that nobody names any more."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
import redis
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver, elements
from langgraph_guard.checkpoint.redis.layout import ThreadKeys
from langgraph_guard.checkpoint.redis.memory import Memory
from langgraph_guard.checkpoint.redis.scripts import COMMIT
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at, task, uid
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import HOST, RedisServer

BIG = "b" * 5_000
"""More than stands in a record or in a write."""

SIZE = 400


def keys_of(saver: RedisSaver, thread: str = "t") -> ThreadKeys:
    """Of one thread."""
    return saver._store.keys.thread(thread)


def logged(server: RedisServer, saver: RedisSaver, thread: str = "t") -> int:
    """Entries of a thread's log that hold something."""
    return sum(bool(each) for each in server.tell("LRANGE", keys_of(saver, thread).log, 0, -1))


def blobs(server: RedisServer, saver: RedisSaver) -> int:
    """How many big values are stored."""
    return int(server.tell("HLEN", keys_of(saver).blobs))


def stored(server: RedisServer, prefix: str) -> list[bytes]:
    """All keys of a key space."""
    return sorted(server.tell("KEYS", f"{prefix}:*"))


def size(server: RedisServer, saver: RedisSaver, thread: str = "t") -> int:
    """Bytes that Redis needs for a thread."""
    return sum(server.tell("MEMORY", "USAGE", key, "SAMPLES", 0) or 0 for key in keys_of(saver, thread))


def chat(saver: RedisSaver, length: int = SIZE) -> Any:
    """A graph that answers a message with a message, each of `length` characters."""

    def answer(state: MessagesState) -> dict[str, Any]:
        turn = len(state["messages"])
        return {"messages": [AIMessage(f"{turn:06d}".ljust(length, "a"), id=f"a{turn}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=saver)


def talk(graph: Any, turns: range, length: int = SIZE, **terms: Any) -> None:
    """Turns of a conversation."""
    for turn in turns:
        text = f"{turn:06d}".ljust(length, "h")
        graph.invoke({"messages": [HumanMessage(text, id=f"h{turn}")]}, at(), **terms)


# Once


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_message_is_stored_once_however_often_it_is_checkpointed(
    open_saver: Open, redis_server: RedisServer, durability: str, strict: bool
) -> None:
    """Ten turns are thirty checkpoints, each with every message so far. The input is a channel of its own."""
    saver = open_saver(strict=strict)
    talk(chat(saver), range(10), durability=durability)
    found = len(saver.get_tuple(at()).checkpoint["channel_values"]["messages"])
    assert (found, logged(redis_server, saver)) == (20, 20)


def test_a_process_that_goes_on_stores_only_what_is_new(open_saver: Open, redis_server: RedisServer) -> None:
    """It has read the thread, so it knows what is there: here a new one for each turn."""
    for turn in range(6):
        saver = open_saver()
        talk(chat(saver), range(turn, turn + 1))
    assert logged(redis_server, saver) == 12


def test_two_processes_in_turns_store_each_message_once(open_saver: Open, redis_server: RedisServer) -> None:
    """What one remembers is behind what the other wrote; the reading before the turn brings it up to date."""
    savers = [open_saver(), open_saver()]
    for turn in range(8):
        talk(chat(savers[turn % 2]), range(turn, turn + 1))
    assert logged(redis_server, savers[0]) == 16


def test_a_fork_shares_what_it_has_in_common(open_saver: Open, redis_server: RedisServer) -> None:
    """Time travel into the middle of ten turns, five times."""
    saver = open_saver()
    graph = chat(saver)
    talk(graph, range(10))
    moment = [*graph.get_state_history(at())][15]
    for fork in range(5):
        graph.update_state(moment.config, {"messages": [HumanMessage(f"fork {fork}", id=f"f{fork}")]}, as_node="answer")
    assert logged(redis_server, saver) == 20 + 5


def test_update_state_stores_what_it_adds(open_saver: Open, redis_server: RedisServer) -> None:
    """Each update is a checkpoint of its own."""
    saver = open_saver()
    graph = chat(saver)
    talk(graph, range(3))
    for number in range(5):
        graph.update_state(at(), {"messages": [HumanMessage("noted", id=f"n{number}")]})
    assert logged(redis_server, saver) == 6 + 5


def test_messages_that_are_removed_and_come_back_are_stored_once(open_saver: Open, redis_server: RedisServer) -> None:
    """Nodes that trim or reorder return all of them again."""
    saver = open_saver()

    def act(state: graphs.Chat) -> dict[str, Any]:
        again: list[AnyMessage] = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *state["messages"]]
        return {"messages": again}

    graph = graphs.acting(saver, act)
    for turn in range(6):
        graph.invoke({"messages": [HumanMessage(f"{turn}", id=f"h{turn}")]}, at())
    assert logged(redis_server, saver) == 6


def test_namespaces_share_the_elements_that_they_hand_on(open_saver: Open, redis_server: RedisServer) -> None:
    """A subgraph that keeps its state starts with the messages of its caller.

    With durability "async" both may be on their way at the same moment, and each may bring the new one.
    """
    saver = open_saver()
    inner = StateGraph(MessagesState)
    inner.add_node("look", lambda state: {})
    inner.add_edge(START, "look")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile(checkpointer=True))
    outer.add_edge(START, "inner")
    graph = outer.compile(checkpointer=saver)
    for turn in range(6):
        graph.invoke({"messages": [HumanMessage(f"{turn}", id=f"h{turn}")]}, at(), durability="sync")
    assert logged(redis_server, saver) == 6


def test_a_big_value_that_stays_is_stored_once(open_saver: Open, redis_server: RedisServer) -> None:
    """A document in the state, over many checkpoints."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"document": BIG, "n": 1})
    for number in range(2, 20):
        author.put(number, {"n": number}, after=number - 1)
    assert blobs(redis_server, saver) == 1


def test_a_big_put_to_a_server_that_lost_its_scripts_is_stored_once(
    open_saver: Open, redis_server: RedisServer
) -> None:
    """After a restart, a fail-over or SCRIPT FLUSH every worker's next put is one."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"c": ["small"]})
    redis_server.tell("SCRIPT", "FLUSH")
    author.put(2, {"c": ["small", "e" * 20_000]}, after=1)
    assert redis_server.tell("LLEN", keys_of(saver).log) == 2


@pytest.mark.parametrize("forgotten", ["all", "one"])
@pytest.mark.parametrize("value", ["small", "e" * 20_000], ids=["small", "big"])
def test_a_first_put_to_a_server_that_lost_scripts_is_stored_once(
    open_saver: Open, redis_server: RedisServer, value: str, forgotten: str
) -> None:
    """It has three scripts: were the one that commits known and another not, it would be done, and then done again."""
    saver = open_saver()
    redis_server.tell("SCRIPT", "FLUSH")
    if forgotten == "one":
        redis_server.tell("SCRIPT", "LOAD", COMMIT.source)
    Author(Both(saver, None)).put(1, {"c": [value]}, run="run-1")
    assert redis_server.tell("LLEN", keys_of(saver).log) == 1


def test_a_put_that_was_refused_leaves_nothing_in_the_log(open_saver: Open, redis_server: RedisServer) -> None:
    """What went ahead of the script is taken back; here the log was empty before."""
    saver, other = open_saver(), open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"n": 1}, after=None)
    author.put(2, {"n": 2}, after=1)
    other.get_tuple(at())
    saver.prune(["t"])
    flow = other._put(*author.terms(3, {"c": ["e" * 20_000]}, after=2))
    (*_, (code, *_)) = other._store.link.execute(next(flow))
    assert (code, redis_server.tell("LLEN", keys_of(saver).log)) == (b"stale", 0)


# Growth


def test_storage_grows_with_what_is_new(open_saver: Open, redis_server: RedisServer) -> None:
    """Twice the turns, twice the bytes; savers that store whole states need four times as much."""
    saver = open_saver()
    graph = chat(saver)
    talk(graph, range(100))
    half = size(redis_server, saver)
    talk(graph, range(100, 200))
    whole = size(redis_server, saver)
    assert whole < 2.05 * half
    assert whole < 2 * 2**20


def test_a_superstep_with_a_message_of_a_kilobyte_takes_at_most_four(
    open_saver: Open, redis_server: RedisServer
) -> None:
    """The message in the state, the write that brought it, and the checkpoint itself. A turn has three."""
    saver = open_saver()
    graph = chat(saver, 1_000)
    talk(graph, range(10), 1_000)
    before = size(redis_server, saver)
    talk(graph, range(10, 60), 1_000)
    assert (size(redis_server, saver) - before) / (50 * 3) <= 4_096


def test_a_record_does_not_grow_with_the_edits_before_it(open_saver: Open, redis_server: RedisServer) -> None:
    """An agent that shortens one old message per turn: edits in the middle cut a list into ranges."""
    saver = open_saver()
    author = Author(Both(saver, None))
    value = [f"element {at}" for at in range(400)]
    author.put(1, {"c": value})
    sizes = []
    for number in range(2, 202):
        value = [*value]
        value[2 * (number - 2)] = f"edited {number}"
        author.put(number, {"c": value}, after=number - 1)
        sizes.append(redis_server.tell("MEMORY", "USAGE", keys_of(saver).entries, "SAMPLES", 0))
    assert sizes[199] - sizes[189] < 2 * (sizes[19] - sizes[9])


@pytest.mark.parametrize(
    "options", [{}, {"seal": Seal(os.urandom(32))}, {"compress": True}], ids=["plain", "sealed", "compressed"]
)
def test_a_list_that_was_stored_anew_is_read_as_it_was(open_saver: Open, options: dict[str, Any]) -> None:
    """Before and after, by whoever was there and whoever was not; and a fork goes on from before."""
    saver = open_saver(**options)
    author = Author(Both(saver, None))
    value = [{"at": at, "n": [at]} for at in range(100)]
    author.put(1, {"c": value})
    for number in range(2, 52):
        value = [*value]
        value[2 * (number - 2)] = {"edited": number}
        author.put(number, {"c": value}, after=number - 1)
    fork = [*author.puts[20]["channel_values"]["c"], "fork"]
    author.put(60, {"c": fork}, after=20)
    for reader in (saver, open_saver(**options)):
        for number in (*range(1, 52), 60):
            found = reader.get_tuple(at(id=uid(number)))
            assert found is not None
            assert found.checkpoint["channel_values"] == author.puts[number]["channel_values"]


def test_storing_a_list_anew_costs_no_more_than_its_ranges_would(
    open_saver: Open, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred edits of old messages: the thread is smaller than it would be if ranges were never joined."""

    def needed(saver: RedisSaver, thread: str) -> int:
        author = Author(Both(saver, None), thread)
        value = [f"element {at}" for at in range(400)]
        author.put(1, {"c": value})
        for number in range(2, 502):
            value = [*value]
            value[number * 7 % 400] = f"edited {number}"
            author.put(number, {"c": value}, after=number - 1)
        return size(redis_server, saver, thread)

    joined = needed(open_saver(), "joined")
    monkeypatch.setattr(elements, "FEW", 10**9)
    assert joined < 0.5 * needed(open_saver(), "never")


def test_a_thread_that_made_room_for_others_stores_nothing_again(open_saver: Open, redis_server: RedisServer) -> None:
    """Its elements are forgotten first, and where they are is not: a process with many threads resends nothing."""
    saver = open_saver()
    saver._store = replace(saver._store, memory=Memory(elements=30))
    mine, other = (Author(Both(saver, None), thread) for thread in ("t", "other"))
    value: list[Any] = [{"at": at} for at in range(20)]
    mine.put(1, {"c": value})
    other.put(1, {"c": [{"other": at} for at in range(20)]})
    mine.put(2, {"c": [*value, "new"]}, after=1)
    assert logged(redis_server, saver) == 21
    assert open_saver().get_tuple(at()).checkpoint["channel_values"]["c"] == [*value, "new"]


# What goes


@pytest.mark.parametrize("name", ["prune", "delete_for_runs"])
def test_what_only_a_removed_checkpoint_named_goes_with_it(
    open_saver: Open, redis_server: RedisServer, name: str
) -> None:
    """Elements, big values, and the big values of its pending writes."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"list": ["old " * 20, "kept"], "document": BIG, "stays": BIG + "!"}, run="old")
    saver.put_writes(author.at(1), [("c", BIG + "?")], task(1))
    author.put(2, {"list": ["kept", "new"], "document": "short"}, after=1, run="new")
    assert (logged(redis_server, saver), blobs(redis_server, saver)) == (3, 3)
    getattr(saver, name)(["t"] if name == "prune" else ["old"])
    assert (logged(redis_server, saver), blobs(redis_server, saver)) == (2, 1)
    values = open_saver().get_tuple(at()).checkpoint["channel_values"]
    assert values == {"list": ["kept", "new"], "document": "short", "stays": BIG + "!"}


def test_big_values_of_writes_that_wait_for_their_checkpoint_stay(open_saver: Open, redis_server: RedisServer) -> None:
    """Their checkpoint may be on its way while the thread is pruned."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.chain(2)
    saver.put_writes(author.at(3), [("c", BIG)], task(1))
    saver.prune(["t"])
    author.put(3, {"n": 3}, after=2)
    assert [value for _, _, value in open_saver().get_tuple(at()).pending_writes] == [BIG]


def test_a_pruned_thread_does_not_grow(open_saver: Open, redis_server: RedisServer) -> None:
    """A window of ten messages, pruned after each turn: the log is cut off behind it."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"c": ["0"]})
    lengths = []
    for number in range(2, 60):
        author.put(number, {"c": [str(each) for each in range(max(0, number - 10), number)]}, after=number - 1)
        saver.prune(["t"])
        lengths.append(redis_server.tell("LLEN", keys_of(saver).log))
    assert max(lengths) <= 11
    assert open_saver().get_tuple(at()).checkpoint["channel_values"]["c"][-1] == "58"


# Keys


def test_a_thread_is_four_keys(open_saver: Open, redis_server: RedisServer, prefix: str) -> None:
    """However many checkpoints, namespaces and channels; and one registry for all threads."""
    saver = open_saver()
    graph = graphs.nested(saver, remembers=True)
    graph.invoke({"items": [BIG]}, at())
    assert stored(redis_server, prefix) == sorted(key.encode() for key in (*keys_of(saver), saver._store.keys.threads))


def test_a_deleted_thread_leaves_nothing(open_saver: Open, redis_server: RedisServer, prefix: str) -> None:
    """Nor its name in the registry."""
    saver = open_saver()
    author = Author(Both(saver, None))
    author.put(1, {"list": ["a"], "document": BIG})
    saver.put_writes(author.at(2), [("c", BIG)], task(1))
    saver.delete_thread("t")
    assert stored(redis_server, prefix) == []


@pytest.mark.parametrize("options", [{}, {"ttl": 60}], ids=["for good", "with a ttl"])
def test_a_threads_runs_go_with_it(
    open_saver: Open, redis_server: RedisServer, prefix: str, options: dict[str, Any]
) -> None:
    """One key per run, for ever, is a leak: LangGraph Server gives each invocation a run id."""
    saver = open_saver(**options)
    Author(Both(saver, None)).put(1, {"c": 1}, run="run-1")
    saver.delete_thread("t")
    assert stored(redis_server, prefix) == []


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
def test_a_run_that_was_pruned_away_is_forgotten(request: pytest.FixtureRequest, open_saver: Open, kind: str) -> None:
    """A thread that is pruned after each turn would leave an index for each."""
    saver = open_saver() if kind == "standalone" else on_a_cluster(request, open_saver)
    author = Author(Both(saver, None))
    for number in range(1, 5):
        author.put(number, {"n": number}, after=number - 1 or None, run=f"run-{number}")
    saver.prune(["t"])
    assert indexed(saver, range(1, 5)) == ["run-4"]
    saver.delete_thread("t")
    assert indexed(saver, range(1, 5)) == []


def test_a_thread_that_cannot_be_read_is_deleted(open_saver: Open, redis_server: RedisServer) -> None:
    """Whatever it holds: a right to be forgotten does not end at a damaged record. The index of its run may stay."""
    saver = open_saver()
    Author(Both(saver, None)).put(1, {"c": 1}, run="run-1")
    redis_server.tell("ZADD", keys_of(saver).entries, 0, "no entry of ours")
    saver.delete_thread("t")
    assert redis_server.tell("EXISTS", *keys_of(saver), saver._store.keys.threads) == 0


def test_a_thread_of_many_pages_leaves_no_index(open_saver: Open) -> None:
    """Its runs are looked up page by page."""
    saver = open_saver()
    author = Author(Both(saver, None))
    for number in range(1, 1_100):
        author.put(number, {"n": number}, after=number - 1 or None, run=f"run-{number}")
        saver.put_writes(author.at(number), [("n", number)], task(1))
    saver.delete_thread("t")
    assert indexed(saver, range(1, 1_100)) == []


def on_a_cluster(request: pytest.FixtureRequest, open_saver: Open) -> RedisSaver:
    """A saver whose indexes are elsewhere than its threads."""
    cluster = request.getfixturevalue("redis_cluster")
    request.addfinalizer(lambda: [node.tell("FLUSHALL") for node in cluster.nodes])  # a registry keeps names for a day
    return open_saver(redis.RedisCluster(host=HOST, port=cluster.nodes[0].port))


def indexed(saver: RedisSaver, numbers: range) -> list[str]:
    """Which runs have an index."""
    runs = [f"run-{number}" for number in numbers]
    found = saver._store.link.execute([("EXISTS", saver._store.keys.run(each)) for each in runs])
    return [each for each, there in zip(runs, found, strict=True) if there]


def test_a_thread_whose_last_checkpoint_goes_leaves_nothing(
    open_saver: Open, redis_server: RedisServer, prefix: str
) -> None:
    """Its name may stay in the registry, until a list finds that there is nothing behind it."""
    saver = open_saver()
    Author(Both(saver, None)).put(1, {"list": ["a"], "document": BIG}, run="run-1")
    saver.delete_for_runs(["run-1"])
    assert stored(redis_server, prefix) == [saver._store.keys.threads.encode()]


def test_lists_of_numbers_are_values(open_saver: Open, redis_server: RedisServer) -> None:
    """They are stored whole: a place in the log costs more than a number."""
    saver = open_saver()
    Author(Both(saver, None)).put(1, {"scores": [0.5] * 1_000})
    assert (logged(redis_server, saver), blobs(redis_server, saver)) == (0, 1)


def test_the_first_element_decides_nothing(open_saver: Open, redis_server: RedisServer) -> None:
    """A list whose head is replaced at each step still shares the rest."""
    saver = open_saver()
    author = Author(Both(saver, None))
    tail = [{"id": each} for each in range(50)]
    author.put(1, {"c": [{"summary": 1}, *tail]})
    for number in range(2, 12):
        author.put(number, {"c": [{"summary": number}, *tail]}, after=number - 1)
    assert logged(redis_server, saver) == 50 + 11
    assert open_saver().get_tuple(at(id=uid(3))).checkpoint["channel_values"]["c"] == [{"summary": 3}, *tail]
