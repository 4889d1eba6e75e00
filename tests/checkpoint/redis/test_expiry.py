"""A thread lives as long as it is used, and goes as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.errors import ConfigError
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Author, Both, anywhere, at, task
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import RedisServer

BIG = "b" * 5_000
LONG = "l" * 20_000
"""More than goes through a script."""

HOUR = 3_600
VALUES = {"n": 1, "list": ["a", {"b": 1}], "document": BIG}


def expiries(server: RedisServer, saver: RedisSaver, thread: str = "t") -> list[int]:
    """When each key of a thread goes (ms); -1 means never, and what is not there is left out."""
    found = [server.expiry(key) for key in saver._store.keys.thread(thread)]
    return [each for each in found if each != -2]


def soon(server: RedisServer, saver: RedisSaver, thread: str = "t") -> int:
    """Time passes: the thread has half a minute left. Returns when it goes."""
    moment = int(server.tell("TIME")[0]) * 1_000 + 30_000
    for key in saver._store.keys.thread(thread):
        server.tell("PEXPIREAT", key, moment)
    return moment


def expire(server: RedisServer, saver: RedisSaver, thread: str = "t") -> None:
    """The time is over, for all keys at once as it is in the world: they have one moment in common."""
    with server.client() as client, client.pipeline() as batch:
        for key in saver._store.keys.thread(thread):
            batch.pexpire(key, 0)
        batch.execute()


def author_of(saver: RedisSaver, thread: str = "t") -> Author:
    """Of a thread whose first checkpoint has each kind of value, and a pending write of each size."""
    author = Author(Both(saver, None), thread)
    author.put(1, VALUES)
    saver.put_writes(author.at(1), [("c", BIG), ("d", 1)], task(1))
    return author


def prolonged(server: RedisServer, saver: RedisSaver, act: Any) -> bool:
    """Whether `act` gives all four keys of a thread one new expiry."""
    moment = soon(server, saver)
    act()
    found = expiries(server, saver)
    assert len(set(found)) == 1, found
    assert len(found) == 4
    return found[0] > moment


@pytest.mark.parametrize("ttl", [HOUR, timedelta(hours=1)])
@pytest.mark.parametrize("value", ["short", BIG, LONG, [LONG]], ids=["short", "a blob", "ahead", "a list ahead"])
def test_every_write_gives_all_keys_of_the_thread_one_expiry(
    open_saver: Open, redis_server: RedisServer, ttl: Any, value: Any
) -> None:
    """Whichever of them it touches; to the millisecond, or a reader could see a part of a thread."""
    saver = open_saver(ttl=ttl)
    author = author_of(saver)
    assert prolonged(redis_server, saver, lambda: author.put(2, {"new": value}, after=1))
    assert prolonged(redis_server, saver, lambda: saver.put_writes(author.at(2), [("c", value)], task(1)))
    assert prolonged(redis_server, saver, lambda: saver.put_writes(author.at(9), [("c", value)], task(1)))


def test_every_read_does_too(open_saver: Open, redis_server: RedisServer) -> None:
    """Someone looks at it: the thread is in use."""
    saver = open_saver(ttl=HOUR)
    author = author_of(saver)
    for reader in (saver, open_saver(ttl=HOUR)):
        for read in (
            lambda reader=reader: reader.get_tuple(at()),
            lambda reader=reader: reader.get_tuple(author.at(1)),
            lambda reader=reader: [*reader.list(at())],
            lambda reader=reader: [*reader.list(anywhere("t"))],
            lambda reader=reader: [*reader.list(None)],
            lambda reader=reader: reader.get_delta_channel_history(config=at(), channels=["c"]),
        ):
            assert prolonged(redis_server, saver, read)


def test_a_read_that_should_not_does_not(open_saver: Open, redis_server: RedisServer) -> None:
    """A dashboard keeps nothing alive."""
    saver = open_saver(ttl=HOUR, refresh_on_read=False)
    author_of(saver)
    assert not prolonged(redis_server, saver, lambda: saver.get_tuple(at()))
    assert not prolonged(redis_server, saver, lambda: [*saver.list(None)])


def test_a_saver_without_a_ttl_reads_and_leaves_the_expiry(open_saver: Open, redis_server: RedisServer) -> None:
    """An administrator's tools look on."""
    saver = open_saver(ttl=HOUR)
    author_of(saver)
    assert not prolonged(redis_server, saver, lambda: open_saver().get_tuple(at()))


