"""What LangGraph tells a task about its run: names that are not public, held here so that a change is seen."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_guard.nodes.runs import RESUMING, Run, Runs, namespace, runtime_of, step_of
from langgraph_guard.state.views import READ, peek
from tests.nodes.agents import asks, thread


def configs_of(*inputs: Any) -> list[RunnableConfig]:
    """The configs that nodes see: one in a subgraph, one that pauses, again as it resumes, and one after it."""
    seen: list[RunnableConfig] = []

    def note(state: MessagesState, config: RunnableConfig) -> Any:
        seen.append(config)
        return {}

    def pause(state: MessagesState, config: RunnableConfig) -> Any:
        seen.append(config)
        interrupt("?")
        return {}

    inner = StateGraph(MessagesState)
    inner.add_node("note", note)
    inner.add_edge(START, "note")
    graph = StateGraph(MessagesState)
    graph.add_node("inner", inner.compile())
    graph.add_node("pause", pause)
    graph.add_node("note", note)
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "pause")
    graph.add_edge("pause", "note")
    app: Any = graph.compile(checkpointer=InMemorySaver())
    for each in inputs:
        app.invoke(each, thread())
    return seen


def test_a_run_is_one_object_in_all_its_graphs() -> None:
    """A budget must know that a subgraph is no new run, and that a resume is one."""
    inner, outer, resumed, after = configs_of(asks(), Command(resume=True))
    runs = Runs()
    run = runs.of(inner, 0)
    assert isinstance(run, Run)
    assert runs.of(outer, 5) is run
    assert runs.of(resumed, 0) is not run
    assert runs.of(resumed, 0) is runs.of(after, 0)


def test_a_resumed_run_says_so() -> None:
    """It carries on the turn that it left."""
    _, first, resumed, _ = configs_of(asks(), Command(resume=True))
    assert [bool(config["configurable"].get(RESUMING)) for config in (first, resumed)] == [False, True]


def test_a_task_knows_its_graph_and_its_step() -> None:
    """Steps are counted in each graph by itself."""
    inner, *_, outer = configs_of(asks(), Command(resume=True))
    assert namespace(inner).startswith("inner:")
    assert namespace(outer) == ""
    assert (step_of(inner), step_of(outer)) == (1, 3)


def test_channels_can_be_read_without_being_declared() -> None:
    """A model deep in a node finds the turn; what a graph does not keep is not there."""
    found: list[dict[str, Any]] = []

    def look(state: MessagesState, config: RunnableConfig) -> Any:
        assert READ in config["configurable"]
        found.append(peek(config, "messages", "guard_turn"))
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    graph.compile().invoke(asks("hello"))
    assert [list(each) for each in found] == [["messages"]]
    assert found[0]["messages"][0].text == "hello"


def test_outside_a_graph_there_is_no_run() -> None:
    """A model that is called by itself has no turn, and no latch."""
    assert Runs().of({}, 0) is None
    assert runtime_of({"configurable": {}}) is None
    assert peek({}, "messages") == {}
