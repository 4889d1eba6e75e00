"""Langfuse is down, in six ways: the run does not notice, a flush ends when it was told to, and so does the program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_guard.observability import run_config
from langgraph_guard.observability.flushing import Flusher, flush_all
from langgraph_guard.observability.handle import Observability
from tests.observability.agent import Agent
from tests.observability.conftest import environment, point_at
from tests.servers.otlp import Fault, Receiver

ASKED = {"messages": [("user", "find kites")]}
FAULTS: tuple[Fault, ...] = ("refused", "reset", "hang", "500", "slow", "401")
UNKNOWN_HOST = "http://langfuse.invalid"


@pytest.fixture(params=[*FAULTS, "dns"])
def down(request: pytest.FixtureRequest, langfuse: Receiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Langfuse is not there, in one of six ways, or knows no such keys; a receiver that can be let go of."""
    if request.param == "dns":
        point_at(UNKNOWN_HOST, monkeypatch, timeout=1)
        yield langfuse
        return
    with Receiver(request.param) as receiver:
        point_at(receiver.url, monkeypatch, timeout=1)
        yield receiver


def play(agent: Agent) -> list[str]:
    """One run; the texts of its messages."""
    got = agent.app.invoke(ASKED, run_config(agent.app, thread_id="t-1"))
    return [message.text for message in got["messages"]]


def test_a_run_does_not_notice(seen: Callable[..., Observability], down: Receiver) -> None:
    """Same answer, no exception, and no wait for a server: none of it is in the run's way."""
    seen()
    assert play(Agent(InMemorySaver())) == ["find kites", "", "3 kites", "Three kites."]


def test_a_flush_ends_while_the_server_hangs(
    seen: Callable[..., Observability], langfuse: Receiver, no_langfuse: None
) -> None:
    """At the end of a request or a job, in a serverless function: an unbounded flush has cost people the answer."""
    langfuse.fault = "hang"
    handle = seen()
    play(Agent(InMemorySaver()))
    assert handle.flush(0.2) is False
    assert not langfuse.released.is_set()


def test_what_was_not_sent_is_sent_when_the_server_is_back(
    seen: Callable[..., Observability], langfuse: Receiver
) -> None:
    """`False` means not yet."""
    langfuse.fault = "500"
    handle = seen()
    play(Agent(InMemorySaver()))
    handle.flush(0.01)
    langfuse.fault = "up"
    play(Agent(InMemorySaver()))
    assert handle.flush(60)
    assert langfuse.spans


def test_flushes_do_not_pile_up(langfuse: Receiver) -> None:
    """A worker that flushes after each job would else have a thread for each while the server hangs."""
    begun: list[int] = []

    def hang() -> None:
        begun.append(1)
        langfuse.released.wait(60)

    flusher = Flusher(hang)
    found = [flush_all([flusher], 0.01) for _ in range(5)]
    assert (found, len(begun)) == ([False] * 5, 1)


def test_a_flush_waits_for_what_came_after_another_began() -> None:
    """Two threads flush: the second is not told that its spans left because the first one's did."""
    import threading

    started, go_on = threading.Event(), threading.Event()
    begun: list[int] = []

    def work() -> None:
        begun.append(1)
        started.set()
        go_on.wait(60)

    flusher = Flusher(work)
    flush_all([flusher], 0.0)
    started.wait(60)
    go_on.set()
    assert flush_all([flusher], 60)
    assert len(begun) == 2


def test_a_flush_that_fails_is_over() -> None:
    """Nor does it raise into whoever flushes."""

    def broken() -> None:
        raise OSError("disk full")

    assert flush_all([Flusher(broken)], 60)


END = """
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_guard import observability
from tests.observability.agent import Agent
observability.setup(metrics=False)
agent = Agent(InMemorySaver())
for n in range(3):
    agent.app.invoke({"messages": [("user", "find kites")]}, observability.run_config(agent.app, thread_id=str(n)))
print("done", flush=True)
"""


NO_MORE_THREADS = """
import atexit, threading
def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")
atexit.register(lambda: setattr(threading.Thread, "start", refuse))
"""
"""What Python says from 3.12 on when it ends. Registered last, it comes first."""


def ended_under(receiver: Receiver, program: str) -> subprocess.CompletedProcess[str]:
    """The program, whose traces go to the receiver."""
    root = str(Path(__file__).parents[2])
    variables = {**os.environ, **environment(receiver.url), "PYTHONPATH": root}
    return subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_end_of_a_program_sends_what_waits_without_a_new_thread() -> None:
    """A script that ends right after its run would lose it, and say so with a traceback."""
    with Receiver("up") as receiver:
        ended = ended_under(receiver, END + NO_MORE_THREADS)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert receiver.spans


def test_flushers_that_nobody_needs_have_no_thread() -> None:
    """Settings may change often in the life of a notebook."""
    flushers = [Flusher(lambda: True) for _ in range(5)]
    assert flush_all(flushers, 60)
    threads = [flusher._thread for flusher in flushers]
    for flusher in flushers:
        flusher.stop()
    for thread in threads:
        assert thread is not None
        thread.join(60)
    assert [thread.is_alive() for thread in threads if thread] == [False] * 5
    assert flush_all(flushers, 60)


def test_a_program_ends_while_the_server_hangs() -> None:
    """The receiver answers nobody until the program has ended: a program that waited for it would never end."""
    with Receiver("hang") as receiver:
        ended = ended_under(receiver, END)
        assert receiver.asked.is_set()
        assert not receiver.released.is_set()
    assert (ended.returncode, ended.stdout) == (0, "done\n")