def test_a_saver_without_a_ttl_that_writes_keeps_the_thread_for_good(
    open_saver: Open, redis_server: RedisServer
) -> None:
    """The last writer's terms hold for all of it."""
    author = author_of(open_saver(ttl=HOUR))
    saver = open_saver()
    author.both = Both(saver, None)
    author.put(2, {"n": 2}, after=1)
    assert expiries(redis_server, saver) == [-1] * 4


@pytest.mark.parametrize("ttl", [HOUR, None])
def test_a_prune_leaves_the_expiry(open_saver: Open, redis_server: RedisServer, ttl: int | None) -> None:
    """To clean up is not to use: and no key may lose it, or what stays would come back as half a thread."""
    saver = open_saver(ttl=HOUR)
    author = Author(Both(saver, None))
    author.put(1, VALUES)
    author.put(2, {"n": 2}, after=1)
    moment = soon(redis_server, saver)
    open_saver(ttl=ttl).prune(["t"])
    found = expiries(redis_server, saver)
    assert len(set(found)) == 1
    assert abs(found[0] - moment) <= 1


@pytest.mark.parametrize(("theirs", "ours"), [(HOUR, HOUR), (HOUR, None), (None, HOUR)])
def test_a_copy_has_the_expiry_of_the_one_who_copies(
    open_saver: Open, redis_server: RedisServer, theirs: int | None, ours: int | None
) -> None:
    """And not that of the source, for some of its keys."""
    author_of(open_saver(ttl=theirs))
    saver = open_saver(ttl=ours)
    saver.copy_thread("t", "copy")
    found = expiries(redis_server, saver, "copy")
    assert len(found) == 4
    assert len(set(found)) == 1
    assert (found[0] > 0) is (ours is not None)


def test_a_channel_that_was_written_once_lives_as_long_as_the_thread(
    open_saver: Open, redis_server: RedisServer
) -> None:
    """Savers that expire key by key lose the system prompt of an active conversation."""
    saver = open_saver(ttl=HOUR)
    graph = graphs.steps(saver)
    graph.invoke({"items": [BIG], "note": BIG}, at())
    for _ in range(5):
        soon(redis_server, saver)
        graph.invoke({"items": ["more"]}, at())
    assert min(expiries(redis_server, saver)) > int(redis_server.tell("TIME")[0]) * 1_000 + 60_000
    assert graphs.steps(open_saver(ttl=HOUR)).get_state(at()).values["note"] == BIG


# The indexes of runs


def index_expiry(server: RedisServer, saver: RedisSaver, run: str = "run-1") -> int:
    """When the index of a run goes (ms); -1 means never, -2 that there is none."""
    return server.expiry(saver._store.keys.run(run))


def old_indexes(server: RedisServer, saver: RedisSaver) -> None:
    """The indexes were prolonged so long ago that they have no longer than the thread: a minute."""
    moment = int(server.tell("TIME")[0]) * 1_000 + 60_000
    server.tell("HSET", saver._store.keys.thread("t").meta, "till", moment)
    for key in (*saver._store.keys.thread("t"), saver._store.keys.run("run-1"), saver._store.keys.run("run-2")):
        server.tell("PEXPIREAT", key, moment)


def with_runs(saver: RedisSaver) -> Author:
    """A thread of two runs, each of one checkpoint."""
    author = Author(Both(saver, None))
    author.put(1, VALUES, run="run-1")
    author.put(2, {"n": 2}, after=1, run="run-2")
    return author


USES = {
    "put": lambda saver, author: author.put(3, {"n": 3}, after=2, run="run-2"),
    "put_writes": lambda saver, author: saver.put_writes(author.at(2), [("c", 1)], task(1)),
    "get_tuple": lambda saver, author: saver.get_tuple(at()),
    "list": lambda saver, author: [*saver.list(at())],
    "list all": lambda saver, author: [*saver.list(None)],
    "history": lambda saver, author: saver.get_delta_channel_history(config=at(), channels=["c"]),
}


