"""Whatever breaks: a clear error within the deadline, and the old state or the new one, never some of each."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.checkpoint.redis.scripts import COMMIT, REGISTER, TOUCH, WRITE
from langgraph_guard.errors import CorruptCheckpoint, StoreError, StoreRefused, StoreUnavailable
from langgraph_guard.testing import FaultProxy
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at, task
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import HOST, SLOW_TO_LOAD, RedisServer, until

BIG = "b" * 5_000
LONG = "l" * 20_000

OLD = {"list": ["a", {"b": 1}], "n": 1, "document": "d" * 300}
NEW = {"list": ["a", {"b": 1}, "c"], "n": 2}

OPERATIONS: dict[str, Callable[[RedisSaver, Author], Any]] = {
    "put": lambda saver, author: saver.put(*author.terms(2, NEW, after=1)),
    "put big": lambda saver, author: saver.put(*author.terms(2, {"list": [LONG], "n": LONG}, after=1)),
    "put_writes": lambda saver, author: saver.put_writes(author.at(1), [("c", 1), ("d", [2])], task(1)),
    "put_writes big": lambda saver, author: saver.put_writes(author.at(1), [("c", BIG)], task(1)),
    "get_tuple": lambda saver, author: saver.get_tuple(at()),
    "list": lambda saver, author: [*saver.list(at())],
    "list all": lambda saver, author: [*saver.list(None)],
    "history": lambda saver, author: saver.get_delta_channel_history(config=at(), channels=["n"]),
    "prune": lambda saver, author: saver.prune(["t"]),
    "copy_thread": lambda saver, author: saver.copy_thread("t", "u"),
    "delete_thread": lambda saver, author: saver.delete_thread("t"),
    "delete_for_runs": lambda saver, author: saver.delete_for_runs(["run-0"]),
}
WRITES = ["put", "put big", "put_writes", "put_writes big"]
operations = pytest.mark.parametrize("operation", OPERATIONS)
SLOW = pytest.mark.slow


def prepared(saver: RedisSaver) -> Author:
    """A thread of two checkpoints and a write."""
    author = Author(Both(saver, None))
    author.put(0, {"n": 0}, run="run-0")
    author.put(1, OLD, after=0)
    saver.put_writes(author.at(1), [("w", "before")], task(9))
    return author


def contents(server: RedisServer, prefix: str) -> dict[bytes, tuple[Any, int]]:
    """Every key with all that is in it, but for when a thread was registered last."""
    registry = b":threads"
    return {
        key: (None if key.endswith(registry) else server.tell("DUMP", key), server.expiry(key))
        for key in server.tell("KEYS", f"{prefix}:*")
    }


def state(saver: RedisSaver) -> tuple[list[str], dict[str, Any], list[Any]]:
    """All that a reader sees of the thread."""
    found = [*saver.list(at())]
    newest = saver.get_tuple(at())
    assert newest is not None
    writes = [[*(each.pending_writes or [])] for each in found]
    return [each.checkpoint["id"][:8] for each in found], newest.checkpoint["channel_values"], writes


# No server


@pytest.mark.parametrize("fault", ["refuse", "blackhole"])
@operations
def test_no_answer_is_an_error_of_ours_within_the_deadline(
    open_saver: Open, distant: Open, proxy: FaultProxy, fault: str, operation: str
) -> None:
    """With the driver's error as its cause. What a blackhole holds back may still arrive later, so each is alone."""
    author = prepared(open_saver())
    saver = distant(deadline=0.06)
    getattr(proxy, fault)()
    with pytest.raises(StoreUnavailable) as caught:
        OPERATIONS[operation](saver, author)
    assert caught.value.__cause__ is not None


@operations
def test_a_connection_that_breaks_is_made_again(
    open_saver: Open, distant: Open, proxy: FaultProxy, operation: str
) -> None:
    """Behind a load balancer that drops what is idle."""
    author = prepared(open_saver())
    saver = distant()
    saver.get_tuple(at())
    proxy.reset()
    OPERATIONS[operation](saver, author)


# Torn


