"""The same limits in the other shapes that LangGraph programs have."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel

from langgraph_guard import Budget, BudgetCheckNode, BudgetExceeded, FinishNode, Limit, MemoryBackend, guard_report
from langgraph_guard.policies.ledger import Account, Read
from langgraph_guard.testing import ScriptedChatModel, calls, says
from tests.nodes.agents import TOOLS, asks, loops, react, thread


def budget_of(*limits: Limit) -> BudgetCheckNode:
    """A budget on a ledger of its own."""
    return BudgetCheckNode(Budget(limits), MemoryBackend())


def spent(budget: BudgetCheckNode, unit: str = "usd") -> int:
    """What the thread has spent."""
    ((balance,),) = budget._ledger.execute([Read((Account("", "session", "t", unit),))])  # type: ignore[misc]
    return int(balance.spent)


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_create_agent_stops_by_the_callback(how: str) -> None:
    """LangChain's own agent takes no wrapped model, but it takes callbacks."""
    budget = budget_of(Limit("usd", 0.02, per="session"))
    app: Any = create_agent(loops(), TOOLS)
    config = {**thread(), "callbacks": [budget.callback()]}
    with pytest.raises(BudgetExceeded):
        app.invoke(asks(), config) if how == "invoke" else await app.ainvoke(asks(), config)
    assert 0 < spent(budget) <= 20_000


def test_the_functional_api_has_turns_and_sessions() -> None:
    """`@entrypoint` and `@task` are graphs too."""
    budget = budget_of(Limit("model_calls", 3, per="turn"))
    metered = budget.model(loops())

    @task
    def ask(question: str) -> str:
        return str(metered.invoke(question).text)

    @entrypoint(checkpointer=InMemorySaver())
    def flow(question: str) -> list[str]:
        return [ask(question).result() for _ in range(10)]

    with pytest.raises(BudgetExceeded):
        flow.invoke("hi", thread())
    assert spent(budget, "model_calls") == 3


def test_a_fan_out_by_send_stops_at_the_limit() -> None:
    """Nine workers and room for five: four are refused, and the run ends in one place."""
    budget = budget_of(Limit("model_calls", 5, per="turn"))
    metered = budget.model(loops())
    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("work", budget.track(lambda state: {"messages": [AIMessage(metered.invoke("hi").text)]}))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", lambda state: [Send("work", state) for _ in range(9)], ["work"])
    graph.add_conditional_edges("work", budget.after_model, budget.paths(tools="gate", end=END, exceeded="finish"))
    graph.add_edge("finish", END)
    messages = graph.compile().invoke(asks(), thread())["messages"]
    assert spent(budget, "model_calls") == 5
    assert [each.response_metadata.get("guard", {}).get("status") for each in messages if each.type == "ai"] == [
        *[None] * 5,
        "limit_calls",
    ]


def test_a_guarded_agent_inside_another_graph_keeps_its_turn_across_pauses() -> None:
    """A subgraph with a gate of its own, stopped for a person before each tool call."""
    budget = budget_of(Limit("model_calls", 4, per="turn"))
    model = loops()
    metered = budget.model(model)

    def tools(state: MessagesState) -> Any:
        interrupt("may I?")
        return ToolNode(TOOLS).invoke(state)

    inner = StateGraph(MessagesState)
    inner.add_node("gate", budget)
    inner.add_node("model", budget.track(lambda state: {"messages": [metered.invoke(state["messages"])]}))
    inner.add_node("tools", tools)
    inner.add_node("finish", FinishNode())
    inner.add_edge(START, "gate")
    inner.add_conditional_edges("gate", budget.route, budget.paths(ok="model", exceeded="finish"))
    inner.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
    inner.add_edge("tools", "gate")
    inner.add_edge("finish", END)
    outer = StateGraph(MessagesState)
    outer.add_node("agent", inner.compile())
    outer.add_edge(START, "agent")
    app: Any = outer.compile(checkpointer=InMemorySaver())
    final = app.invoke(asks(), thread())
    while app.get_state(thread()).next:
        final = app.invoke(Command(resume=True), thread())
    assert model.call_count == 4
    assert final["messages"][-1].response_metadata["guard"]["status"] == "limit_calls"


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_ends_with_the_same_report(durability: Any, saver: Any) -> None:
    """How often LangGraph saves is not the budget's business."""
    agent = react([Limit("usd", 0.02, per="session")], checkpointer=saver)
    agent.app.invoke(asks(), thread(), durability=durability)
    report = guard_report(agent.app, thread())
    assert (report.status, report.session["usd"]) == ("limit_cost", agent.spent())


def test_each_attempt_of_a_retried_node_counts() -> None:
    """LangGraph runs the node again, and the provider may bill again."""
    budget = budget_of(Limit("model_calls", 10, per="turn"))
    model = budget.model(ScriptedChatModel([ConnectionError("cut"), ConnectionError("cut"), says("ok")]))
    graph = StateGraph(MessagesState)
    again = RetryPolicy(initial_interval=0.001, jitter=False)
    node = budget.track(lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("model", node, retry_policy=again)
    graph.add_edge(START, "model")
    assert graph.compile().invoke(asks(), thread())["messages"][-1].text == "ok"
    assert spent(budget, "model_calls") == 3


def test_a_structured_answer_is_metered() -> None:
    """With the raw message or without."""

    class Answer(BaseModel):
        number: int

    budget = budget_of(Limit("usd", 1, per="session"))
    model = budget.model(ScriptedChatModel([calls("Answer", {"number": 3})], repeat_last=True))
    assert model.with_structured_output(Answer).invoke("?", thread()) == Answer(number=3)
    assert model.with_structured_output(Answer, include_raw=True).invoke("?", thread())["parsed"] == Answer(number=3)
    assert spent(budget, "model_calls") == 2


def test_tool_calls_with_the_same_id_each_time_are_counted_each_time() -> None:
    """Some models number their calls from one in every message."""
    call = AIMessage("", tool_calls=[{"name": "get_order_status", "args": {"order_id": "1"}, "id": "call_1"}])
    agent = react([Limit("tool_calls", 4, per="turn")], ScriptedChatModel([call], repeat_last=True))
    final = agent.app.invoke(asks(), thread())
    assert agent.spent(unit="tool_calls") == 4
    assert final["messages"][-1].response_metadata["guard"]["status"] == "limit_calls"
