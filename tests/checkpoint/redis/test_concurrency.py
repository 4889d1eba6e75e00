"""Two at once: every order in which the trips of two operations can reach the server ends in a whole thread.

An operation is a flow, so two of them are driven by hand here, trip by trip, each as a process of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from langchain_core.messages import HumanMessage

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver, elements
from langgraph_guard.checkpoint.redis.getting import get_tuple
from langgraph_guard.errors import StoreError, StoreRefused
from langgraph_guard.testing.contracts.saver import graphs
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at, task, uid
from tests.checkpoint.redis.conftest import Open
from tests.servers.redis import HOST, RedisCluster, RedisServer

LONG = "l" * 20_000
"""More than goes through a script."""

BIG = "b" * 5_000
"""A blob, also of a write."""

VALUES = {"list": ["a", {"b": 1}], "document": BIG, "n": 1, "fixed": "as it was"}
NEW: dict[str, dict[str, Any]] = {
    "small": {"list": ["a", {"b": 1}, "c"], "n": 2},
    "ahead": {"list": ["a", {"b": 1}, LONG], "document": LONG, "n": 2},
    "nothing": {"n": 2},
}

Do = Callable[[RedisSaver, Author], Any]


class Walk:
    """One operation, trip by trip, on the connections of its own saver."""

    def __init__(self, saver: RedisSaver, flow: Any) -> None:
        self._link, self._flow = saver._store.link, flow
        self.result: Any = None
        self.done = False
        self._batch: Any = None
        self._go_on(lambda: next(flow))

    def step(self) -> None:
        """Send what is due, and take the answer."""
        try:
            replies = self._link.execute(self._batch)
        except StoreError as error:
            refusal = error
            self._go_on(lambda: self._flow.throw(refusal))
        else:
            self._go_on(lambda: self._flow.send(replies))

    def to_the_end(self) -> None:
        while not self.done:
            self.step()

    def _go_on(self, act: Callable[[], Any]) -> None:
        try:
            self._batch = act()
        except StopIteration as stop:
            self.result, self.done = stop.value, True
        except StoreRefused as error:
            self.result, self.done = error, True


def put(**terms: Any) -> Do:
    """Checkpoint 3."""
    return lambda saver, author: saver._put(*author.terms(3, **{"changes": NEW["small"], "after": 2, **terms}))


def put_other(saver: RedisSaver, author: Author) -> Any:
    """Checkpoint 4, beside 3."""
    return saver._put(*author.terms(4, {"list": ["a", {"b": 1}, "other"], "n": 4}, after=2))


def writes(value: Any = BIG, number: int = 2) -> Do:
    """Of one task."""
    return lambda saver, author: saver._put_writes(author.at(number), [("c", value), ("d", 1)], task(1), "")


def prune(saver: RedisSaver, author: Author) -> Any:
    """All but the newest."""
    return saver._prune("t")


def delete(saver: RedisSaver, author: Author) -> Any:
    """All of it."""
    return saver._delete_thread("t")


def delete_run(saver: RedisSaver, author: Author) -> Any:
    """What the run put."""
    return saver._delete_for_runs(["old"])


def copy(saver: RedisSaver, author: Author) -> Any:
    """To another thread."""
    return saver._copy_thread("t", "copy")


def get(saver: RedisSaver, author: Author) -> Any:
    """The newest."""
    return saver._get_tuple(at())


def recreate(saver: RedisSaver, author: Author) -> Any:
    """Gone, and there again with other contents at the same places."""
    yield from saver._delete_thread("t")
    fresh = Author(Both(saver, None))
    yield from saver._put(*fresh.terms(5, {"list": ["other", "elements", "here"], "document": BIG[1:], "n": 5}))


class Scene:
    """A thread with a past, and processes that know it."""

    def __init__(self, open_saver: Open, options: dict[str, Any]) -> None:
        self.open_saver, self.options = open_saver, options

    def begin(self) -> None:
        keeper = self.open_saver(**self.options)
        for thread in ("t", "copy"):
            keeper.delete_thread(thread)
        self.author = Author(Both(keeper, None))
        self.author.put(0, {"list": ["gone"], "document": "old" + BIG}, run="old")
        self.author.put(1, VALUES, after=0, run="old")
        self.author.put(2, {"n": 0}, after=1, run="new")
        keeper.put_writes(self.author.at(2), [("w", BIG[2:]), ("x", 1)], task(9))

    def process(self, knows: bool) -> RedisSaver:
        saver = self.open_saver(**self.options)
        if knows:
            saver.get_tuple(at())
        return saver

    def orders(self, first: Do, second: Do, knows: bool = True) -> Iterator[tuple[Walk, Walk]]:
        """Both operations in every order of their trips: as many of the first, then the second whole; and so on."""
        pattern: list[bool] = []
        while True:
            self.begin()
            one, two = self.process(knows), self.process(knows)
            walks = Walk(one, first(one, self.author)), Walk(two, second(two, self.author))
            taken: list[bool] = []
            while not all(walk.done for walk in walks):
                turn = pattern[len(taken)] if len(taken) < len(pattern) else False
                if walks[turn].done:
                    turn = not turn
                    taken.append(turn)
                    walks[turn].step()
                    continue
                taken.append(turn)
                walks[turn].step()
            yield walks
            following = self._following(taken)
            if following is None or len(taken) > 24:
                return
            pattern = following

    def _following(self, taken: list[bool]) -> list[bool] | None:
        """The next order: the last trip of the first operation that could have been the second's."""
        for last in range(len(taken) - 1, -1, -1):
            if not taken[last] and any(taken[last + 1 :]):
                return [*taken[:last], True]
        return None

    def check(self, expected: set[str]) -> None:
        """Every reader sees whole checkpoints, the newest of them one of `expected`, and its own registry."""
        for reader in (self.open_saver(**self.options), self.open_saver(**{**self.options, "strict": True})):
            found = [*reader.list(at())]
            newest = reader.get_tuple(at())
            assert (newest.checkpoint["id"][7:8] if newest else "") in expected
            for each in found:
                self.check_whole(each)
            assert len([*reader.list(None)]) >= len(found)

    def check_whole(self, found: Any) -> None:
        number = int(found.checkpoint["id"][:8], 16)
        if number == 5:
            assert found.checkpoint["channel_values"] == {
                "list": ["other", "elements", "here"],
                "document": BIG[1:],
                "n": 5,
            }
        else:
            assert found.checkpoint["channel_values"] == self.author.puts[number]["channel_values"]


OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"seal": Seal(os.urandom(32))}, {"ttl": 60}], ids=["plain", "sealed", "ttl"]
)
NAMES = ["prune", "put", "delete", "recreate", "writes"]
KNOWS = pytest.mark.parametrize("knows", [True, False], ids=["known", "at first sight"])
SIZES = pytest.mark.parametrize("size", NEW)


@pytest.fixture
def scene(open_saver: Open, options: dict[str, Any]) -> Scene:
    """With the options of the test."""
    return Scene(open_saver, options)


@OPTIONS
@KNOWS
@SIZES
def test_a_put_beside_a_prune_is_stored(scene: Scene, knows: bool, size: str) -> None:
    """The prune takes what the put builds on; whichever is first, the other looks again."""
    orders = 0
    for one, _ in scene.orders(put(changes=NEW[size]), prune, knows):
        orders += 1
        assert not isinstance(one.result, StoreRefused)
        scene.check({"3"})
    assert orders > 2


@OPTIONS
@SIZES
def test_a_put_beside_the_end_of_a_run_is_stored(scene: Scene, size: str) -> None:
    """The same with the checkpoints of a run."""
    for one, _ in scene.orders(put(changes=NEW[size], run="new"), delete_run):
        assert not isinstance(one.result, StoreRefused)
        scene.check({"3"})


@OPTIONS
@KNOWS
@SIZES
def test_a_put_beside_a_deletion_is_whole_or_gone(
    scene: Scene, redis_server: RedisServer, prefix: str, knows: bool, size: str
) -> None:
    """The put makes a thread of its own when it comes later. Nothing remains without its thread."""
    for _ in scene.orders(put(changes=NEW[size]), delete, knows):
        scene.check({"3", ""})
        saver = scene.open_saver(**scene.options)
        there = [bool(redis_server.tell("EXISTS", key)) for key in saver._store.keys.thread("t")]
        assert there[0] is there[1]
        assert there[0] or not any(there)


@OPTIONS
@KNOWS
def test_writes_beside_a_deletion_are_whole_or_gone(scene: Scene, knows: bool) -> None:
    """Big and small ones of one call."""
    for _ in scene.orders(writes(), delete, knows):
        scene.check({""})


@OPTIONS
@KNOWS
def test_writes_beside_their_put_are_stored(scene: Scene, knows: bool) -> None:
    """LangGraph submits them at the same moment; here on a thread that neither knows, too."""
    for number in (2, 3):
        for _ in scene.orders(put(), writes(number=number), knows):
            scene.check({"3"})
            found = scene.open_saver(**scene.options).get_tuple(scene.author.at(number))
            assert found is not None
            assert [value for _, name, value in found.pending_writes if name == "c"] == [BIG]


