"""What a process remembers of threads has bounds, and what is forgotten costs a second trip at most."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis.elements import Kept
from langgraph_guard.checkpoint.redis.layout import LIST, InLog
from langgraph_guard.checkpoint.redis.memory import NAMESPACES, RECENT, Known, Memory, Plan, Seen, plan_of


def hold(memory: Memory, thread: str, elements: int, ns: str = "") -> Known:
    """Have it remember a list of so many elements, as after a put."""
    known = memory.storage(thread, b"sid", b"0", 0)
    known.remember(ns, Seen(stored={"messages": Kept(["x"] * elements)}))
    memory.trim(thread)
    return known


def held(memory: Memory, threads: str) -> str:
    """Which of them it remembers."""
    return "".join(thread for thread in threads if memory.of(thread) is not None)


# Threads


def test_the_threads_that_were_used_last_are_remembered() -> None:
    """A server has more threads than memory."""
    memory = Memory(threads=3)
    for thread in "abcd":
        hold(memory, thread, 1)
    assert held(memory, "abcd") == "bcd"


def test_a_thread_that_is_used_again_stays() -> None:
    """Used last, forgotten last."""
    memory = Memory(threads=3)
    for thread in "abcad":
        hold(memory, thread, 1)
    assert held(memory, "abcd") == "acd"


def test_threads_that_are_only_written_to_are_bounded_too() -> None:
    """A process may do nothing but answer interrupts."""
    memory = Memory(threads=3)
    for thread in "abcdef":
        memory.storage(thread, b"sid", b"0", 0)
    assert held(memory, "abcdef") == "def"


def test_elements_are_bounded_whatever_the_number_of_threads() -> None:
    """Two threads of a million messages are too much, two thousand of ten are not."""
    memory = Memory(elements=100)
    for thread in "abc":
        hold(memory, thread, 60)
    assert held(memory, "abc") == "c"


def test_a_thread_larger_than_the_bound_is_remembered_alone() -> None:
    """It would be stored whole at each step otherwise."""
    memory = Memory(elements=100)
    for thread in "ab":
        hold(memory, thread, 500)
    assert held(memory, "ab") == "b"


def test_what_is_counted_is_what_is_held() -> None:
    """A thread that grows, shrinks, and is forgotten leaves nothing in the count."""
    memory = Memory(elements=100)
    for elements in (90, 10, 50):
        hold(memory, "a", elements)
    hold(memory, "b", 50)
    assert held(memory, "ab") == "ab"
    memory.forget("a")
    hold(memory, "c", 50)
    assert held(memory, "bc") == "bc"


def test_another_storage_of_a_thread_begins_anew() -> None:
    """Deleted and made again, or something in it collected: what was known is not true any more."""
    memory = Memory()
    before = hold(memory, "a", 1)
    assert memory.storage("a", b"sid", b"0", 0) is before
    assert memory.storage("a", b"sid", b"1", 0) is not before
    assert memory.storage("a", b"other", b"1", 0).seen("").lists() == []


def test_threads_may_share_a_memory() -> None:
    """Parallel branches of one run, and many runs at once: nothing raises, and the bounds hold."""
    memory = Memory(threads=5)
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for step in range(300):
                known = hold(memory, f"t{(number + step) % 8}", 3, ns=f"ns{(number * step) % 20}")
                known.kept("", "messages")
                if step % 7 == 0:
                    memory.forget(f"t{step % 8}")
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert errors == []
    assert sum(memory.of(f"t{number}") is not None for number in range(8)) <= 5


# Namespaces and checkpoints


def test_calls_of_subgraphs_come_and_go() -> None:
    """Each call has a namespace of its own; the last few are remembered."""
    known = Known(b"sid", b"0", 0)
    for number in range(NAMESPACES + 3):
        known.remember(f"call:{number}", Seen())
    assert list(known.namespaces) == [f"call:{number}" for number in range(3, NAMESPACES + 3)]


def test_a_namespace_that_goes_while_it_is_remembered_is_no_error() -> None:
    """Two branches put at once, and one more namespace is one too many."""
    known = Known(b"sid", b"0", 0)

    class Hasty(type(known.namespaces)):  # type: ignore[misc] # an OrderedDict
        def __setitem__(self, ns: str, seen: Any) -> None:
            super().__setitem__(ns, seen)
            self.pop(ns)

    known.namespaces = Hasty()
    known.remember("", Seen())
    assert known.seen("") == Seen()


def test_a_version_is_looked_for_where_the_parent_has_it() -> None:
    """Forks of one checkpoint may count to the same version; other savers' versions are plain numbers."""
    seen = Seen()
    for id, ref in (("1", b"of 1"), ("2", b"of 2"), ("3", b"of 3")):
        seen = Seen(seen.after(id, {"c": (7, ref)}))
    assert seen.ref("2", "c", 7) == b"of 2"
    assert seen.ref("2", "c", 8) is None
    assert seen.ref("2", "d", 7) is None


def test_a_version_is_found_beside_the_parent_too() -> None:
    """A run that forks reads another checkpoint meanwhile."""
    seen = Seen(Seen().after("1", {"c": ("7.abc", b"here")}))
    assert seen.ref("unknown", "c", "7.abc") == b"here"


def test_the_checkpoints_seen_last_are_remembered() -> None:
    """One that is put again takes its former place's turn."""
    seen = Seen()
    for number in (*range(RECENT), 0, RECENT):
        seen = Seen(seen.after(str(number), {}))
    assert [id for id, _ in seen.recent] == [str(RECENT), "0", *(str(at) for at in range(RECENT - 1, 1, -1))]


def test_lists_of_the_same_channel_come_first() -> None:
    """An element is most likely where it was."""
    known = Known(b"sid", b"0", 0)
    lists = {name: Kept([name]) for name in ("mine", "loaded", "another channel's", "another namespace's")}
    known.remember("other", Seen(stored={"c": lists["another namespace's"]}))
    known.remember("", Seen((), {"c": lists["mine"], "d": lists["another channel's"]}, {"c": lists["loaded"]}))
    found = [kept.elements[0] for kept in known.kept("", "c")]
    assert found[:2] == ["mine", "loaded"]
    assert set(found) == set(lists)


@pytest.mark.parametrize(
    ("refs", "plan"),
    [
        ({}, Plan()),
        ({"a": b"small"}, Plan()),
        ({"a": "blob", "b": InLog(LIST, ((0, 2), (5, 1)))}, Plan(((0, 2), (5, 1)), ("blob",))),
    ],
)
def test_a_plan_is_all_that_a_checkpoint_needs(refs: Any, plan: Plan) -> None:
    """One trip reads it."""
    assert plan_of(refs) == plan