@pytest.mark.parametrize("use", USES)
def test_the_index_of_a_run_goes_after_every_thread_that_it_names(
    open_saver: Open, redis_server: RedisServer, use: str
) -> None:
    """Long after the run: who deletes it must find what it wrote, as long as that is there."""
    saver = open_saver(ttl=HOUR)
    author = with_runs(saver)
    old_indexes(redis_server, saver)
    USES[use](saver, author)
    thread = max(expiries(redis_server, saver))
    for run in ("run-1", "run-2"):
        assert index_expiry(redis_server, saver, run) > thread + HOUR * 1_000


def test_an_index_that_is_good_for_long_is_left_alone(open_saver: Open, redis_server: RedisServer) -> None:
    """It is looked after once in a ttl, and not with every read."""
    saver = open_saver(ttl=HOUR)
    author = with_runs(saver)
    before = index_expiry(redis_server, saver)
    for use in USES.values():
        use(saver, author)
    assert index_expiry(redis_server, saver) == before


def test_the_index_of_a_run_outlives_the_thread_that_lives_longest(open_saver: Open, redis_server: RedisServer) -> None:
    """A run may write to several threads, and savers may have other terms."""
    long, short = open_saver(ttl=100 * HOUR), open_saver(ttl=HOUR)
    Author(Both(long, None), "long").put(1, {"n": 1}, run="run-1")
    Author(Both(short, None), "short").put(1, {"n": 1}, run="run-1")
    assert index_expiry(redis_server, long) > max(expiries(redis_server, long, "long"))


def test_a_thread_that_is_kept_for_good_keeps_the_indexes_of_its_runs(
    open_saver: Open, redis_server: RedisServer
) -> None:
    """Its last writer has no ttl; one who has writes to another thread of that run later."""
    author = with_runs(open_saver(ttl=HOUR))
    saver = open_saver()
    author.both = Both(saver, None)
    author.put(3, {"n": 3}, after=2)
    assert index_expiry(redis_server, saver) == -1
    Author(Both(open_saver(ttl=HOUR), None), "another").put(1, {"n": 1}, run="run-1")
    assert index_expiry(redis_server, saver) == -1
    assert redis_server.tell("HGET", saver._store.keys.thread("t").meta, "till") is None


def test_a_copy_is_named_for_as_long_as_it_lives(open_saver: Open, redis_server: RedisServer) -> None:
    """Its source may be gone by then."""
    with_runs(open_saver(ttl=HOUR))
    saver = open_saver(ttl=100 * HOUR)
    saver.copy_thread("t", "copy")
    assert index_expiry(redis_server, saver) > max(expiries(redis_server, saver, "copy"))


def test_a_thread_that_expired_leaves_no_index_for_ever(open_saver: Open, redis_server: RedisServer) -> None:
    """LangGraph Server gives each invocation a run id: one key for each, for good, is a leak."""
    saver = open_saver(ttl=HOUR)
    with_runs(saver)
    assert min(index_expiry(redis_server, saver, run) for run in ("run-1", "run-2")) > 0


# Gone


@pytest.mark.parametrize("remembers", [True, False])
def test_a_thread_that_expired_is_not_there(open_saver: Open, redis_server: RedisServer, remembers: bool) -> None:
    """For a process that knew it as for any other."""
    saver = open_saver(ttl=HOUR)
    author_of(saver)
    author_of(saver, "other")
    expire(redis_server, saver)
    reader = saver if remembers else open_saver(ttl=HOUR)
    assert reader.get_tuple(at()) is None
    assert [*reader.list(at())] == []
    assert [each.config["configurable"]["thread_id"] for each in reader.list(None)] == ["other"]
    assert reader.get_delta_channel_history(config=at(), channels=["c"]) == {"c": {"writes": []}}
    reader.prune(["t"])
    reader.copy_thread("t", "copy")
    assert reader.get_tuple(at("copy")) is None