def torn(
    saver: RedisSaver, proxy: FaultProxy, server: RedisServer, again: Callable[[], Any], act: Any, step: int
) -> Iterator[Any]:
    """Perform `act` once for each byte, or each `step` bytes, at which its requests, or its replies, can tear."""
    for script in (COMMIT, WRITE, REGISTER, TOUCH):
        server.tell("SCRIPT", "LOAD", script.source)
    again()
    saver._store.link.execute([("PING",)])
    proxy.forget()
    act()
    sizes = {"request": proxy.request_bytes, "reply": proxy.reply_bytes}
    for direction, size in sizes.items():
        for offset in range(0, size, step):
            again()
            saver._store.link.execute([("PING",)])
            proxy.cut_after(offset, direction)  # type: ignore[arg-type]
            yield act
            proxy.heal()


@pytest.mark.parametrize(
    ("big", "step"),
    [(False, 5), (True, 300), pytest.param(False, 1, marks=SLOW), pytest.param(True, 29, marks=SLOW)],
)
def test_a_put_torn_at_any_byte_happens_once(
    open_saver: Open, distant: Open, proxy: FaultProxy, redis_server: RedisServer, big: bool, step: int
) -> None:
    """It is sent again; whoever reads finds one new checkpoint, with its parent's writes."""
    values = {"list": ["a", LONG], "n": LONG} if big else NEW
    saver, reader = distant(), open_saver()
    thread = 0

    def again() -> None:
        nonlocal thread, author
        thread += 1
        author = Author(Both(reader, None), f"t{thread}")
        author.put(1, OLD)
        reader.put_writes(author.at(1), [("w", "before")], task(9))
        saver.get_tuple(author.at())

    author = Author(Both(reader, None))
    act = lambda: saver.put(*author.terms(2, values, after=1))  # noqa: E731 - one name for what is torn
    for put in torn(saver, proxy, redis_server, again, act, step):
        put()
        found = [*reader.list(author.at())]
        assert [each.checkpoint["id"][:8] for each in found] == ["00000002", "00000001"]
        assert [each.checkpoint["channel_values"] for each in found] == [{**OLD, **values}, OLD]
        assert [len(each.pending_writes or []) for each in found] == [0, 1]


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=SLOW)])
def test_a_get_torn_at_any_byte_is_whole(
    open_saver: Open, distant: Open, proxy: FaultProxy, redis_server: RedisServer, step: int
) -> None:
    """And the next one gets its own reply."""
    prepared(open_saver())
    other = Author(Both(open_saver(), None), "other")
    other.put(1, {"n": "other"})
    saver = distant()
    whole = saver.get_tuple(at())
    for get in torn(saver, proxy, redis_server, lambda: None, lambda: saver.get_tuple(at()), step):
        assert get() == whole
        found = saver.get_tuple(at("other"))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"n": "other"}


@pytest.mark.parametrize("options", [{}, {"seal": Seal(os.urandom(32))}], ids=["plain", "sealed"])
@pytest.mark.parametrize("operation", WRITES)
def test_a_write_whose_answer_was_lost_is_not_done_twice(
    open_saver: Open,
    distant: Open,
    proxy: FaultProxy,
    redis_server: RedisServer,
    operation: str,
    options: dict[str, Any],
) -> None:
    """The server did it and its reply tore. What was first is first, the checkpoint is one, and it reads well."""
    author = prepared(open_saver(**options))
    saver = distant(**options)
    saver.get_tuple(at())
    twin = Author(Both(open_saver(**options), None), "twin")
    twin.puts = author.puts
    proxy.cut_after(0, "reply")
    OPERATIONS[operation](saver, author)
    ids, values, writes = state(open_saver(**options))
    assert ids == (["00000002", "00000001", "00000000"] if "writes" not in operation else ["00000001", "00000000"])
    assert len(writes[-2]) == 1 + {"put_writes": 2, "put_writes big": 1}.get(operation, 0)
    assert values["n"] == {"put": 2, "put big": LONG}.get(operation, 1)


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_that_gives_up_leaves_the_old_state_or_the_new(
    open_saver: Open, distant: Open, proxy: FaultProxy, redis_server: RedisServer, prefix: str, operation: str
) -> None:
    """The deadline ends before the network heals. The same call later completes it."""
    author = prepared(open_saver())
    saver = distant()
    saver.get_tuple(at())
    before = state(open_saver())
    proxy.blackhole()
    saver._store.link._deadline = 0.06
    with pytest.raises(StoreUnavailable):
        OPERATIONS[operation](saver, author)
    assert state(open_saver()) == before
    proxy.heal()
    saver._store.link._deadline = 10.0
    OPERATIONS[operation](saver, author)
    assert state(open_saver()) != before