@OPTIONS
@KNOWS
def test_writes_beside_a_prune_are_stored(scene: Scene, knows: bool) -> None:
    """Also those whose checkpoint is not there yet."""
    for number in (2, 3):
        for _ in scene.orders(writes(number=number), prune, knows):
            scene.check({"2"})
            saver = scene.open_saver(**scene.options)
            if number == 3:
                scene.author.both = Both(saver, None)
                scene.author.put(3, NEW["small"], after=2)
            found = saver.get_tuple(scene.author.at(number))
            assert found is not None
            assert [value for _, name, value in found.pending_writes if name == "c"] == [BIG]


@OPTIONS
@KNOWS
def test_two_puts_at_once_are_both_stored(scene: Scene, knows: bool) -> None:
    """Each element under its own index, sealed or not."""
    for one, two in scene.orders(put(), put_other, knows):
        assert not isinstance(one.result, StoreRefused)
        assert not isinstance(two.result, StoreRefused)
        scene.check({"4"})
        assert len([*scene.open_saver(**scene.options).list(at())]) == 5


@OPTIONS
@pytest.mark.parametrize("other", [put_other, prune, delete_run, copy], ids=lambda do: do.__name__)
def test_a_put_that_stores_a_list_anew_is_whole_beside_anything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, other: Do
) -> None:
    """All of its elements are new, and somebody else takes their places or removes those that they had."""
    monkeypatch.setattr(elements, "FEW", 0)
    monkeypatch.setattr(elements, "PER_RANGE", 10**9)
    for one, two in scene.orders(put(), other):
        assert not isinstance(one.result, StoreRefused)
        assert not isinstance(two.result, StoreRefused)
        scene.check({"4"} if other is put_other else {"3"})


@OPTIONS
@KNOWS
@pytest.mark.parametrize("other", [prune, delete, recreate, put(), copy], ids=lambda do: getattr(do, "__name__", "put"))
def test_a_get_beside_anything_is_whole(scene: Scene, knows: bool, other: Do) -> None:
    """What it returns was the newest at some moment: never elements of two threads of one name."""
    for one, _ in scene.orders(get, other, knows):
        if one.result is not None:
            scene.check_whole(one.result)


@OPTIONS
def test_a_get_in_two_trips_is_whole(scene: Scene) -> None:
    """A process that knows an older state: the newest has values that it did not ask for."""
    scene.begin()
    for act in (prune, delete, recreate):
        scene.begin()
        reader, writer = scene.process(knows=True), scene.open_saver(**scene.options)
        scene.author.both = Both(writer, None)
        scene.author.put(3, {"document": BIG[3:], "list": ["x", BIG]}, after=2)
        walk = Walk(reader, get_tuple(reader._store, reader._codec, "t", "", None))
        walk.step()
        assert not walk.done
        Walk(writer, act(writer, scene.author)).to_the_end()
        walk.to_the_end()
        if walk.result is not None:
            scene.check_whole(walk.result)


@OPTIONS
@pytest.mark.parametrize("other", [prune, put(), delete, recreate, writes()], ids=NAMES)
def test_a_copy_beside_anything_is_whole(scene: Scene, other: Do) -> None:
    """And can be written on."""
    for one, _ in scene.orders(copy, other):
        assert not isinstance(one.result, StoreRefused)
        saver = scene.open_saver(**scene.options)
        for found in saver.list(at("copy")):
            scene.check_whole(found)
        newest = saver.get_tuple(at("copy"))
        if newest is not None and newest.checkpoint["id"] != uid(5):
            number = int(newest.checkpoint["id"][:8], 16)
            fork = Author(Both(saver, None), "copy")
            fork.puts = dict(scene.author.puts)
            fork.put(9, {"list": [*fork.puts[number]["channel_values"]["list"], "more"]}, after=number)
            again = scene.open_saver(**scene.options).get_tuple(at("copy"))
            assert again is not None
            assert again.checkpoint["channel_values"] == fork.puts[9]["channel_values"]


@OPTIONS
@pytest.mark.parametrize("value", [VALUES, {"document": LONG}], ids=["small", "ahead"])
def test_a_copy_beside_a_first_put_of_its_target_is_one_of_both(scene: Scene, value: Any) -> None:
    """Who comes second finds a thread there: the copy is refused, or the put goes on from it."""

    def first_put(saver: RedisSaver, author: Author) -> Any:
        return saver._put(*Author(Both(saver, None), "copy").terms(3, value))

    for one, _ in scene.orders(copy, first_put):
        saver = scene.open_saver(**scene.options)
        found = {each.checkpoint["id"][7:8]: each for each in saver.list(at("copy"))}
        assert found["3"].checkpoint["channel_values"] == value
        assert set(found) == ({"3"} if isinstance(one.result, StoreRefused) else {"0", "1", "2", "3"})


