"""Locks and files around a fork, and around the garbage collector."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from langgraph_guard import forks

PARENT = """
import os, signal, sys, threading
from langgraph_guard.forks import Lock
lock = Lock()
held, over = threading.Event(), threading.Event()


def hold():
    with lock:
        held.set()
        over.wait()


threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    with lock:
        os._exit(0)
over.set()
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_lock_is_free_in_a_child() -> None:
    """The thread that held it is not there to let go: a server that forks while it works would hang in its workers."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PARENT], check=False, timeout=120)
    assert done.returncode == 0


def test_a_thread_may_come_again() -> None:
    """The garbage collector strikes wherever something is allocated; what it ends may have something to say."""
    lock, twice = forks.Lock(), threading.Event()

    def come() -> None:
        with lock, lock:
            twice.set()

    threading.Thread(target=come, daemon=True).start()
    assert twice.wait(60)