def test_a_put_that_was_cancelled_disturbs_nobody(open_saver: Open, distant: Open, proxy: FaultProxy) -> None:
    """Its connection, on which an answer is still to come, is not used again."""
    saver = distant()
    author = prepared(open_saver())

    async def cancelled() -> None:
        await saver.aget_tuple(at())
        for number in range(2, 22):
            proxy.blackhole()
            put = asyncio.ensure_future(saver.aput(*author.terms(number, {"n": number}, after=number - 1)))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            put.cancel()
            with pytest.raises(asyncio.CancelledError):
                await put
            proxy.heal()
            found = await saver.aget_tuple(author.at(1))
            assert found is not None
            assert found.checkpoint["channel_values"] == {**OLD}
            await saver.aput(*author.terms(number, {"n": number}, after=number - 1))
            found = await saver.aget_tuple(at())
            assert found is not None
            assert found.checkpoint["channel_values"] == {**OLD, "n": number}
        await saver.aclose()

    asyncio.run(cancelled())


# A server that says no


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    """A server whose settings a test may change, with users who may do less than is needed."""
    users = [
        "user elsewhere on >secret ~theirs:* +@all",
        *(f"user no_{name} on >secret ~* +@all -{name}" for name in NEEDED),
    ]
    with RedisServer(*users, appendonly="yes", appendfsync="always") as server:
        yield server


NEEDED = ["hset", "hincrby", "zadd", "zremrangebylex", "rpush", "evalsha", "exec", "hmget"]


def refused(server: RedisServer, saver: RedisSaver, author: Author, operation: str) -> StoreRefused:
    """The server's no to an operation that changes nothing."""
    before = contents(server, "lgg")
    with pytest.raises(StoreRefused) as caught:
        OPERATIONS[operation](saver, author)
    assert contents(server, "lgg") == before
    assert caught.value.__cause__ is not None
    return caught.value


@pytest.fixture
def own(own_server: RedisServer) -> Iterator[tuple[RedisServer, RedisSaver, Author]]:
    """The server, a saver, and a thread."""
    own_server.flush()
    with RedisSaver.from_conn_string(own_server.url) as saver:
        author = prepared(saver)
        yield own_server, saver, author


