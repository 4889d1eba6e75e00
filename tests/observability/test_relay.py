"""The way of an event to the run that it happens in, wherever in the run the guard stands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard.events import emit
from langgraph_guard.observability.relay import Relay, charged, current, shared
from langgraph_guard.tools.guard.threads import Threads
from tests.observability.conftest import somebody_listens


class Heard(BaseCallbackHandler):
    """The custom events of a run, with the name of the run that each was told of."""

    run_inline = True

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.events: list[tuple[str, str, Any]] = []

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = str(kwargs.get("name"))

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = str(kwargs.get("name") or serialized["name"])

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.events.append((name, self.names.get(run_id, "?"), data))

    @property
    def where(self) -> list[tuple[str, str]]:
        return [(name, run) for name, run, _ in self.events]


class Nothing(TypedDict):
    """A state without anything."""

    done: bool


@pytest.fixture(autouse=True)
def relayed() -> Iterator[None]:
    """Events go to the runs that they happen in."""
    stop = shared.start()
    yield
    stop()


def say() -> None:
    """What a guard would."""
    emit("tool.retried", tool="search", attempt=1, pause=0.5, error_type="transient")


def graph_of(node: Any) -> Any:
    """A graph of one node."""
    graph = StateGraph(Nothing)
    graph.add_node("guarded", node)
    graph.add_edge(START, "guarded")
    graph.add_edge("guarded", END)
    return graph.compile()


def node(state: Nothing) -> dict[str, bool]:
    """A guard in a node."""
    say()
    return {"done": True}


async def anode(state: Nothing) -> dict[str, bool]:
    """A guard in an async node."""
    await asyncio.sleep(0)
    say()
    return {"done": True}


def in_a_tools_thread(state: Nothing) -> dict[str, bool]:
    """A guard in a thread of the tool guard's."""
    Threads().run(say, timeout=60)
    return {"done": True}


async def in_a_tools_thread_of_a_loop(state: Nothing) -> dict[str, bool]:
    """The same, awaited."""
    await Threads().arun(say)
    return {"done": True}


async def in_a_task(state: Nothing) -> dict[str, bool]:
    """A guard in a task of the node's."""

    async def work() -> None:
        say()

    await asyncio.create_task(work())
    return {"done": True}


async def in_another_thread(state: Nothing) -> dict[str, bool]:
    """A guard in a thread of asyncio's."""
    await asyncio.to_thread(say)
    return {"done": True}


SYNC = (node, in_a_tools_thread)
ASYNC = (node, anode, in_a_tools_thread, in_a_tools_thread_of_a_loop, in_a_task, in_another_thread)


@pytest.mark.parametrize("place", SYNC, ids=lambda place: place.__name__)
def test_an_event_reaches_its_nodes_run(place: Any) -> None:
    """Guards say what they do from the node itself, from a tool's thread, from wherever they stand."""
    heard = Heard()
    graph_of(place).invoke({"done": False}, {"callbacks": [heard]})
    assert heard.where == [("guard.tool.retried", "guarded")]


@pytest.mark.parametrize("place", ASYNC, ids=lambda place: place.__name__)
async def test_an_event_reaches_its_nodes_run_in_a_loop(place: Any) -> None:
    """The same in an event loop, where OpenTelemetry's current span is not the node's."""
    heard = Heard()
    await graph_of(place).ainvoke({"done": False}, {"callbacks": [heard]})
    assert heard.where == [("guard.tool.retried", "guarded")]


def test_an_event_has_its_figures_and_the_schemas_version() -> None:
    """What the guard said, unchanged, and by which edition of the schema it is read."""
    heard = Heard()
    graph_of(node).invoke({"done": False}, {"callbacks": [heard]})
    assert heard.events[0][2] == {"v": 1, "tool": "search", "attempt": 1, "pause": 0.5, "error_type": "transient"}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_tool_speaks_in_its_own_run(way: str) -> None:
    """`ToolNode` runs several tools at once, in threads or tasks: each event belongs to one call."""

    @tool
    def search(q: str) -> str:
        """Search."""
        say()
        return q

    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([search]))
    graph.add_edge(START, "tools")
    calls = [{"name": "search", "args": {"q": str(n)}, "id": str(n)} for n in range(3)]
    heard, asked = Heard(), {"messages": [AIMessage("", tool_calls=calls)]}
    if way == "invoke":
        graph.compile().invoke(asked, {"callbacks": [heard]})
    else:
        await graph.compile().ainvoke(asked, {"callbacks": [heard]})
    assert heard.where == [("guard.tool.retried", "search")] * 3


