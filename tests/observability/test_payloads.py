"""What of a state is shown: little of it, whatever it is made of, and never at the cost of the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, messages_to_dict
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send
from pydantic import BaseModel

from langgraph_guard.observability import run_config
from langgraph_guard.observability.credentials import HIDDEN
from langgraph_guard.observability.handle import Observability
from langgraph_guard.observability.langfuse.payload import TOTAL, Payload, Payloads
from langgraph_guard.observability.redaction import FAILED, Redactor
from langgraph_guard.observability.steps.prompts import MOST_CHARS, Prompts
from langgraph_guard.observability.steps.text import Shown
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


def tensor(part: Any, wide: int, deep: int) -> Any:
    """`wide` references to one part, `deep` levels of them: small in memory, and endless to go through."""
    for _ in range(deep):
        part = [part] * wide
    return part


def itself() -> list[Any]:
    """A list that holds itself many times."""
    loop: list[Any] = []
    loop.extend([loop] * 15)
    return loop


def named(part: Any) -> Any:
    """The same, of dicts."""
    for _ in range(4):
        part = {f"k{n}": part for n in range(15)}
    return part


WIDE: dict[str, Callable[[], Any]] = {
    "figures": lambda: tensor(0.5, 15, 4),
    "nothing": lambda: tensor(None, 15, 4),
    "empty texts": lambda: tensor("", 15, 4),
    "texts": lambda: tensor("x" * 50, 15, 4),
    "empty lists": lambda: tensor([], 15, 4),
    "objects": lambda: tensor(Odd(), 15, 4),
    "names": lambda: named(0.5),
    "a list in itself": itself,
}


@pytest.mark.parametrize("make", WIDE.values(), ids=WIDE)
def test_a_slim_payload_is_small_however_wide_a_value_is(make: Callable[[], Any]) -> None:
    """Each part that is looked at counts, also one without a text: 20 parts in 5 levels are three million."""
    assert len(json.dumps(SLIM.picked({"wide": make()}))) < 2 * TOTAL


@pytest.mark.parametrize("make", WIDE.values(), ids=WIDE)
def test_a_step_holds_little_of_a_wide_value(make: Callable[[], Any]) -> None:
    """The run waits while the beginning of an argument is taken."""
    assert len(json.dumps(Shown(Redactor(), 100).part(tensor(make(), 15, 2)))) < 30_000


def test_what_is_not_shown_is_not_read() -> None:
    """Of many long texts a few are shown, also when the redactor leaves nothing of them."""
    read: list[str] = []

    def nothing(text: str) -> str:
        read.append(text)
        return ""

    Payloads("slim", Redactor(nothing)).picked(tensor("x" * 5_000, 15, 3))
    assert len(read) < 20


def test_a_part_that_cannot_be_read_hides_itself_alone() -> None:
    """A number without end, a dict that raises: the rest is what somebody looks for."""
    shown = SLIM.picked({"plan": "go", "huge": 10**5000, "broken": Broken(a=1)})
    assert shown["plan"] == "go"


class Broken(dict[str, Any]):
    """A dict that says nothing."""

    def __iter__(self) -> Any:
        raise RuntimeError("no names")

    keys = items = values = __iter__


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
    assert "secret" not in repr([message.model_dump() for message in shown])
    assert given[0].content == "secret"


def _answer() -> ToolMessage:
    headers = {"headers": ["secret"], "secret": 1}
    return ToolMessage(
        "secret", name="a secret", id="secret", tool_call_id="secret 1", artifact="secret", response_metadata=headers
    )


@pytest.mark.parametrize("kind", ["slim", "none"])
def test_an_answer_keeps_its_figures(kind: Any) -> None:
    """Some providers say in its metadata what it used; what else is there, headers for one, is nobody's."""
    said = {"usage": {"input_tokens": 3, "note": "x"}, "stop": "end", "logprobs": [{"token": "a"}], "ms": 1.5}
    shown = Payloads(kind, Redactor()).message(AIMessage("x", response_metadata=said))
    assert shown.response_metadata == {"usage": {"input_tokens": 3}, "ms": 1.5}


def test_metadata_that_cannot_be_read_hides_itself_alone() -> None:
    """The session and the trace's id are in it: without them the run is lost among all others."""

    class Bad:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    told = {"langfuse_session_id": "s-1", "bad": Bad(), "worse": [Bad()], "huge": 10**5000, ("a", "b"): 2}
    shown = SLIM.metadata(told)  # type: ignore[arg-type]
    assert shown is not None
    assert shown["langfuse_session_id"] == "s-1"
    assert (shown["bad"], shown["worse"]) == (FAILED, [FAILED])


def test_who_asked_may_be_a_number_and_one_tag_a_text() -> None:
    """Langfuse passes over what is no text, and a text is a list of its letters."""
    said = run_config(user_id=7, tags="web")["metadata"]
    assert (said["langfuse_user_id"], said["langfuse_tags"]) == ("7", ["web"])


def test_a_call_without_an_answer_is_one() -> None:
    """A provider may answer with nothing at all."""
    assert SLIM.answer(LLMResult(generations=[])).generations == []


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


@pytest.mark.parametrize("kind", ["slim", "full", "none"])
def test_what_a_provider_calls_its_model_is_a_text_too(kind: Payload) -> None:
    """A deployment's name is chosen by somebody; figures stay figures."""
    said = {"model_name": "at https://bob:hunter2@host", "token_usage": {"total_tokens": 7}}
    answer = LLMResult(generations=[[ChatGeneration(message=AIMessage("fine"))]], llm_output=said)
    shown = Payloads(kind, Redactor()).answer(answer).llm_output
    assert shown == {"model_name": f"at https://bob:{HIDDEN}@host", "token_usage": {"total_tokens": 7}}


def test_a_long_prompt_is_clipped_before_it_is_redacted() -> None:
    """A run waits for it: seconds for each model call that is sent ten megabytes."""
    read = 0

    def count(text: str) -> str:
        nonlocal read
        read += len(text)
        return text

    kept = Prompts(Redactor(count))
    long = [
        HumanMessage("x" * 3_000_000),
        HumanMessage([{"type": "text", "text": f"{n}{'y' * 999}"} for n in range(5_000)]),
    ]
    sent = kept.sent(long, {"tools": [{"name": "z" * 3_000_000}]})
    assert read < 3 * MOST_CHARS
    assert len(sent["prompt"]) < MOST_CHARS + 100


def test_a_prompt_of_many_parts_is_cut() -> None:
    """Each part costs something, whatever its length."""
    sent = Prompts(Redactor()).sent([HumanMessage([{"type": "n", "n": [1.5] * 500_000}])], {})
    assert len(sent["prompt"]) < 400_000


def test_a_prompt_is_kept_exactly_unless_it_is_too_long() -> None:
    """It is for whoever asks what the model was really sent."""
    asked = [
        HumanMessage("a" * 900_000, id="1"),
        AIMessage("", tool_calls=[{"name": "t", "args": {"q": [1]}, "id": "2"}]),
    ]
    assert json.loads(Prompts(Redactor()).sent(asked, {})["prompt"]) == messages_to_dict(asked)


def test_a_prompt_without_a_redactor_is_shown() -> None:
    """`redact=None` is somebody's decision."""
    asked = [AIMessage("", tool_calls=[{"name": "t", "args": {"password": "x"}, "id": "2"}])]
    assert json.loads(Prompts(Redactor(None)).sent(asked, {})["prompt"]) == messages_to_dict(asked)