Own = tuple[RedisServer, RedisSaver, Author]


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    """No memory is left, and nothing is evicted: noeviction, as it should be."""
    server.tell("CONFIG", "SET", "maxmemory", 1)
    try:
        yield
    finally:
        server.tell("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.parametrize("operation", [*WRITES, "copy_thread"])
def test_a_full_server_refuses_and_nothing_is_half_written(own: Own, operation: str) -> None:
    """The old state stands, and the reason is said."""
    server, saver, author = own
    with full(server):
        error = refused(server, saver, author, operation)
    assert "out of memory" in error.reason


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("options", [{}, {"ttl": 3_600}, {"seal": Seal(os.urandom(32))}], ids=["plain", "ttl", "seal"])
@pytest.mark.parametrize("operation", ["get_tuple", "list", "list all", "history"])
def test_a_full_server_can_be_read(own: Own, operation: str, options: dict[str, Any], remembers: bool) -> None:
    """It takes no memory there, not even to put off an expiry; MULTI would be refused, whatever is in it."""
    server, _, _ = own
    server.flush()
    with RedisSaver.from_conn_string(server.url, **options) as writer:
        author = prepared(writer)
        whole = state(writer)
        with RedisSaver.from_conn_string(server.url, **options) as other, full(server):
            reader = writer if remembers else other
            OPERATIONS[operation](reader, author)
            assert state(reader) == whole


@pytest.mark.parametrize("scripts", ["known", "forgotten"])
@pytest.mark.parametrize("operation", ["prune", "delete_thread", "delete_for_runs"])
def test_a_full_server_can_be_emptied(own: Own, operation: str, scripts: str) -> None:
    """To remove is the way out, also when the records that stay have to be written anew: their parent is gone."""
    server, saver, author = own
    if scripts == "forgotten":
        server.tell("SCRIPT", "FLUSH")
    with full(server):
        OPERATIONS[operation](saver, author)
        assert [each.checkpoint["id"][:8] for each in saver.list(at())] == (
            [] if operation == "delete_thread" else ["00000001"]
        )
    found = RedisSaver.from_conn_string(server.url).get_tuple(at())
    assert (found and (found.checkpoint["channel_values"], found.parent_config)) == (
        None if operation == "delete_thread" else (OLD, None)
    )


def test_a_full_server_prolongs_what_is_read(own: Own) -> None:
    """A thread that is in use must not expire because others are big; nor may the indexes of its runs go before it."""
    server, _, _ = own
    server.flush()
    with RedisSaver.from_conn_string(server.url, ttl=3_600) as saver:
        prepared(saver)
        keys = saver._store.keys
        until_soon = int(server.tell("TIME")[0]) * 1_000 + 30_000
        server.tell("HSET", keys.thread("t").meta, "till", until_soon)
        for key in (*keys.thread("t"), keys.run("run-0")):
            server.tell("PEXPIREAT", key, until_soon)
        with full(server):
            saver.get_tuple(at())
        expiries = [server.expiry(key) for key in (*keys.thread("t"), keys.run("run-0"))]
    assert min(expiry for expiry in expiries if expiry != -2) > until_soon
    assert expiries[-1] > max(expiries[:-1])


@pytest.mark.usefixtures("servers_last_word")
@pytest.mark.parametrize("operation", WRITES)
def test_a_read_only_replica_refuses(own: Own, operation: str) -> None:
    """A fail-over that nobody told us about; it may be over soon, so it is asked again until the deadline."""
    server, saver, author = own
    saver._store.link._deadline = 1.0
    server.tell("REPLICAOF", HOST, 1)
    try:
        error = refused(server, saver, author, operation)
    finally:
        server.tell("REPLICAOF", "NO", "ONE")
    assert error.reason == "it is a read-only replica"


@pytest.mark.parametrize("operation", WRITES)
def test_a_server_that_cannot_save_refuses(own: Own, operation: str) -> None:
    """A full disk: MISCONF."""
    server, saver, author = own
    server.tell("CONFIG", "SET", "save", "3600 1")
    (server.folder / "dump.rdb").unlink(missing_ok=True)
    (server.folder / "dump.rdb").mkdir()  # no file can take its place
    server.tell("BGSAVE")
    until(lambda: server.client().info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
    try:
        error = refused(server, saver, author, operation)
    finally:
        (server.folder / "dump.rdb").rmdir()
        server.tell("BGSAVE")
        until(lambda: server.client().info("persistence")["rdb_last_bgsave_status"] == "ok", "a save")
        server.tell("CONFIG", "SET", "save", "")
    assert "disk" in error.reason


@operations
def test_a_user_without_our_keys_is_refused(own: Own, operation: str) -> None:
    """Nothing is touched, not even on the way to the refusal."""
    server, _, author = own
    with RedisSaver.from_conn_string(f"redis://elsewhere:secret@{HOST}:{server.port}") as saver:
        assert "permission" in refused(server, saver, author, operation).reason


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("lacking", NEEDED)
def test_a_user_who_lacks_one_command_changes_nothing_that_is_read(own: Own, operation: str, lacking: str) -> None:
    """A script that is stopped half way has not made a checkpoint or a write."""
    server, keeper, author = own
    before = state(keeper)
    with RedisSaver.from_conn_string(f"redis://no_{lacking}:secret@{HOST}:{server.port}") as saver:
        try:
            OPERATIONS[operation](saver, author)
        except StoreRefused:
            assert state(keeper) == before
        else:
            assert lacking in ("hset", "zremrangebylex", "rpush")  # not every operation needs each of these
    with RedisSaver.from_conn_string(server.url) as other:
        assert state(other)[1]["list"] in (OLD["list"], NEW["list"], [LONG])


def test_a_permission_that_a_script_lacks_is_named(own: Own) -> None:
    """One reason, wherever the server notices it."""
    server, _, author = own
    with RedisSaver.from_conn_string(f"redis://no_zadd:secret@{HOST}:{server.port}") as saver:
        assert "permission" in refused_by(saver, author).reason


def refused_by(saver: RedisSaver, author: Author) -> StoreRefused:
    """The server's no to a put."""
    with pytest.raises(StoreRefused) as caught:
        OPERATIONS["put"](saver, author)
    return caught.value


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("operation", [*OPERATIONS])
def test_a_key_that_holds_something_else_is_reported(own: Own, operation: str, place: int) -> None:
    """Somebody else uses our names: an error where the key is needed, and theirs stays as it was."""
    server, saver, author = own
    key = saver._store.keys.thread("t")[place]
    server.tell("UNLINK", key)
    server.tell("SET", key, "theirs")
    small_write = operation in ("put", "put_writes")
    before = contents(server, "lgg")
    try:
        OPERATIONS[operation](saver, author)
    except StoreError:
        if small_write:
            assert contents(server, "lgg") == before
    if operation != "delete_thread":
        assert server.tell("GET", key) == b"theirs"


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_that_would_be_unreadable_is_refused(own: Own, operation: str) -> None:
    """A blob that could not be stored: the write that names it is not there either."""
    server, saver, author = own
    key = saver._store.keys.thread("t").blobs
    server.tell("UNLINK", key)
    server.tell("SET", key, "theirs")
    with pytest.raises(StoreRefused):
        OPERATIONS[operation](saver, author)
    server.tell("DEL", key)
    ids, _, writes = state_without_blobs(saver)
    assert (ids, writes) == (["00000001", "00000000"], [1, 0])


def state_without_blobs(saver: RedisSaver) -> tuple[list[str], None, list[int]]:
    """What stands in the map."""
    groups = saver._store.link.execute([("ZRANGE", saver._store.keys.thread("t").entries, 0, -1)])[0]
    ids = [each.partition(b"/")[2][:8].decode() for each in groups if b"\x00\x01c" in each]
    told = [each.partition(b"/")[2] for each in groups if b"\x00\x01w" in each]
    writes = {id: sum(each.startswith(id.encode()) for each in told) for id in ids}
    return ids[::-1], None, [writes[id] for id in ids[::-1]]


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("version", [b"0", b"2", b"", b"1.0", None])
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("delete_thread", "delete_for_runs")])
def test_a_thread_of_another_format_is_left_alone(
    own: Own, operation: str, version: bytes | None, remembers: bool
) -> None:
    """Two releases beside each other in a deploy: this one does not guess, and above all writes nothing."""
    server, saver, author = own
    meta = saver._store.keys.thread("t").meta
    if version is None:
        server.tell("HDEL", meta, "v")
    else:
        server.tell("HSET", meta, "v", version)
    before = contents(server, "lgg")
    if not remembers:
        saver._store.memory.forget("t")
    with pytest.raises(CorruptCheckpoint, match="format version"):
        OPERATIONS[operation](saver, author)
    if "big" not in operation:
        assert contents(server, "lgg") == before