def test_a_process_that_remembers_it_makes_a_whole_new_thread(open_saver: Open, redis_server: RedisServer) -> None:
    """What it believes to be stored is stored again: elements, big values, and what did not change."""
    saver = open_saver(ttl=HOUR)
    author = author_of(saver)
    author.put(2, {"list": [*VALUES["list"], "c"]}, after=1)  # type: ignore[misc]
    expire(redis_server, saver)
    author.put(3, {"list": [*VALUES["list"], "c", "d"]}, after=2)  # type: ignore[misc]
    for reader in (saver, open_saver(ttl=HOUR)):
        assert reader.get_tuple(at()).checkpoint["channel_values"] == {
            **VALUES,
            "list": [*VALUES["list"], "c", "d"],  # type: ignore[misc]
        }
        assert [each.checkpoint["id"][:8] for each in reader.list(None)] == ["00000003"]


def test_a_graph_goes_on_after_its_thread_expired_in_the_middle(open_saver: Open, redis_server: RedisServer) -> None:
    """A node that takes longer than the thread lives."""
    saver = open_saver(ttl=HOUR)

    def act(state: graphs.Chat) -> dict[str, Any]:
        expire(redis_server, saver)
        return {"items": ["acted"]}

    graph = graphs.acting(saver, act)
    graph.invoke({"items": ["first"]}, at(), durability="sync")
    assert graphs.acting(open_saver(), act).get_state(at()).values["items"] == ["first", "acted"]


# The registry


def score_of(server: RedisServer, saver: RedisSaver, thread: str = "t") -> float | None:
    """When a thread was registered last."""
    found: float | None = server.tell("ZSCORE", saver._store.keys.threads, thread)
    return found


def registered_before(server: RedisServer, saver: RedisSaver, hours: float, thread: str = "t") -> None:
    """As if it had been registered so long ago."""
    moment = int(server.tell("TIME")[0]) * 1_000 - int(hours * 3_600_000)
    server.tell("ZADD", saver._store.keys.threads, moment, thread)


@pytest.mark.parametrize(("hours", "there"), [(23, True), (25, False)])
@pytest.mark.parametrize("others", [0, 700])
def test_a_name_without_a_thread_is_forgotten_after_a_day(
    open_saver: Open, redis_server: RedisServer, hours: int, there: bool, others: int
) -> None:
    """By whoever lists; not earlier, because its writer may be just about to come."""
    saver = open_saver(ttl=HOUR)
    author_of(saver)
    for number in range(others):
        redis_server.tell("ZADD", saver._store.keys.threads, 2**52, f"other{number}")
    expire(redis_server, saver)
    registered_before(redis_server, saver, hours)
    assert [*saver.list(None)] == []
    assert (score_of(redis_server, saver) is not None) is there


def test_a_thread_that_is_there_stays_registered(open_saver: Open, redis_server: RedisServer) -> None:
    """However old it is."""
    saver = open_saver(ttl=HOUR)
    author_of(saver)
    registered_before(redis_server, saver, 10_000)
    for _ in range(2):
        assert len([*saver.list(None)]) == 1
    assert score_of(redis_server, saver) is not None


def test_a_thread_that_has_writes_alone_stays_registered(open_saver: Open, redis_server: RedisServer) -> None:
    """Its checkpoint comes later."""
    saver = open_saver(ttl=HOUR)
    saver.put_writes(Author(Both(saver, None)).at(1), [("c", 1)], task(1))
    registered_before(redis_server, saver, 10_000)
    assert [*saver.list(None)] == []
    assert score_of(redis_server, saver) is not None


def test_a_thread_that_comes_back_is_registered_again(open_saver: Open, redis_server: RedisServer) -> None:
    """By the process that remembers it, too."""
    saver = open_saver(ttl=HOUR)
    author = author_of(saver)
    expire(redis_server, saver)
    registered_before(redis_server, saver, 25)
    assert [*saver.list(None)] == []
    author.put(2, {"n": 2}, after=1)
    assert len([*open_saver().list(None)]) == 1


# What is no time


@pytest.mark.parametrize(
    "ttl", [0, -1, 0.0001, float("nan"), float("inf"), True, "60", timedelta(0), timedelta(seconds=-1), [60], 2**40]
)
def test_what_is_no_time_is_refused_at_construction(open_saver: Open, ttl: Any) -> None:
    """Not in the tenth superstep."""
    with pytest.raises(ConfigError, match="ttl"):
        open_saver(ttl=ttl)
