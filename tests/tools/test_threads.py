"""The threads of tools that may hang: as few as are needed at once, and none that a child of a fork lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from langchain_core.tools import tool

from langgraph_guard import ToolGuard
from tests.tools.guarded import MODES, Agent, wanted


@tool
def look() -> str:
    """Look."""
    return threading.current_thread().name


def ours() -> int:
    """How many there are."""
    return sum(thread.name == "langgraph_guard tool" for thread in threading.enumerate())


@pytest.mark.parametrize("mode", MODES)
def test_a_guard_for_each_request_leaves_no_threads_behind(mode: str) -> None:
    """Each kept up to 32, for ever: a server that builds its agent per request ran out of them in a night."""
    Agent(ToolGuard({"look": {"timeout": 60}}), [look], mode).ask(wanted(("look", {})))
    before = ours()
    for _ in range(20):
        state = Agent(ToolGuard({"look": {"timeout": 60}}), [look], mode).ask(wanted(("look", {})))
        assert "langgraph_guard tool" in state["messages"][-1].text
    assert ours() <= max(before, 1)


FORKS = """
import os, signal, sys
from langgraph_guard.tools.guard.threads import shared
assert shared.run(lambda: 1, 60) == 1
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if shared.run(lambda: 2, 30) == 2 else 1)
assert shared.run(lambda: 3, 60) == 3
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    """A server that forks its workers after a call: theirs were handed to a thread that is not there, and timed out."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
