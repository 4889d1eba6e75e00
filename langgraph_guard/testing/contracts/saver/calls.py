"""Calls: any sequence of a saver's own methods, over forks and processes, is answered as the model answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from langgraph.checkpoint.base import Checkpoint

from langgraph_guard.testing.contracts.saver.harness import (
    Author,
    Both,
    Harness,
    Saver,
    anywhere,
    at,
    task,
    uid,
)
from langgraph_guard.testing.contracts.saver.running import same_everywhere
from langgraph_guard.testing.contracts.saver.twins import Twins

Start = Callable[[], tuple[Both, Callable[[Both], Both]]]
"""A saver over an empty store beside its model, and how to come to another over the same data."""

THREADS: Final = ("t", "t:s", "*")
NAMESPACES: Final = ("", "s", "s:1|deep")
CHANNELS: Final = ("messages", "items", "last")
RUNS: Final = ("r1", "r2", "r3")
PATHS: Final = ("", "~__pregel_pull, a", "~__pregel_push, 0")

threads = st.sampled_from(THREADS)
namespaces = st.sampled_from(NAMESPACES)
channels = st.sampled_from(CHANNELS)
runs = st.sampled_from(RUNS)
numbers = st.integers(1, 12)
elements = st.one_of(
    st.integers(0, 3),
    st.sampled_from(["a", "b", None, True, 1.0]),
    st.builds(lambda number: {"n": number}, st.integers(0, 3)),
    st.builds(lambda number: {"deep": [number]}, st.integers(0, 2)),
)
values = st.one_of(st.lists(elements, max_size=4), elements)
edits = st.sampled_from(["append", "drop first", "drop last", "reverse", "replace", "double", "set", "remove"])


def edited(value: Any, edit: str, element: Any) -> Any:
    """What `value` becomes; what is no list becomes one, or `element`."""
    if not isinstance(value, list) or edit == "set":
        return element if edit == "set" else [element]
    match edit:
        case "append":
            return [*value, element]
        case "drop first":
            return value[1:]
        case "drop last":
            return value[:-1]
        case "reverse":
            return value[::-1]
        case "replace":
            return [*value[:1], element, *value[2:]]
        case _:
            return value + value


class CallMachine(RuleBasedStateMachine):
    """Each call goes to the saver and to the model; every answer must be the same."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.both, self.cold = start()
        self.known: dict[tuple[str, str], dict[int, Checkpoint]] = {}

    @rule(
        thread=threads, ns=namespaces, number=numbers, parent=numbers, run=runs, name=channels, edit=edits, new=elements
    )
    def put(self, thread: str, ns: str, number: int, parent: int, run: str, name: str, edit: str, new: Any) -> None:
        """After any checkpoint that is there, or as a first one; an id may come again."""
        author = self._author(thread, ns)
        after = parent if parent in author.puts else None
        old = author.puts[after]["channel_values"].get(name) if after else None
        change: Any = {"gone": [name]} if edit == "remove" else {"changes": {name: edited(old, edit, new)}}
        author.put(number, after=after, run=run, odd=bool(number % 2), **change)

    @rule(thread=threads, ns=namespaces, number=numbers, parent=numbers)
    def put_a_copy(self, thread: str, ns: str, number: int, parent: int) -> None:
        author = self._author(thread, ns)
        if parent in author.puts:
            author.put(number, after=parent)

    @rule(
        thread=threads,
        ns=namespaces,
        number=numbers,
        who=st.integers(1, 3),
        path=st.sampled_from(PATHS),
        written=st.lists(
            st.tuples(st.sampled_from([*CHANNELS, "__interrupt__", "__resume__", "__error__"]), values), max_size=4
        ),
    )
    def put_writes(self, thread: str, ns: str, number: int, who: int, path: str, written: Any) -> None:
        """A task has one path all its life."""
        self.both.put_writes(at(thread, ns, uid(number)), written, task(who), PATHS[(who + PATHS.index(path)) % 3])

    @rule(
        thread=threads,
        ns=st.none() | namespaces,
        number=st.none() | numbers,
        before=st.none() | numbers,
        limit=st.none() | st.integers(0, 4),
        wanted=st.sampled_from(
            [None, {}, {"odd": True}, {"run_id": "r1"}, {"odd": 0, "run_id": "r2"}, {"step": 3}, {"x": 1}]
        ),
    )
    def list(self, thread: str, ns: Any, number: Any, before: Any, limit: Any, wanted: Any) -> None:
        """A limit over several namespaces leaves open which of them is cut; that is tested elsewhere."""
        config: Any = anywhere(thread) if ns is None else at(thread, ns)
        if number is not None:
            config["configurable"]["checkpoint_id"] = uid(number)
        cursor = None if before is None else at("elsewhere", id=uid(before))
        self.both.listing(config, filter=wanted, before=cursor, limit=limit if ns is not None else None)

    @rule(thread=threads, ns=namespaces, number=numbers)
    def look(self, thread: str, ns: str, number: int) -> None:
        self.both.find(at(thread, ns, uid(number)))
        self.both.find(at(thread, ns))

    @rule(run=st.lists(runs, max_size=2))
    def delete_for_runs(self, run: Any) -> None:
        self.both.do(self.both.saver, "delete_for_runs", run)
        self._forget()

    @rule(thread=threads)
    def delete_thread(self, thread: str) -> None:
        self.both.do(self.both.saver, "delete_thread", thread)
        self._forget()

    @rule(source=threads, copy=threads)
    def copy_thread(self, source: str, copy: str) -> None:
        if source != copy:
            self.both.do(self.both.saver, "delete_thread", copy)
            self.both.do(self.both.saver, "copy_thread", source, copy)
            for ns in NAMESPACES:
                self.known[copy, ns] = dict(self.known.get((source, ns), {}))

    @rule()
    def another_process(self) -> None:
        pair = self.both.saver
        assert isinstance(pair, Twins)
        self.both = self.cold(self.both)

    @invariant()
    def all_threads_agree(self) -> None:
        self.both.listing(None)

    def teardown(self) -> None:
        same_everywhere(self.both, self.cold)

    def _author(self, thread: str, ns: str) -> Author:
        author = Author(self.both, thread, ns)
        author.puts = self.known.setdefault((thread, ns), {})
        return author

    def _forget(self) -> None:
        """Nobody puts a checkpoint after one that is gone."""
        for (thread, ns), puts in self.known.items():
            there = {found.checkpoint["id"] for found in self.both.listing(at(thread, ns))}
            for number in [number for number in puts if uid(number) not in there]:
                del puts[number]