# Lost, and found again


def test_what_was_acknowledged_outlives_the_server(own: Own) -> None:
    """kill -9 with an append-only file that is synced always, again and again in the middle of a thread."""
    server, saver, _ = own
    saver._store.link._deadline = 20.0
    author = Author(Both(saver, None), "kept")
    value: list[Any] = []
    author.put(1, {"c": value})
    for number in range(2, 8):
        value = [*value, f"element {number}", LONG]
        author.put(number, {"c": value, "n": number}, after=number - 1)
        saver.put_writes(author.at(number), [("c", number)], task(number))
        server.restart()
        found = saver.get_tuple(author.at())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": value, "n": number}
        assert found.pending_writes == [(task(number), "c", number)]


def test_a_server_that_is_loading_is_waited_for() -> None:
    """As long as the deadline allows; then it is an error of ours."""
    with (
        RedisServer(**SLOW_TO_LOAD) as server,
        RedisSaver.from_conn_string(server.url, deadline=60.0) as saver,
        RedisSaver.from_conn_string(server.url, deadline=0.05) as hasty,
    ):
        author = prepared(saver)
        server.reload()
        for operation in ("put", "get_tuple"):
            with pytest.raises(StoreUnavailable) as caught:
                OPERATIONS[operation](hasty, author)
            assert caught.value.__cause__ is not None
        OPERATIONS["put"](saver, author)
        assert state(saver)[1]["list"] == NEW["list"]


