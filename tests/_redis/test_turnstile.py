"""Connections are few, and waiting for one is waiting one's turn."""

from __future__ import annotations

import threading

from langgraph_guard._redis.turnstile import Turnstile
from tests.servers.redis import until

PATIENCE = 60.0


def test_so_many_are_inside_at_once() -> None:
    """And the next one waits for as long as they said."""
    turnstile = Turnstile(2)
    assert [turnstile.enter(0.01) for _ in range(3)] == [True, True, False]
    turnstile.leave()
    assert turnstile.enter(0.01)


def test_whoever_came_first_is_next() -> None:
    """A thread that leaves and comes again at once would pass the others for ever; a healthy server seemed away."""
    turnstile, came = Turnstile(1), list[str]()
    turnstile.enter(PATIENCE)

    def other() -> None:
        assert turnstile.enter(PATIENCE)
        came.append("other")
        turnstile.leave()

    thread = threading.Thread(target=other)
    thread.start()
    until(lambda: turnstile.waiting == 1, "the other thread")
    turnstile.leave()
    assert turnstile.enter(PATIENCE)
    came.append("first")
    turnstile.leave()
    thread.join(PATIENCE)
    assert came == ["other", "first"]


def test_who_gave_up_is_passed_over() -> None:
    """Their place goes to the next, and none is lost."""
    turnstile, got = Turnstile(1), list[bool]()
    turnstile.enter(PATIENCE)
    impatient = threading.Thread(target=lambda: got.append(turnstile.enter(0.05)))
    impatient.start()
    impatient.join(PATIENCE)
    assert got == [False]
    turnstile.leave()
    assert turnstile.enter(0.01)


def test_a_hundred_threads_all_get_in() -> None:
    """Through two places, again and again."""
    turnstile, inside, most = Turnstile(2), list[int](), list[int]()

    def visit() -> None:
        for _ in range(50):
            assert turnstile.enter(PATIENCE)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            turnstile.leave()

    threads = [threading.Thread(target=visit) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (len(most), max(most) <= 2, turnstile.waiting) == (5_000, True, 0)
