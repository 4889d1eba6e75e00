"""The summarizer in graphs: every kind of host, reducer and saver, parallel nodes, subgraphs, other guards."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import pytest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    GuardState,
    Limit,
    MemoryBackend,
    SummarizationNode,
    TokenCounter,
    fuse,
)
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.nodes.finish import FinishNode
from langgraph_guard.nodes.summarization.memo import KEY
from langgraph_guard.state.views import read
from langgraph_guard.testing import Reply, ScriptedChatModel
from tests.nodes.agents import thread
from tests.nodes.summarizing import conversation, is_accepted, step, summarizer, summary_in, text
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

Saver: TypeAlias = Callable[[str], Any]
count = TokenCounter()

LIMIT = 1_000


def added(left: list[AnyMessage], right: list[AnyMessage]) -> list[AnyMessage]:
    """A host's own reducer around LangGraph's."""
    return add_messages(left, right)  # type: ignore[arg-type, return-value]


class DeltaHost(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer, snapshot_frequency=7)]


class PydanticHost(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages] = []


@dataclass
class DataclassHost:
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


class OwnReducerHost(TypedDict):
    messages: Annotated[list[AnyMessage], added]


class PlainListHost(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]


class PublicHost(MessagesState, GuardState):
    pass


HOSTS = [MessagesState, DeltaHost, PydanticHost, DataclassHost, OwnReducerHost, PlainListHost, PublicHost]


def agent(
    summary: SummarizationNode | None = None, *, state: Any = MessagesState, key: str = "messages", saver: Any = None
) -> tuple[Any, ScriptedChatModel]:
    """Summarizer, model, and end; the model reads what the summarizer shows it."""
    model = ScriptedChatModel(lambda messages: Reply(text=f"Answer to {len(messages)}: {text(30)}", usage=None))
    summarization = summary or SummarizationNode(summarizer(), max_tokens=LIMIT, window=8_000, messages_key=key)

    def call_model(state: Any) -> dict[str, Any]:
        return {key: [model.invoke(summarization.view(state))]}

    call_model.__annotations__["state"] = state
    graph: Any = StateGraph(state)
    graph.add_node("summary", summarization)
    graph.add_node("model", call_model)
    graph.add_node("finish", FinishNode(messages_key=key))
    graph.add_edge(START, "summary")
    graph.add_conditional_edges("summary", summarization.route, summarization.paths(ok="model", halt="finish"))
    graph.add_edge("model", END)
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=saver or InMemorySaver()), model


def talk(app: Any, turns: int, key: str = "messages", start: int = 0, name: str = "t") -> list[BaseMessage]:
    """So many questions, one after the other. The messages as they are then."""
    for number in range(start, start + turns):
        app.invoke({key: [HumanMessage(f"Question {number}: {text(30, number)}", id=f"q{number}")]}, thread(name))
    return list(read(app.get_state(thread(name)).values, key))


def holds(model: ScriptedChatModel, turns: int) -> bool:
    """Whether each call was within the limit, had the first question, and the newest last."""
    sent = [call.messages for call in model.calls]
    return (
        len(sent) == turns
        and all(count(each) <= LIMIT - LIMIT // 8 and is_accepted(each) for each in sent)
        and all(each[0].text.startswith("Question 0:") for each in sent)
        and all(each[-1].text.startswith(f"Question {number}:") for number, each in enumerate(sent))
    )


# Hosts


@pytest.mark.parametrize("state", HOSTS, ids=lambda each: each.__name__)
def test_it_keeps_the_limit_in_any_host(state: Any) -> None:
    """Forty turns are four times what the model can read. Nobody has to inherit anything."""
    app, model = agent(state=state)
    messages = talk(app, 40)
    assert holds(model, 40)
    assert [at for at, each in enumerate(messages) if KEY in each.additional_kwargs] == [1]


@pytest.mark.parametrize("mode", ["replace", "view"])
def test_what_is_no_message_object_is_a_message_all_the_same(mode: Any) -> None:
    """A host without a reducer that converts keeps pairs and dictionaries, and models read them. The goal is one."""
    app, model = agent(SummarizationNode(max_tokens=LIMIT, mode=mode), state=PlainListHost)
    for number in range(40):
        said = f"Question {number}: {text(30, number)}"
        app.invoke({"messages": [("user", said) if number % 2 else {"role": "user", "content": said}]}, thread())
    assert holds(model, 40)


@pytest.mark.parametrize("state", HOSTS, ids=lambda each: each.__name__)
def test_a_view_leaves_the_history_alone_in_any_host(state: Any) -> None:
    """Time travel and audits see what was said; the model sees what it can read."""
    app, model = agent(SummarizationNode(summarizer(), max_tokens=LIMIT, window=8_000, mode="view"), state=state)
    messages = talk(app, 40)
    assert holds(model, 40)
    assert len(messages) == 80
    assert summary_in(messages) is None


@pytest.mark.parametrize("mode", ["replace", "view"])
def test_messages_may_have_another_name(mode: Any) -> None:
    """Not every state calls them `messages`."""

    class Host(TypedDict):
        history: Annotated[list[AnyMessage], add_messages]

    node = SummarizationNode(summarizer(), max_tokens=LIMIT, window=8_000, messages_key="history", mode=mode)
    app, model = agent(node, state=Host, key="history")
    talk(app, 40, "history")
    assert holds(model, 40)


def test_the_view_is_a_small_record() -> None:
    """It is stored again each time that it changes: it must not be a second history."""
    app, _ = agent(SummarizationNode(summarizer(), max_tokens=LIMIT, window=8_000, mode="view"))
    talk(app, 40)
    view = app.get_state(thread()).values["guard_view"]
    assert len(view["hidden"]) <= 3
    assert list(view["changed"]) == ["1"]


def test_a_view_of_another_history_says_nothing() -> None:
    """Somebody rewrote the messages: a record of places would hide the wrong ones."""
    node = SummarizationNode(max_tokens=LIMIT, mode="view")
    history = conversation(40)
    update = node.invoke({"messages": history})
    assert len(node.view({"messages": history, **update})) < len(history)
    assert node.view({"messages": history[:20], **update}) == history[:20]
    assert node.view({"messages": history[1:] + history[:1], **update}) == history[1:] + history[:1]


# Savers


@pytest.fixture(params=["memory", "sqlite", "redis"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Each that a thread may live on."""
    if request.param == "memory":
        yield InMemorySaver()
    elif request.param == "sqlite":
        with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as found:
            yield found
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        with RedisSaver.from_conn_string(server.url, prefix=f"s{tmp_path.name}{id(request)}") as found:
            yield found