# Damage


def damaged(rng: random.Random, data: bytes) -> bytes:
    """One byte another, or gone, or the rest missing, or something in between."""
    spot = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            return data[:spot] + bytes([data[spot] ^ (1 << rng.randrange(8))]) + data[spot + 1 :]
        case 1:
            return data[:spot]
        case 2:
            return data[:spot] + data[spot + 1 :]
    return data[:spot] + rng.randbytes(rng.randrange(1, 9)) + data[spot:]


def rich(saver: RedisSaver) -> None:
    """A thread with everything that the format knows."""
    author = Author(Both(saver, None))
    author.put(1, {"c": [HumanMessage("hello", id="h")], "n": 1, "document": BIG}, run="r")
    c = [HumanMessage("hello", id="h"), AIMessage("hi", id="a", tool_calls=[{"name": "f", "args": {}, "id": "i"}])]
    author.put(2, {"c": c}, after=1)
    saver.put_writes(author.at(2), [("c", ["short"]), ("d", BIG)], task(1), "~path")


def spots(server: RedisServer, saver: RedisSaver) -> list[Callable[[Callable[[bytes], bytes]], None]]:
    """Every place where the thread has bytes: each takes what is to be made of them."""
    meta, entries, log, blobs = saver._store.keys.thread("t")

    def in_hash(key: str, field: bytes) -> Callable[[Callable[[bytes], bytes]], None]:
        return lambda change: server.tell("HSET", key, field, change(server.tell("HGET", key, field)))

    def in_map(member: bytes) -> Callable[[Callable[[bytes], bytes]], None]:
        def act(change: Callable[[bytes], bytes]) -> None:
            server.tell("ZREM", entries, member)
            server.tell("ZADD", entries, 0, change(member))

        return act

    def in_log(index: int) -> Callable[[Callable[[bytes], bytes]], None]:
        return lambda change: server.tell("LSET", log, index, change(server.tell("LINDEX", log, index)))

    return [
        *(in_hash(meta, field) for field in server.tell("HKEYS", meta)),
        *(in_map(member) for member in server.tell("ZRANGE", entries, 0, -1)),
        *(in_log(index) for index in range(server.tell("LLEN", log))),
        *(in_hash(blobs, field) for field in server.tell("HKEYS", blobs)),
    ]


def answers(saver: RedisSaver) -> Iterator[Any]:
    """Of every operation that reads."""
    yield lambda: saver.get_tuple(at())
    yield lambda: [*saver.list(at())]
    yield lambda: saver.get_delta_channel_history(config=at(), channels=["c"])
    yield lambda: saver.copy_thread("t", "copy")
    yield lambda: saver.prune(["t"])