@pytest.mark.parametrize("options", [{}])
@pytest.mark.parametrize("changes", [{"list": ["z", LONG]}, {"document": BIG[5:]}], ids=["list", "blob"])
def test_on_a_cluster_a_copy_leaves_its_target_whole(
    scene: Scene, redis_cluster: RedisCluster, changes: dict[str, Any]
) -> None:
    """What travels there must not take the place of what another wrote meanwhile."""
    client = redis.RedisCluster(host=HOST, port=redis_cluster.nodes[0].port)
    by_url = scene.open_saver
    scene.open_saver = lambda **options: by_url(client, **options)

    def first_put(saver: RedisSaver, author: Author) -> Any:
        return saver._put(*Author(Both(saver, None), "copy").terms(3, changes))

    try:
        for one, _ in scene.orders(copy, first_put):
            saver = scene.open_saver()
            found = {each.checkpoint["id"][7:8]: each for each in saver.list(at("copy"))}
            assert found["3"].checkpoint["channel_values"] == changes
            assert set(found) == ({"3"} if isinstance(one.result, StoreRefused) else {"0", "1", "2", "3"})
    finally:
        client.close()


@OPTIONS
def test_a_list_of_all_beside_a_thread_that_comes_back_loses_no_name(scene: Scene, redis_server: RedisServer) -> None:
    """It found nothing behind an old name and is about to tidy up, when the thread's writer returns."""

    def listing(saver: RedisSaver, author: Author) -> Any:
        pages = saver._list(None, {}, None, None)
        while not pages.done:
            yield from pages.page()

    def first_put(saver: RedisSaver, author: Author) -> Any:
        return saver._put(*author.terms(3, NEW["small"], after=2))

    for knows in (True, False):
        scene.begin()
        pattern_done = False
        for stop in range(8):
            scene.begin()
            writer, lister = scene.process(knows), scene.open_saver(**scene.options)
            redis_server.tell("UNLINK", *writer._store.keys.thread("t"))
            redis_server.tell("ZADD", writer._store.keys.threads, 1, "t")
            walk = Walk(lister, listing(lister, scene.author))
            for _ in range(stop):
                if not walk.done:
                    walk.step()
            pattern_done = pattern_done or walk.done
            Walk(writer, first_put(writer, scene.author)).to_the_end()
            walk.to_the_end()
            assert [each.checkpoint["id"] for each in scene.open_saver(**scene.options).list(None)] == [uid(3)]
        assert pattern_done


@pytest.mark.parametrize("options", [{}])
def test_a_run_that_goes_on_is_deleted_when_asked_again(scene: Scene) -> None:
    """delete_for_runs forgets where a run was; what that run puts meanwhile must not be lost from sight."""
    for _ in scene.orders(put(run="old"), delete_run):
        saver = scene.open_saver()
        saver.delete_for_runs(["old"])
        assert [each.metadata.get("run_id") for each in saver.list(at())].count("old") == 0


@pytest.mark.parametrize("options", [{"seal": Seal(os.urandom(32))}], ids=["sealed"])
@pytest.mark.parametrize("act", ["put", "put_writes"])
def test_a_sealed_value_that_is_put_again_stays_readable(scene: Scene, act: str) -> None:
    """A process that does not know the storage seals for another one; what it sends must not replace what is there."""
    scene.begin()
    keeper, cold = scene.process(knows=True), scene.open_saver(**scene.options)
    author = Author(Both(keeper, None), "t")
    author.puts = dict(scene.author.puts)
    author.put(3, {"document": LONG}, after=2)
    keeper.put_writes(author.at(3), [("c", LONG)], task(1))
    flow = cold._put(*author.terms(4, {"other": LONG}, after=3)) if act == "put" else writes(LONG)(cold, author)
    Walk(cold, flow).step()  # and it dies
    found = scene.open_saver(**scene.options).get_tuple(author.at(3))
    assert found is not None
    assert found.checkpoint["channel_values"]["document"] == LONG
    assert [value for _, _, value in found.pending_writes] == [LONG]


