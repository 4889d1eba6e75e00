"""A process dies between any two requests: what was acknowledged is there, and what was begun can be done again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, copying
from langgraph_guard.checkpoint.cloudflare.reading import batches
from langgraph_guard.errors import StoreRefused, StoreUnavailable
from langgraph_guard.testing import FakeClock
from langgraph_guard.testing.contracts.saver.delta import delta_graph
from langgraph_guard.testing.contracts.saver.harness import at
from langgraph_guard.testing.contracts.saver.same import same
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.chain import INPUT, WHOLE, chain
from tests.servers.kv_front import TOKEN, KVFront
from tests.servers.kv_wire import Answer

ROOT = Path(__file__).parents[3]

DONE = pytest.mark.parametrize("done", [False, True], ids=["before it arrived", "after it was done"])


class Killed(BaseException):
    """What a process that is dead does not catch."""


def dying(front: KVFront, last: int, *, done: bool) -> CloudflareKVSaver:
    """A process that dies with its request number `last`; `done`: whether that takes effect. It sends no other."""
    sent: list[str] = []

    def send(request: httpx.Request) -> httpx.Response | None:
        sent.append(request.url.path)
        if len(sent) == last and done:
            front.transport.handler(request)
        if len(sent) >= last:
            raise Killed
        return None

    return fronts.over(fronts.answering(front, send), front)


def later(front: KVFront) -> CloudflareKVSaver:
    """Another process, when all that was written is visible."""
    front.clock.advance(121)
    return fronts.saver(front)


# In the middle of a run


def resumed(saver: CloudflareKVSaver, ran: list[str]) -> Any:
    """The end of a run that begins anew if nothing of it is there, and goes on otherwise."""
    graph = chain(saver, ran.append)
    return graph.invoke(None if graph.get_state(at()).values else INPUT, at())


@DONE
@pytest.mark.parametrize("last", range(1, 9))
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_run_goes_on_from_what_was_acknowledged(way: str, last: int, done: bool) -> None:
    """To the same end; only the step that ran when the process died is run again."""
    front, ran = fronts.front(), list[str]()
    graph = chain(dying(front, last, done=done), ran.append)
    with suppress(Killed, StoreUnavailable):  # on a loop, those who waited for the sender learn that it is gone
        if way == "sync":
            graph.invoke(INPUT, at(), durability="sync")
        else:
            asyncio.run(graph.ainvoke(INPUT, at(), durability="sync"))
    assert resumed(later(front), ran) == WHOLE
    assert len(ran) <= 6
    assert len({*ran}) == 5


class Deadly(KVFront):
    """Kills a process with the bulk write number `last`."""

    def __init__(self, last: int, *, done: bool) -> None:
        super().__init__(FakeClock())
        self.process: subprocess.Popen[bytes] | None = None
        self._left, self._done = last, done

    def answer(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[Answer, int | None]:
        if method != "PUT":
            return super().answer(method, target, body, headers)
        self._left -= 1
        dies = self.process is not None and self._left <= 0
        found = (Answer(500, b""), 0) if dies and not self._done else super().answer(method, target, body, headers)
        if dies and self.process:
            self.process.kill()
            self.process = None  # whoever writes after it lives
        return found


@DONE
def test_a_process_that_is_killed_loses_nothing_that_was_acknowledged(done: bool) -> None:
    """SIGKILL with its fourth bulk write: the checkpoint after `b`, which no step runs again for once it is stored."""
    front, ran = Deadly(4, done=done), list[str]()
    with front.served() as place:
        words = [sys.executable, "-m", "tests.checkpoint.cloudflare.chain", place.url, TOKEN]
        process = front.process = subprocess.Popen(words, cwd=ROOT)
        assert process.wait(timeout=240) == -signal.SIGKILL
    assert resumed(later(front), ran) == WHOLE
    assert ran == [*"abcde"][2 if done else 1 :]


# In the middle of other work


@pytest.fixture
def front() -> KVFront:
    """A thread with a delta channel, two runs and a subgraph's namespace, and another thread that nobody touches."""
    front = fronts.front()
    saver = fronts.saver(front)
    graph = delta_graph(saver, frequency=3)
    for turn in range(3):
        graph.invoke({"items": [turn]}, {**at(), "metadata": {"run_id": f"r{turn % 2}"}})
        graph.invoke({"items": [turn]}, at("other"))
    front.clock.advance(121)
    return front


def states(front: KVFront, thread: str = "t") -> Any:
    """What is there of a thread, newest first."""
    return [*later(front).list({"configurable": {"thread_id": thread}})]


def value(front: KVFront, thread: str = "t") -> Any:
    """The latest state, its delta channels replayed."""
    return delta_graph(later(front), frequency=3).get_state(at(thread)).values


def attempts(front: KVFront, name: str, *args: Any) -> Any:
    """Let the work die with each of its requests in turn, before and after that; says what was left each time."""
    for last in range(1, 50):
        for done in (False, True):
            try:
                getattr(dying(front, last, done=done), name)(*args)
            except Killed:
                yield
            else:
                return


def test_a_prune_that_dies_leaves_the_latest_state_and_can_be_done_again(front: KVFront) -> None:
    """Whichever request was its last; what its delta channels are rebuilt from is there all the time."""
    before = value(front)
    for _ in attempts(front, "prune", ["t"]):
        assert value(front) == before
    later(front).prune(["t"])
    assert value(front) == before


def test_a_copy_that_dies_is_the_beginning_of_the_thread_and_can_be_made_again(
    front: KVFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once what there is of it is deleted: the beginning is not silently taken for the whole."""
    monkeypatch.setattr(copying, "batches", partial(batches, most=7))
    source, lengths = states(front), set[int]()
    for last in range(1, 20):
        with suppress(Killed, StoreRefused):
            dying(front, last, done=True).copy_thread("t", "copy")
        copied = states(front, "copy")
        lengths.add(len(copied))
        assert contents(copied) == contents(source[len(source) - len(copied) :])
        later(front).delete_thread("copy")
    assert len(lengths) > 3
    later(front).copy_thread("t", "copy")
    assert value(front, "copy") == value(front)
    assert same(states(front), source)


def contents(found: Any) -> Any:
    """Of checkpoints, whosever they are."""
    return [(each.checkpoint, each.metadata, each.pending_writes) for each in found]


@pytest.mark.parametrize(("name", "args"), [("delete_thread", ["t"]), ("delete_for_runs", [["r0", "r1"]])])
def test_a_deletion_that_dies_can_be_done_again(front: KVFront, name: str, args: Any) -> None:
    """Nothing of the thread is left then, in the runs' indexes neither; and nothing else is gone."""
    other = states(front, "other")
    for _ in attempts(front, name, *args):
        pass
    getattr(later(front), name)(*args)
    assert {key.split("/")[3] for key in fronts.names(front)} == {"other"}
    assert same(states(front, "other"), other)