@pytest.mark.parametrize("options", [{}, {"compress": True}, {"seal": Seal(os.urandom(32))}], ids=str)
def test_damage_is_an_error_of_ours(open_saver: Open, redis_server: RedisServer, options: dict[str, Any]) -> None:
    """Never the driver's or a library's, which a retry policy would take for a passing one; never a crash."""
    rng = random.Random(4)
    keeper = open_saver(**options)
    rich(keeper)
    for number in [*range(len(spots(redis_server, keeper)))] * 12:
        keeper.delete_thread("t")
        keeper.delete_thread("copy")
        rich(keeper)
        spots(redis_server, keeper)[number](lambda data: damaged(rng, data))
        for answer in answers(keeper if number % 2 else open_saver(**options)):
            with suppress(StoreError):
                answer()


def record_of(**changes: Any) -> Callable[[bytes], bytes]:
    """Makes a record of which something is another."""

    def change(member: bytes) -> bytes:
        key, _, rest = member.partition(b"\x00\x01c")
        base, _, packed = rest.partition(b":")
        fields = dict(zip(FIELDS, ormsgpack.unpackb(packed), strict=True)) | {
            name: value for name, value in changes.items() if name != "base"
        }
        return key + b"\x00\x01c" + changes.get("base", base) + b":" + ormsgpack.packb([*fields.values()])

    return change


FIELDS = ["version", "tenant", "thread", "ns", "id", "parent", "run", "body"]
TOLD = ormsgpack.packb([{}, {}])


@pytest.mark.parametrize(
    "changes",
    [
        {"base": b""},
        {"base": b"x"},
        {"base": b"-"},
        {"ns": 1},
        {"ns": None},
        {"id": b"1"},
        {"tenant": []},
        {"thread": {}},
        {"parent": 1},
        {"parent": [1]},
        {"run": {}},
        {"body": None},
        {"body": "text"},
        {"body": b""},
        {"body": 5},
        {"body": ormsgpack.packb([TOLD])},
        {"body": ormsgpack.packb([TOLD, []])},
        {"body": ormsgpack.packb([TOLD, {"c": None}])},
        {"body": ormsgpack.packb([TOLD, {"c": []}])},
        {"body": ormsgpack.packb([TOLD, {"c": [0, 1]}])},
        {"body": ormsgpack.packb([TOLD, {"c": [0, [1]]}])},
        {"body": ormsgpack.packb([TOLD, {"c": [0, ["a", "b"]]}])},
        {"body": ormsgpack.packb([TOLD, {"c": [0, [0, -1]]}])},
        {"body": ormsgpack.packb([TOLD, {"c": [7, [0, 1]]}])},
        {"body": ormsgpack.packb([None, {}])},
        {"body": ormsgpack.packb(["text", {}])},
        {"body": ormsgpack.packb([ormsgpack.packb([]), {}])},
        {"body": ormsgpack.packb([ormsgpack.packb([1, 2]), {}])},
        {"body": ormsgpack.packb([ormsgpack.packb([{"id": "x", "channel_versions": 1}, {}]), {}])},
    ],
    ids=str,
)
def test_a_record_that_makes_no_sense_is_an_error_of_ours(
    open_saver: Open, redis_server: RedisServer, changes: dict[str, Any]
) -> None:
    """Whoever wrote it: a bug, a tool, another release."""
    saver = open_saver()
    rich(saver)
    entries = saver._store.keys.thread("t").entries
    for member in redis_server.tell("ZRANGE", entries, 0, -1):
        if b"\x00\x01c" in member:
            redis_server.tell("ZREM", entries, member)
            redis_server.tell("ZADD", entries, 0, record_of(**changes)(member))
    before = contents(redis_server, saver._store.keys.prefix)
    get, list_, history, copy, prune = answers(open_saver())
    for answer in (get, list_, history, prune):
        with pytest.raises(StoreError):
            answer()
    assert contents(redis_server, saver._store.keys.prefix) == before
    with suppress(StoreError):
        copy()  # does not look into what it copies