@pytest.mark.parametrize("options", [{}])
def test_a_thread_that_is_forgotten_during_its_put_is_put(scene: Scene) -> None:
    """The memory is full, or another task deletes the thread, while the answer is on its way."""
    scene.begin()
    saver = scene.process(knows=True)
    value = saver.get_tuple(at()).checkpoint["channel_values"]["list"]  # type: ignore[union-attr]
    saver.put_writes(scene.author.at(2), [("list", [value[1]])], task(1))
    walk = Walk(saver, saver._put(*scene.author.terms(3, {"list": [*value, "c"]}, after=2)))
    saver._store.memory.forget("t")
    walk.to_the_end()
    scene.check({"3"})


@pytest.mark.parametrize("options", [{}])
def test_what_a_node_returned_is_stored_whichever_comes_first(scene: Scene) -> None:
    """LangGraph hands writes and checkpoint to a pool of threads: the checkpoint's may be first to run.

    An element that was edited deep inside is stored as it is all the same: nobody has to say that it was returned.
    """
    scene.begin()
    saver = scene.process(knows=True)
    value = saver.get_tuple(at()).checkpoint["channel_values"]["list"]  # type: ignore[union-attr]
    nested = {"b": {"deep": [1]}}
    scene.author.both = Both(saver, None)
    scene.author.put(3, {"list": [*value, nested]}, after=2)
    nested["b"]["deep"].append(2)
    the_put = saver._put(*scene.author.terms(4, {"list": [*value, nested]}, after=3))
    the_writes = saver._put_writes(scene.author.at(3), [("list", [nested])], task(1), "")
    for flow in (the_put, the_writes):
        Walk(saver, flow).to_the_end()
    found = scene.open_saver().get_tuple(at())
    assert found is not None
    assert found.checkpoint["channel_values"]["list"][-1] == {"b": {"deep": [1, 2]}}


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_an_edit_that_a_node_returns_is_never_lost(open_saver: Open, durability: str) -> None:
    """The same through LangGraph, often enough to meet it."""

    def act(state: graphs.Chat) -> dict[str, Any]:
        message = state["messages"][0]
        message.additional_kwargs.setdefault("deep", {"n": []})["n"].append(len(state["messages"]))
        return {"messages": [message]}

    for number in range(60):
        graph = graphs.acting(open_saver(), act)
        for turn in range(3):
            input = {"messages": [HumanMessage("x", id=f"h{turn}")]}
            graph.invoke(input, at(f"t{number}"), durability=durability)  # type: ignore[call-overload]
        found = open_saver().get_tuple(at(f"t{number}"))
        assert found is not None
        assert found.checkpoint["channel_values"]["messages"][0].additional_kwargs["deep"]["n"] == [1, 2, 3]


# Many


@pytest.mark.slow
def test_a_hundred_and_fifty_runs_at_once_meet_no_error(open_saver: Open) -> None:
    """With default construction; redis-py's own pool refuses the 101st connection."""
    graph = graphs.react(open_saver())

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(
            *(graph.ainvoke({"messages": [HumanMessage("?", id="q")]}, at(f"t{number}")) for number in range(150))
        )

    assert [len(state["messages"]) for state in asyncio.run(all_of_them())] == [8] * 150


@pytest.mark.slow
def test_sixty_four_threads_meet_no_error(open_saver: Open) -> None:
    """The same in the blocking world, some of them on one conversation."""
    graph = graphs.react(open_saver())

    def run(number: int) -> int:
        return len(graph.invoke({"messages": [HumanMessage("?", id="q")]}, at(f"t{number}"))["messages"])

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(run, range(128))) == [8] * 128


@pytest.mark.parametrize("options", [{}, {"seal": Seal(os.urandom(32))}], ids=["plain", "sealed"])
def test_two_processes_on_one_thread_lose_nothing(open_saver: Open, options: dict[str, Any]) -> None:
    """Neither knows of the other; each checkpoint that was acknowledged is there, with its own values."""
    author = Author(Both(open_saver(**options), None))
    author.put(1, VALUES)
    savers = [open_saver(**options), open_saver(**options)]
    authors = [Author(Both(saver, None)) for saver in savers]

    def work(who: int) -> None:
        authors[who].puts = dict(author.puts)
        before = 1
        for number in range(2 + who, 62, 2):
            value = authors[who].puts[before]["channel_values"]["list"]
            authors[who].put(number, {"list": [*value, f"{who} {number}"]}, after=before)
            savers[who].put_writes(authors[who].at(number), [("c", number)], task(who))
            before = number

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    found = {int(each.checkpoint["id"][:8], 16): each for each in open_saver(**options).list(at())}
    assert set(found) == set(range(1, 62))
    for number, each in found.items():
        puts = authors[number % 2].puts if number > 1 else author.puts
        assert each.checkpoint["channel_values"] == puts[number]["channel_values"]
