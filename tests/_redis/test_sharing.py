"""One link for many: threads, tasks, event loops, processes."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from langgraph_guard._redis import RedisLink
from langgraph_guard.errors import StoreUnavailable
from langgraph_guard.testing import FaultProxy
from tests.servers.redis import RedisServer, until

Links = Callable[..., RedisLink]


def test_many_threads_share_few_connections(proxy: FaultProxy, distant: Links) -> None:
    """64 workers on 4 connections wait for each other; nobody is refused, and nobody gets another's reply."""
    link = distant(max_connections=4, deadline=60.0)  # who comes first may be served first: the last waits for all
    with ThreadPoolExecutor(64) as threads:
        numbers = threads.map(lambda number: link.execute([("ECHO", number), ("ECHO", -number)]), range(1_000))
        assert list(numbers) == [[b"%d" % number, b"%d" % -number] for number in range(1_000)]
    assert proxy.connections <= 4


async def test_many_tasks_share_few_connections(proxy: FaultProxy, distant: Links) -> None:
    """150 runs of one process; redis-py's own pool refuses the 101st."""
    link = distant(max_connections=4)
    numbers = await asyncio.gather(*(link.aexecute([("ECHO", number)]) for number in range(150)))
    assert numbers == [[b"%d" % number] for number in range(150)]
    assert proxy.connections <= 4
    await link.aclose()


def test_waiting_for_a_connection_ends_with_the_deadline(proxy: FaultProxy, distant: Links) -> None:
    """It says what there was too little of."""
    link = distant(max_connections=1, deadline=0.3)
    proxy.blackhole()
    with ThreadPoolExecutor(8) as threads:
        outcomes = [threads.submit(link.execute, [("PING",)]) for _ in range(8)]
    assert_some_found_no_connection([outcome.exception() for outcome in outcomes])


async def test_waiting_tasks_end_with_the_deadline_too(proxy: FaultProxy, distant: Links) -> None:
    """The same on an event loop."""
    link = distant(max_connections=1, deadline=0.3)
    proxy.blackhole()
    tasks = (link.aexecute([("PING",)]) for _ in range(8))
    assert_some_found_no_connection(await asyncio.gather(*tasks, return_exceptions=True))


def assert_some_found_no_connection(outcomes: Sequence[object]) -> None:
    """Unavailable, all of them, and not all because of the server."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, StoreUnavailable)]
    assert len(errors) == len(outcomes)
    assert "all 1 connections are in use" in {str(error.__cause__) for error in errors}


def test_two_event_loops_one_after_the_other(server: RedisServer) -> None:
    """`asyncio.run` twice in a script: each loop's connections end with it, and nothing is left to warn about."""
    link = RedisLink.from_url(server.url, client_name="mine")
    gc.collect()  # what other tests left behind
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(3):
            assert asyncio.run(link.aexecute([("ECHO", number)])) == [b"%d" % number]
        del link
        gc.collect()
    assert [warning for warning in caught if warning.category is ResourceWarning] == []
    until(lambda: "name=mine" not in str(server.tell("CLIENT", "LIST")), "the end of all connections")


def test_two_event_loops_at_once(link: RedisLink) -> None:
    """A server with a loop for each thread."""

    async def ask(number: int) -> list[object]:
        return await link.aexecute([("ECHO", number)])

    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda number: asyncio.run(ask(number)), range(50)))
    assert replies == [[b"%d" % number] for number in range(50)]


def test_a_loop_that_was_closed_the_hard_way_is_forgotten(link: RedisLink) -> None:
    """Without `asyncio.run` nobody tells us; the next loop must work all the same."""
    for number in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(link.aexecute([("ECHO", number)])) == [b"%d" % number]
        loop.close()
    assert link._loops
    assert len(link._loops._homes) == 1


def forked(check: Callable[[], bool]) -> int:
    """A child that ends with whether `check` held; it never goes on as a second run of these tests."""
    if child := os.fork():
        return child
    held = False
    try:
        held = check()
    finally:
        os._exit(0 if held else 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_process_has_connections_of_its_own(link: RedisLink) -> None:
    """Parent and child on one socket would read each other's replies."""
    link.execute([("PING",)])

    def gets_its_own(word: bytes) -> bool:
        return all(link.execute([("ECHO", word)]) == [word] for _ in range(200))

    children = [forked(partial(gets_its_own, b"%d" % number)) for number in range(4)]
    assert gets_its_own(b"parent")
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_does_not_wait_for_the_parent_s_threads(proxy: FaultProxy, distant: Links) -> None:
    """One of them holds the only connection at the moment of the fork, and does not exist in the child."""
    link = distant(max_connections=1)
    link.execute([("PING",)])
    proxy.blackhole()
    proxy.forget()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(link.execute, [("ECHO", "parent")])
        until(lambda: bool(proxy.request_bytes), "a request on its way")
        child = forked(lambda: link.execute([("ECHO", "child")]) == [b"child"])
        proxy.heal()
        assert held.result() == [b"parent"]
    assert os.waitpid(child, 0)[1] == 0
