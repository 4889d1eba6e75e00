"""Several guards in one superstep: each sees what the ones before it did, and the first that stops ends it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Overwrite

from langgraph_guard import Budget, BudgetCheckNode, ConfigError, Limit, MemoryBackend, fuse
from langgraph_guard.nodes.fuse import after, joined
from langgraph_guard.nodes.guard import Guard, Update
from langgraph_guard.state.views import messages_of
from tests.nodes.agents import asks, loops, react, thread


class Says(Guard):
    """A guard that says what it is told to, and notes what it saw."""

    passing = ("fine", "nearly")
    stopping = ("halt",)

    def __init__(self, name: str, route: str = "fine", update: Update | None = None) -> None:
        super().__init__(name)
        self.says = route
        self.update = update or {}
        self.saw: list[int] = []

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        self.saw.append(len(messages_of(input)))
        return {**self.update, "guard_verdicts": {self.name: {"route": self.says, "turn": "", "at": 0}}}

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        return self.invoke(input, config)


def run(fused: Any, how: str, state: dict[str, Any] | None = None) -> Any:
    """A graph of one node, run once."""
    graph = StateGraph(MessagesState)
    graph.add_node("guards", fused)
    graph.add_edge(START, "guards")
    graph.add_conditional_edges("guards", fused.route, fused.paths(fine=END, halt=END))
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke(state or asks(), thread())
    return app.get_state(thread())


def test_later_guards_see_what_earlier_ones_changed() -> None:
    """A summary that made room is what the budget counts."""
    first = Says("a", update={"messages": [AIMessage("added", id="x")]})
    second = Says("b", update={"messages": [RemoveMessage("x")]})
    third = Says("c")
    state = run(fuse(first, second, third), "invoke")
    assert (first.saw, second.saw, third.saw) == ([1], [2], [1])
    assert len(state.values["messages"]) == 1


def test_the_first_stopping_verdict_ends_it() -> None:
    """What comes after a halt must not undo it, or cost anything."""
    first, second, third = Says("a", "nearly"), Says("b", "halt"), Says("c")
    state = run(fuse(first, second, third), "invoke")
    assert third.saw == []
    assert state.values["guard_verdicts"]["a+b+c"]["route"] == "halt"


def test_without_a_stop_the_last_guards_word_is_the_route() -> None:
    """So the edges read like the last guard's own."""
    state = run(fuse(Says("a"), Says("b", "nearly"), name="both"), "invoke")
    assert state.values["guard_verdicts"]["both"]["route"] == "nearly"


def test_fused_guards_cost_one_superstep() -> None:
    """Each superstep is a checkpoint, and a bill."""
    agents = [react([Limit("usd", 1, per="session")]) for _ in range(2)]
    budgets = [agent.budget for agent in agents]
    budgets[1].name = "other"
    fused = fuse(*budgets)
    graph = StateGraph(MessagesState)
    graph.add_node("guards", fused)
    graph.add_edge(START, "guards")
    graph.add_edge("guards", END)
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    assert len(list(app.get_state_history(thread()))) == 3, "the input, the guards, nothing else"


def test_every_stopping_word_of_every_guard_needs_a_target() -> None:
    """A budget inside a fuse must not lose its way out."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    fused = fuse(Says("a"), budget)
    with pytest.raises(ConfigError, match="exceeded"):
        fused.paths(ok="model", halt="finish")
    assert fused.paths(ok="m", halt="f", exceeded="g") == {"ok": "m", "warn": "m", "halt": "f", "exceeded": "g"}


def test_budgets_of_two_ledgers_fuse() -> None:
    """Each guard talks to its own backend."""
    one = BudgetCheckNode(Budget([Limit("model_calls", 2, per="turn")]), MemoryBackend(), name="one")
    two = BudgetCheckNode(Budget([Limit("model_calls", 9, per="turn")]), MemoryBackend(), name="two")
    fused = fuse(one, two)
    model = loops()
    metered = two.model(one.model(model))
    graph = StateGraph(MessagesState)
    graph.add_node("guards", fused)
    graph.add_node("model", one.track(two.track(lambda state: {"messages": [metered.invoke(state["messages"]).text]})))
    graph.add_edge(START, "guards")
    graph.add_conditional_edges("guards", fused.route, fused.paths(ok="model", exceeded=END))
    graph.add_edge("model", "guards")
    graph.compile().invoke(asks(), thread())
    assert model.call_count == 2


@pytest.mark.parametrize("wrong", [(), ("a",), (Says("a"), Says("a")), (Says("a"), print)])
def test_what_cannot_be_fused_is_refused(wrong: Any) -> None:
    """When the graph is built."""
    with pytest.raises(ConfigError):
        fuse(*wrong)


def test_joining_updates_is_applying_them_in_turn() -> None:
    """One write to the graph does what the guards did one after another."""
    start = {"messages": [HumanMessage("a", id="1"), HumanMessage("b", id="2")]}
    first = {"messages": [RemoveMessage("1")], "guard_halt": {"turn_seq": 1, "at": 5, "id": "x"}, "mine": 1}
    second = {"messages": HumanMessage("c", id="3"), "guard_halt": {"turn_seq": 1, "at": 4, "id": "y"}, "mine": 2}
    third = {"messages": Overwrite([HumanMessage("d", id="4")])}
    fourth = {"messages": [HumanMessage("e", id="5")]}
    in_turn: dict[str, Any] = start
    at_once: Update = {}
    for update in (first, second, third, fourth):
        in_turn, at_once = after(in_turn, update, "messages"), joined(at_once, update, "messages")
    assert [message.id for message in in_turn["messages"]] == ["4", "5"]
    assert [message.id for message in at_once["messages"].value] == ["4", "5"]
    assert in_turn["guard_halt"] == at_once["guard_halt"] == second["guard_halt"]
    assert in_turn["mine"] == at_once["mine"] == 2