def test_outside_a_run_nothing_happens() -> None:
    """A breaker's registry speaks from a thread of its own, a command line from none: that is no error."""
    say()
    assert current() is None


async def test_events_are_in_the_stream_of_events() -> None:
    """Who reads `astream_events` sees what the guards do, without another library."""
    stream = graph_of(anode).astream_events({"done": False}, version="v2")
    found = [event["name"] async for event in stream if event["event"] == "on_custom_event"]
    assert found == ["guard.tool.retried"]


async def test_a_handler_that_waits_for_its_loop_does_not_stop_it() -> None:
    """LangChain would run its coroutine in another thread and block the loop that it waits for: for ever."""
    reached = asyncio.Event()
    go_on = asyncio.Event()

    class Waits(AsyncCallbackHandler):
        async def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
            await go_on.wait()
            reached.set()

    await graph_of(anode).ainvoke({"done": False}, {"callbacks": [Waits()]})
    go_on.set()
    await asyncio.wait_for(reached.wait(), 60)


class Broken(BaseCallbackHandler):
    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        raise RuntimeError("the sink is full")


class BrokenLater(AsyncCallbackHandler):
    async def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        raise RuntimeError("the sink is full")


@pytest.mark.parametrize("broken", [Broken, BrokenLater], ids=["sync", "async"])
async def test_a_handler_that_fails_stops_neither_the_run_nor_the_others(broken: Any) -> None:
    """Observability may degrade; a healthy run may not fail for it."""
    heard = Heard()
    got = await graph_of(anode).ainvoke({"done": False}, {"callbacks": [broken(), heard]})
    assert (got, heard.where) == ({"done": True}, [("guard.tool.retried", "guarded")])


class NotBilled:
    """A listener to charges whose books are full."""

    def on_charge(self, event: str, said: Mapping[str, Any]) -> None:
        raise RuntimeError("the books are full")


def test_a_listener_to_charges_that_fails_keeps_them_from_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The run's own handlers come after it. What it failed by may quote what it was told."""
    broken, heard = NotBilled(), Heard()
    charged(broken)

    def released(state: Nothing) -> dict[str, bool]:
        emit("budget.released", guard="budget", reservation="r", outcome="not_sent")
        return {"done": True}

    graph_of(released).invoke({"done": False}, {"callbacks": [heard]})
    assert heard.where == [("guard.budget.released", "guarded")]
    said = [each.getMessage() for each in caplog.records if each.name == Relay.__module__]
    assert said == ["NotBilled failed on budget.released: RuntimeError"]


def test_what_was_merely_allowed_is_left_to_the_metrics() -> None:
    """A record for each step in which nothing happened is noise, and a bill."""

    def allowed(state: Nothing) -> dict[str, bool]:
        figures = dict.fromkeys(("unit", "scope", "window", "limit", "spent", "reserved"))
        emit("budget.verdict", guard="budget", route="ok", **figures)
        return {"done": True}

    heard = Heard()
    graph_of(allowed).invoke({"done": False}, {"callbacks": [heard]})
    assert heard.where == []


def test_two_listeners_share_one_relay() -> None:
    """A step log and a trace in one program: each event is told once."""
    stop = shared.start()
    heard = Heard()
    graph_of(node).invoke({"done": False}, {"callbacks": [heard]})
    stop()
    assert len(heard.events) == 1


def test_the_last_to_stop_ends_the_relay() -> None:
    """Stopping twice counts once; afterwards an event costs what it costs without listeners."""
    relay = Relay()
    before = somebody_listens()
    one, two = relay.start(), relay.start()
    one()
    one()
    assert relay._users == 1
    two()
    assert (relay._users, relay._unsubscribe, somebody_listens()) == (0, None, before)


def test_threads_of_ones_own_are_outside_the_run() -> None:
    """A bare thread has no context of the run, so its events belong to none: they count in the metrics alone."""
    heard = Heard()

    def bare(state: Nothing) -> dict[str, bool]:
        thread = threading.Thread(target=say)
        thread.start()
        thread.join()
        return {"done": True}

    graph_of(bare).invoke({"done": False}, {"callbacks": [heard]})
    assert heard.where == []