class Calls(Harness):
    """The rules, checked against themselves told in another way."""

    @pytest.mark.timeout(600)  # a failure takes its time to be made small
    def test_any_sequence_of_calls_is_answered_as_the_model_answers_it(self, both: Both, opened: list[Saver]) -> None:
        """Forks, upserts, writes before their checkpoint, deletions, copies, in any order and from any process."""
        play(CallMachine, self, both, opened, examples=60, steps=30)

    @pytest.mark.slow
    @pytest.mark.timeout(3_600)
    def test_a_thousand_sequences_of_calls_are_answered_as_the_model_answers_them(
        self, both: Both, opened: list[Saver]
    ) -> None:
        """The same for long."""
        play(CallMachine, self, both, opened, examples=1_000, steps=50)


def play(machine: type[Any], tests: Harness, both: Both, opened: list[Saver], *, examples: int, steps: int) -> None:
    """Run `machine` on fresh savers that are driven as `both` is; the same sequences in every run."""

    def begin() -> tuple[Both, Callable[[Both], Both]]:
        opened.append(tests.make_saver())
        return both.over(Twins(opened[-1], tests.make_model())), cold

    def cold(driven: Both) -> Both:
        pair = driven.saver
        assert isinstance(pair, Twins)
        opened.append(tests.another(pair.first))
        return driven.over(Twins(opened[-1], pair.second))

    class Machine(machine):  # type: ignore[misc] # a class that is a parameter
        def __init__(self) -> None:
            super().__init__(begin)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