@pytest.mark.parametrize("state", [MessagesState, DeltaHost], ids=lambda each: each.__name__)
@pytest.mark.parametrize("mode", ["replace", "view"])
def test_it_works_on_every_saver(saver: Any, mode: Any, state: Any) -> None:
    """A summary comes back as it was written, and its entries with it: another process goes on with them."""
    for start in (0, 20):
        node = SummarizationNode(summarizer(), max_tokens=LIMIT, window=8_000, mode=mode)
        app, model = agent(node, state=state, saver=saver)
        talk(app, 20, start=start)
        assert all(count(call.messages) <= LIMIT - LIMIT // 8 for call in model.calls)
    summary = node.summary(app.get_state(thread()).values)
    assert summary is not None
    assert summary.compactions >= 4
    assert [entry.text for entry in summary.of("facts")] == ["kites cost twelve euros"]


async def test_it_works_on_an_event_loop(tmp_path: Path) -> None:
    """With a saver that knows no other."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        app, model = agent(saver=saver)
        for number in range(40):
            question = HumanMessage(f"Question {number}: {text(30, number)}")
            await app.ainvoke({"messages": [question]}, thread())
    assert holds(model, 40)


# Beside others


@pytest.mark.parametrize("name", ["a_before", "z_after"])
@pytest.mark.parametrize("state", [MessagesState, DeltaHost], ids=lambda each: each.__name__)
def test_what_a_parallel_node_writes_stays(name: str, state: Any) -> None:
    """Whichever is applied first. Messages that are all removed and written anew would take it with them."""
    graph: Any = StateGraph(state)
    graph.add_node("summary", SummarizationNode(max_tokens=LIMIT))
    graph.add_node(name, lambda state: {"messages": [AIMessage("Meanwhile.", id="new")]})
    graph.add_edge(START, "summary")
    graph.add_edge(START, name)
    messages = graph.compile().invoke({"messages": conversation(40)})["messages"]
    assert messages[-1].id == "new"
    assert summary_in(messages) is not None
    assert count(messages) <= LIMIT


@pytest.mark.parametrize("inside", [MessagesState, PublicHost], ids=lambda each: each.__name__)
def test_it_works_in_a_subgraph(inside: Any) -> None:
    """A graph around it keeps what was removed inside, and hands it in again at each turn: that is dropped again, and
    not summarized again. The entries travel with the summary, whatever keys the graphs share."""
    writer = summarizer()
    summarization = SummarizationNode(writer, max_tokens=LIMIT, window=8_000)
    model = ScriptedChatModel(lambda messages: Reply(text=f"Answer to {len(messages)}: {text(30)}", usage=None))
    inner: Any = StateGraph(inside)
    inner.add_node("summary", summarization)
    inner.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    inner.add_edge(START, "summary")
    inner.add_edge("summary", "model")
    outer: Any = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    messages = talk(outer.compile(checkpointer=InMemorySaver()), 40)
    read_by_writer = "".join(call.messages[-1].text for call in writer.calls)
    assert holds(model, 40)
    assert len(messages) > 70
    assert 4 <= writer.call_count <= 12
    assert max(read_by_writer.count(f"Question {number}:") for number in range(40)) == 1


def test_it_is_fused_with_a_budget() -> None:
    """One superstep: the gate counts what the summarizer leaves."""
    budget = BudgetCheckNode(Budget([Limit("tokens", LIMIT, per="call")]), MemoryBackend())
    before = fuse(SummarizationNode(max_tokens=LIMIT), budget)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("before", before)
    graph.add_node("model", lambda state: {"messages": [AIMessage("Done.")]})
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "before")
    graph.add_conditional_edges("before", before.route, before.paths(ok="model", exceeded="finish", halt="finish"))
    messages = graph.compile().invoke({"messages": conversation(40)})["messages"]
    assert messages[-1].text == "Done."
    assert summary_in(messages) is not None


def test_a_run_that_cannot_go_on_ends_with_the_reason() -> None:
    """Through the same door as every other halt."""
    app, model = agent()
    last = app.invoke({"messages": [HumanMessage(text(4_000))]}, thread())["messages"][-1]
    assert last.response_metadata["guard"]["status"] == "context_irreducible"
    assert model.call_count == 0


def test_a_turn_is_what_it_was() -> None:
    """Of a long run, the summary stands behind the question: it must not look like a new one to limits per turn."""
    budget = BudgetCheckNode(Budget([Limit("model_calls", 1, per="turn")]), MemoryBackend())
    graph: Any = StateGraph(MessagesState)
    graph.add_node("before", fuse(SummarizationNode(max_tokens=LIMIT), budget))
    graph.add_edge(START, "before")
    app = graph.compile(checkpointer=InMemorySaver())
    steps = (each for number in range(40) for each in step(number))
    app.invoke({"messages": [HumanMessage("Find a kite.", id="h0"), *steps]}, thread())
    values = app.get_state(thread()).values
    assert values["guard_turn"]["id"] == "h0"
    assert KEY in values["messages"][1].additional_kwargs
