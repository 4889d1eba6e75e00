"""Journeys: any sequence of turns, edits, forks and restarts of a graph goes as it goes on `InMemorySaver`."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Annotated, Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.errors import EmptyInputError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_guard.testing.contracts.saver.calls import Start, play
from langgraph_guard.testing.contracts.saver.delta import append
from langgraph_guard.testing.contracts.saver.harness import Both, Harness, Saver, at
from langgraph_guard.testing.contracts.saver.running import DURABILITIES, same_everywhere

IN_PLACE: Final = ("assign a field", "assign a key")
"""Acts on objects that are stored in the background meanwhile, unless a run waits for it."""

ACTS: Final = (
    "answer", "replace", "remove", "remove all but the last", "edit nested and return", "nothing", "fan out", "ask",
    "fail", *IN_PLACE,
)  # fmt: skip


class Ordered(Exception):
    """A node fails because it was told to."""


class Trip(TypedDict, total=False):
    """Every kind of channel, and in `order` what is to be done in this turn."""

    messages: Annotated[list[AnyMessage], add_messages]
    items: Annotated[list[Any], operator.add]
    deltas: Annotated[list[Any], DeltaChannel(append, snapshot_frequency=3)]
    last: Any
    order: tuple[str, int, int]


def trip(saver: Saver) -> Any:
    """A graph that does as `order` says, in one superstep, in several, or in a subgraph that asks."""
    inner = StateGraph(Trip)
    inner.add_node("note", lambda state: {"items": [{"inner": state["order"][2]}]})
    inner.add_node("ask", lambda state: {"items": [interrupt(state["order"][2])], "deltas": ["asked"]})
    inner.add_edge(START, "note")
    inner.add_edge("note", "ask")
    inner.add_edge("ask", END)
    builder = StateGraph(Trip)
    builder.add_node("act", act)
    builder.add_node("wide", lambda state: {"items": [state["n"]], "deltas": [("wide", state["n"])]})
    builder.add_node("once", inner.compile())
    builder.add_node("again", inner.compile(checkpointer=True))
    builder.add_node("end", lambda state: {"last": len(state.get("items", []))})
    builder.add_edge(START, "act")
    builder.add_conditional_edges("act", route, ["wide", "once", "again", "end"])
    for name in ("wide", "once", "again"):
        builder.add_edge(name, "end")
    builder.add_edge("end", END)
    return builder.compile(checkpointer=saver)


def act(state: Trip) -> dict[str, Any]:
    """One of `ACTS`, on the element at a place, with a number that is new in this journey."""
    what, place, new = state.get("order", NOTHING)
    messages, items = state.get("messages", []), state.get("items", [])
    message = messages[place % len(messages)] if messages else HumanMessage("", id="none")
    if what == "fail":
        raise Ordered
    if what == "assign a field":
        message.content = f"assigned {new}"
    if what == "assign a key" and items and isinstance(items[place % len(items)], dict):
        items[place % len(items)]["n"] = new
    return {"deltas": [new], **_returned(what, message, messages, new)}


def _returned(what: str, message: Any, messages: list[Any], new: int) -> dict[str, Any]:
    match what:
        case "answer":
            return {"messages": [AIMessage(f"text {new}", id=f"a{new}", additional_kwargs={"deep": [new]})]}
        case "assign a field" | "assign a key":
            return {"messages": [AIMessage(f"text {new}", id=f"a{new}")], "items": [{"n": new}]}
        case "replace" if messages:
            return {"messages": [HumanMessage(f"replaced {new}", id=message.id)], "items": [{"n": 0}, {"n": 0}]}
        case "remove" if messages:
            return {"messages": [RemoveMessage(id=message.id)]}
        case "remove all but the last" if messages:
            return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), messages[-1]]}
        case "edit nested and return" if messages:
            message.additional_kwargs.setdefault("deep", []).append(new)
            return {"messages": [message]}
        case _:
            return {}


def route(state: Trip) -> Any:
    what, place, _ = state.get("order", NOTHING)
    if what == "fan out":
        return [Send("wide", {"n": number}) for number in range(place % 4 + 1)]
    if what == "ask":
        return ("once", "again")[place % 2]
    return "end"


NOTHING: Final = ("nothing", 0, 0)

threads = st.sampled_from(["t", "other"])
places = st.integers(0, 9)


class JourneyMachine(RuleBasedStateMachine):
    """Two threads of one graph, over the saver and the model at once."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.both, self.cold = start()
        self.count = 0

    @rule(thread=threads, what=st.sampled_from(ACTS), place=places, durability=st.sampled_from(DURABILITIES))
    def turn(self, thread: str, what: str, place: int, durability: str) -> None:
        number = self._number()
        input = {"messages": [HumanMessage(f"q{number}", id=f"h{number}")], "order": (what, place, number)}
        self._run(input, at(thread), "sync" if what in IN_PLACE or "edit" in what else durability)

    @rule(thread=threads, durability=st.sampled_from(DURABILITIES))
    def go_on(self, thread: str, durability: str) -> None:
        """Answer what is asked, or run what is left."""
        if self.both.find(at(thread)) is None:
            return
        asked = self.both.state(self._graph(), at(thread)).interrupts
        self._run(Command(resume=f"answer {self._number()}") if asked else None, at(thread), durability)

    @rule(thread=threads, place=places)
    def travel(self, thread: str, place: int) -> None:
        """Run from an earlier moment."""
        if config := self._moment(thread, place):
            self._run(None, config, "sync")

    @rule(thread=threads, place=places, what=st.sampled_from(ACTS))
    def branch_off(self, thread: str, place: int, what: str) -> None:
        """Another turn from an earlier moment."""
        if config := self._moment(thread, place):
            self._run({"order": (what, place, self._number())}, config, "sync")

    @rule(thread=threads, place=places, node=st.sampled_from(["act", "end", "__copy__"]))
    def update(self, thread: str, place: int, node: str) -> None:
        number = self._number()
        config = self._moment(thread, place)
        if config is None and node == "__copy__":
            return
        update = {"items": [{"n": number}], "deltas": [number], "order": NOTHING}
        self.both.update(self._graph(), config or at(thread), None if node == "__copy__" else update, as_node=node)

    @rule(thread=threads)
    def begin_anew(self, thread: str) -> None:
        self.both.do(self.both.saver, "delete_thread", thread)

    @rule()
    def another_process(self) -> None:
        self.both = self.cold(self.both)

    def teardown(self) -> None:
        same_everywhere(self.both, self.cold)

    def _run(self, input: Any, config: Any, durability: str) -> None:
        with suppress(Ordered, EmptyInputError):  # a stub that an exit left has nothing to run
            self.both.invoke(self._graph(), input, config, durability=durability)

    def _graph(self) -> Any:
        return trip(self.both.saver)

    def _moment(self, thread: str, place: int) -> Any:
        moments = self.both.states(self._graph(), at(thread))
        return moments[place % len(moments)].config if moments else None

    def _number(self) -> int:
        self.count += 1
        return self.count


class Journeys(Harness):
    """Values, histories and what is open: all that a graph reads is compared as it reads it."""

    @pytest.mark.timeout(600)  # a failure takes its time to be made small
    def test_any_journey_goes_as_it_goes_in_memory(self, both: Both, opened: list[Saver]) -> None:
        """Turns, edits in place, removals, fan-outs, questions, failures, forks, updates and restarts."""
        play(JourneyMachine, self, both, opened, examples=20, steps=15)

    @pytest.mark.slow
    @pytest.mark.timeout(3_600)
    def test_three_hundred_journeys_go_as_they_go_in_memory(self, both: Both, opened: list[Saver]) -> None:
        """The same for long."""
        play(JourneyMachine, self, both, opened, examples=300, steps=40)