def test_what_is_sealed_is_read_as_it_was_written_or_not_at_all(open_saver: Open, redis_server: RedisServer) -> None:
    """Whoever can write to the server can delete, and cannot change."""
    rng = random.Random(5)
    options = {"seal": Seal(os.urandom(32))}
    keeper = open_saver(**options)
    rich(keeper)
    whole = {each.checkpoint["id"]: each for each in keeper.list(at())}
    for number in [*range(len(spots(redis_server, keeper)))] * 8:
        keeper.delete_thread("t")
        rich(keeper)
        spots(redis_server, keeper)[number](lambda data: damaged(rng, data))
        try:
            found = [*open_saver(**options).list(at())]
        except StoreError:
            continue
        for each in found:
            true = whole[each.checkpoint["id"]]
            assert each.checkpoint["channel_values"] == true.checkpoint["channel_values"]
            assert (each.metadata, each.parent_config) == (true.metadata, true.parent_config)
            assert [write for write in each.pending_writes or [] if write not in (true.pending_writes or [])] == []


def test_a_sealed_list_cannot_be_made_of_other_elements(open_saver: Open, redis_server: RedisServer) -> None:
    """The base of a record stands outside of its seal; what is sealed does not count from it."""
    saver = open_saver(seal=Seal(os.urandom(32)))
    author = Author(Both(saver, None))
    author.put(1, {"c": ["transfer", "refuse"]})
    author.put(2, {"c": ["harmless", "approve"]}, after=1)
    entries = saver._store.keys.thread("t").entries
    for member in redis_server.tell("ZRANGE", entries, 0, -1):
        redis_server.tell("ZREM", entries, member)
        redis_server.tell("ZADD", entries, 0, member.replace(b"\x00\x01c2:", b"\x00\x01c0:"))
    found = open_saver(seal=saver._seal).get_tuple(at())
    assert found is not None
    assert found.checkpoint["channel_values"]["c"] == ["harmless", "approve"]


def test_a_sealed_write_cannot_be_given_anothers_value(open_saver: Open, redis_server: RedisServer) -> None:
    """Two big writes of one thread: whoever can write to the server could exchange them."""
    saver = open_saver(seal=Seal(os.urandom(32)))
    author = Author(Both(saver, None))
    author.put(1, {"n": 1})
    saver.put_writes(author.at(1), [("c", "refuse" + BIG), ("d", "approve" + BIG)], task(1))
    entries, blobs = saver._store.keys.thread("t").entries, saver._store.keys.thread("t").blobs
    one, other = redis_server.tell("HKEYS", blobs)
    for member in redis_server.tell("ZRANGE", entries, 0, -1):
        redis_server.tell("ZREM", entries, member)
        swapped = member.replace(one, b"?" * 32).replace(other, one).replace(b"?" * 32, other)
        redis_server.tell("ZADD", entries, 0, swapped)
    with pytest.raises(CorruptCheckpoint):
        open_saver(seal=saver._seal).get_tuple(at())


def test_a_range_beyond_the_log_is_an_error_of_ours(open_saver: Open, redis_server: RedisServer) -> None:
    """And no attempt to build it."""
    saver = open_saver()
    rich(saver)
    body = ormsgpack.packb([TOLD, {"c": [0, [0, 2**40]]}])
    entries = saver._store.keys.thread("t").entries
    for member in redis_server.tell("ZRANGE", entries, 0, -1):
        if b"\x00\x01c" in member:
            redis_server.tell("ZREM", entries, member)
            redis_server.tell("ZADD", entries, 0, record_of(body=body)(member))
    for read in (lambda: open_saver().get_tuple(at()), lambda: [*open_saver().list(at())]):
        with pytest.raises(CorruptCheckpoint):
            read()


@pytest.mark.parametrize("key", ["meta", "entries", "log", "blobs"])
def test_a_key_that_was_evicted_is_noticed(open_saver: Open, redis_server: RedisServer, key: str) -> None:
    """allkeys-lru takes single keys: an error or an empty thread, never a conversation that lacks a part."""
    saver = open_saver()
    rich(saver)
    whole = saver.get_tuple(at())
    redis_server.tell("UNLINK", getattr(saver._store.keys.thread("t"), key))
    for reader in (saver, open_saver()):
        try:
            found = reader.get_tuple(at())
        except CorruptCheckpoint:
            continue
        assert found in (None, whole)
