"""What a process remembers of threads has bounds, and what is forgotten costs a second trip at most."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis.elements import Kept
from langgraph_guard.checkpoint.redis.layout import LIST, InLog
from langgraph_guard.checkpoint.redis.memory import NAMESPACES, RECENT, Known, Memory, Plan, Seen, plan_of


def hold(memory: Memory, thread: str, elements: int, ns: str = "") -> Known:
    """Have it remember a list of so many elements, as after a put."""
    known = memory.storage(thread, b"sid", b"0", 0)
    known.remember(ns, Seen(stored={"messages": Kept(["x"] * elements, digests=[*range(elements)])}))
    memory.trim(thread)
    return known


def held(memory: Memory, threads: str) -> str:
    """Which of them it remembers."""
    return "".join(thread for thread in threads if memory.of(thread) is not None)


def whole(memory: Memory, threads: str) -> str:
    """Which of them it remembers with their elements."""
    return "".join(thread for thread in threads if (known := memory.of(thread)) and known.size().elements)


BOUNDS = pytest.mark.parametrize(
    ("bound", "those"), [("elements", whole), ("places", held)], ids=["elements", "places"]
)


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


@BOUNDS
def test_elements_are_bounded_whatever_the_number_of_threads(bound: str, those: Callable[[Memory, str], str]) -> None:
    """Two threads of a million messages are too much, two thousand of ten are not."""
    memory = Memory(**{bound: 100})
    for thread in "abc":
        hold(memory, thread, 60)
    assert those(memory, "abc") == "c"


@BOUNDS
def test_a_thread_larger_than_the_bound_is_remembered_alone(bound: str, those: Callable[[Memory, str], str]) -> None:
    """It would be stored or serialized whole at each step otherwise."""
    memory = Memory(**{bound: 100})
    for thread in "ab":
        hold(memory, thread, 500)
    assert those(memory, "ab") == "b"


def test_a_thread_lets_go_of_its_elements_before_it_is_forgotten() -> None:
    """They are what is heavy; to know where they are stored keeps the next put small."""
    memory = Memory(elements=100)
    for thread in "abc":
        hold(memory, thread, 60)
    assert (held(memory, "abc"), whole(memory, "abc")) == ("abc", "c")


def test_as_many_threads_let_go_as_have_to() -> None:
    """Those that were not used for longest."""
    memory = Memory(elements=100)
    for thread in "abcd":
        hold(memory, thread, 40)
    assert whole(memory, "abcd") == "cd"


@BOUNDS
def test_a_thread_that_is_used_again_is_remembered_whole_again(bound: str, those: Callable[[Memory, str], str]) -> None:
    """Its next put or read brings the elements back, and another thread lets go."""
    memory = Memory(**{bound: 100})
    for thread in "aba":
        hold(memory, thread, 60)
    assert those(memory, "ab") == "a"


def test_a_thread_that_lets_go_holds_no_element_that_was_returned() -> None:
    """What a node handed back waits for a put that may never come."""
    memory = Memory(elements=100)
    hold(memory, "a", 60).returned[""] = ["x"]
    hold(memory, "b", 60)
    assert memory.storage("a", b"sid", b"0", 0).returned == {}


def test_letting_go_changes_nothing_that_a_put_has_in_hand() -> None:
    """It goes on with the lists that it began with."""
    known = Known(b"sid", b"0", 0)
    kept = Kept(["x"], digests=[1], places=[0], ranges=((0, 1),), by_digest={1: 0})
    known.remember("", before := Seen(stored={"c": kept}, loaded={"c": kept}))
    known.slim()
    assert before.lists() == [Kept(["x"], digests=[1], places=[0], ranges=((0, 1),), by_digest={1: 0})] * 2
    assert known.seen("").lists() == [Kept(digests=[1], places=[0], ranges=((0, 1),), by_digest={1: 0})] * 2


def test_letting_go_takes_nothing_from_what_is_remembered_meanwhile() -> None:
    """A put of another thread may be answered at that moment; what it remembers is newer."""
    known = Known(b"sid", b"0", 0)

    class Slow(Seen):
        def slim(self) -> Seen:
            known.remember("", newer)
            return super().slim()

    newer = Seen(stored={"c": Kept(["new"])})
    known.remember("", Slow(stored={"c": Kept(["old"])}))
    known.slim()
    assert known.seen("") is newer


@BOUNDS
def test_what_is_counted_is_what_is_held(bound: str, those: Callable[[Memory, str], str]) -> None:
    """A thread that grows, shrinks, and is forgotten leaves nothing in the count."""
    memory = Memory(**{bound: 100})
    for elements in (90, 10, 50):
        hold(memory, "a", elements)
    hold(memory, "b", 50)
    assert those(memory, "ab") == "ab"
    memory.forget("a")
    hold(memory, "c", 50)
    assert those(memory, "bc") == "bc"


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
