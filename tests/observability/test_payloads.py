"""What of a state is shown: little of it, whatever it is made of, and never at the cost of the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from pydantic import BaseModel

from langgraph_guard.observability import run_config
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse.payload import TOTAL, Payloads
from langgraph_guard.observability.redaction import FAILED, HIDDEN, Redactor
from tests.servers.otlp import Receiver

SLIM = Payloads("slim", Redactor())


class State(TypedDict):
    """A state with messages and something else."""

    messages: Annotated[list[Any], add_messages]
    odd: Any


class Odd:
    """What no serialiser knows, and what raises when it is asked for its text."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Form(BaseModel):
    name: str
    password: str


def run(odd: Any, handle: Observability) -> Any:
    """One run whose state holds `odd`."""
    graph = StateGraph(State)
    graph.add_node("node", lambda state: {"odd": odd, "messages": [AIMessage("fine")]})
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph.compile().invoke({"messages": [HumanMessage("hello")], "odd": odd}, run_config())


def circle() -> dict[str, Any]:
    """A dict that holds itself."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    return loop


ODD: dict[str, Callable[[], Any]] = {
    "an object": Odd,
    "a circle": circle,
    "10 MB of text": lambda: "password=hunter2 " * 600_000,
    "10 MB in parts": lambda: [{"n": n, "text": "x" * 100} for n in range(100_000)],
    "bytes": lambda: b"\xff" * 10_000_000,
    "a generator": lambda: (n for n in range(3)),
    "keys that are no texts": lambda: {(1, 2): "a", None: "b"},
    "a huge number": lambda: 10**3000,
    "lone surrogates": lambda: "\ud800 \udfff",
}


@pytest.mark.parametrize("payload", ["slim", "full", "none"])
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_whatever_a_state_holds_the_run_ends_well_and_is_seen(
    seen: Callable[..., Observability], langfuse: Receiver, make: Callable[[], Any], payload: str
) -> None:
    """States hold clients, frames and files. None of it may fail a run, or lose its trace."""
    handle = seen(payload=payload)
    got = run(make(), handle)
    assert handle.flush(60)
    assert got["messages"][-1].text == "fine"
    assert {"LangGraph", "node"} <= {span.name for span in langfuse.spans}
    assert "hunter2" not in langfuse.wire.decode(errors="replace")


def test_a_slim_payload_is_small_whatever_it_shows() -> None:
    """A queue of a few thousand of them must fit into memory while the server is down."""
    shown = [SLIM.picked(ODD[name]()) for name in ("10 MB of text", "10 MB in parts", "bytes")]
    assert max(len(json.dumps(each)) for each in shown) < 2 * TOTAL


def test_a_history_is_its_last_message_and_its_length() -> None:
    """Each node gets all of it; the messages before were shown where they were written."""
    history = [HumanMessage(str(n)) for n in range(100)]
    assert SLIM.picked({"messages": history}) == {
        "messages": {"count": 100, "last": {"type": "human", "content": "99"}}
    }


def test_the_guards_own_books_are_left_out() -> None:
    """What they decided is shown as decisions."""
    assert SLIM.picked({"guard_usage": {"usd": 1}, "plan": "go"}) == {"plan": "go"}


def test_little_is_shown_of_much() -> None:
    """Enough to see what it was."""
    assert SLIM.picked({"rows": list(range(25))})["rows"][-1] == "… 5 more"
    assert len(SLIM.picked({f"k{n}": n for n in range(100)})) == 21


def test_objects_show_their_fields_and_no_more() -> None:
    """A dataclass, a model, LangGraph's commands; of anything else the class."""
    shown = SLIM.picked([Form(name="a", password="b"), Command(goto=Send("node", {"x": 1})), Odd()])
    assert shown[0] == {"name": "a", "password": HIDDEN}
    assert shown[1]["goto"] == {"node": "node", "arg": {"x": 1}}
    assert shown[2] == "<Odd>"


@pytest.mark.parametrize("kind", ["slim", "full", "none"])
def test_a_message_stays_one_of_its_kind(kind: Any) -> None:
    """The stock handler tells them apart by their class."""
    payloads = Payloads(kind, Redactor(lambda text: text.replace("secret", "#")))
    given = [HumanMessage("secret"), AIMessage("secret", additional_kwargs={"k": "secret"}), _answer()]
    shown = [payloads.message(message) for message in given]
    assert [type(message) for message in shown] == [HumanMessage, AIMessage, ToolMessage]
    assert "secret" not in repr(shown)
    assert given[0].content == "secret"


def _answer() -> ToolMessage:
    return ToolMessage("secret", tool_call_id="1", artifact="secret")


def test_nothing_is_nothing() -> None:
    """`none`: figures and decisions, and not one text of a state."""
    payloads = Payloads("none", Redactor())
    assert (payloads.shown({"a": "b"}), payloads.messages([HumanMessage("x")])) == (None, [])
    assert payloads.message(AIMessage("x")).content == ""


def test_a_redactor_that_raises_hides_and_does_not_stop(seen: Callable[..., Observability], langfuse: Receiver) -> None:
    """It is the user's function, on every text of every run."""

    def broken(text: str) -> str:
        raise ValueError(text)

    handle = seen(redact=broken)
    assert run("said", handle)["messages"][-1].text == "fine"
    assert handle.flush(60)
    shown = [value for span in langfuse.spans for name, value in span.attributes.items() if name.endswith(".output")]
    assert shown
    assert "said" not in repr(shown)
    assert FAILED in repr(shown)
