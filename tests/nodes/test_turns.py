"""A turn is from one human message to the next, whatever happens in between: pauses, restarts, replays, forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    ConfigError,
    FinishNode,
    Limit,
    MemoryBackend,
    aguard_report,
    guard_report,
)
from langgraph_guard.state import GuardState
from langgraph_guard.testing import FakeClock, ScriptedChatModel
from tests.nodes.agents import TOOLS, Agent, answers_after, asks, loops, react, thread


class GuardedMessages(MessagesState, GuardState):
    """A state with the guards' keys in the open."""


def asks_people_first(limits: list[Limit], model: ScriptedChatModel, backend: MemoryBackend, saver: Any) -> Agent:
    """The README's graph, with a person asked before every tool call."""

    def tools(state: MessagesState) -> Any:
        interrupt("may I?")
        return ToolNode(TOOLS).invoke(state)

    return react(limits, model, backend=backend, checkpointer=saver, tools=tools)


def test_a_turn_limit_holds_across_approvals(saver: Any) -> None:
    """Each approval is a new run for LangGraph; it is the same turn, and its limit goes on counting."""
    agent = asks_people_first([Limit("model_calls", 3, per="turn")], loops(), MemoryBackend(), saver)
    agent.app.invoke(asks(), thread())
    for _ in range(10):
        if not agent.app.get_state(thread()).next:
            break
        agent.app.invoke(Command(resume=True), thread())
    assert agent.model.call_count == 3
    assert guard_report(agent.app, thread()).status == "limit_calls"


def supersteps(app: Any) -> int:
    """How many the thread has had, as LangGraph keeps them."""
    return sum(state.metadata["source"] == "loop" and state.metadata["step"] > 0 for state in history(app))


def history(app: Any) -> list[Any]:
    """The newest first."""
    return list(app.get_state_history(thread()))


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_the_report_counts_every_superstep_of_the_turn(saver: Any, rounds: int) -> None:
    """Those behind the gate's last visit too: a turn of two steps is not one of none."""
    agent = react([Limit("usd", 100, per="session")], answers_after(rounds), checkpointer=saver)
    agent.app.invoke(asks(), thread())
    assert guard_report(agent.app, thread()).turn["steps"] == supersteps(agent.app) == 3 * rounds + 2


async def test_the_report_counts_on_an_event_loop_too() -> None:
    """And a turn that a limit ended: the closing step is one."""
    agent = react([Limit("steps", 6, per="turn")], checkpointer=InMemorySaver())
    await agent.app.ainvoke(asks(), thread())
    report = await aguard_report(agent.app, thread())
    assert (report.status, report.turn["steps"]) == ("limit_steps", 8)


def test_each_turn_counts_its_own_steps(saver: Any) -> None:
    """What the turn before took is behind it."""
    model = ScriptedChatModel(["It has shipped.", "It is still on its way."])
    agent = react([Limit("steps", 100, per="turn")], model, checkpointer=saver)
    agent.app.invoke(asks(), thread())
    agent.app.invoke(asks("And now?"), thread())
    assert guard_report(agent.app, thread()).turn["steps"] == 2


def test_steps_count_across_approvals(saver: Any) -> None:
    """A loop whose every round waits for a person is a loop: no resume forgets the steps on either side of it."""
    agent = asks_people_first([Limit("steps", 9, per="turn")], loops(), MemoryBackend(), saver)
    agent.app.invoke(asks(), thread())
    assert guard_report(agent.app, thread()).turn["steps"] == 2
    for _ in range(10):
        if not agent.app.get_state(thread()).next:
            break
        agent.app.invoke(Command(resume=True), thread())
    report = guard_report(agent.app, thread())
    assert (report.status, report.turn["steps"], supersteps(agent.app)) == ("limit_steps", 11, 11)


def test_steps_of_a_gate_in_a_subgraph_are_those_that_it_saw() -> None:
    """The thread's own steps are of another graph, so nothing is added to them."""
    inner = react([Limit("steps", 100, per="turn")], answers_after(2), state=GuardedMessages)
    graph = StateGraph(GuardedMessages)
    graph.add_node("before", lambda state: {})
    graph.add_node("inner", inner.app)
    graph.add_node("after", lambda state: {})
    graph.add_edge(START, "before")
    graph.add_edge("before", "inner")
    graph.add_edge("inner", "after")
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    assert guard_report(app, thread()).turn["steps"] == 6


@pytest.mark.parametrize("config", [{}, {"configurable": {}}, {"configurable": {"thread_id": None}}, None])
def test_a_report_of_no_thread_says_so(config: Any) -> None:
    """It was LangGraph's KeyError."""
    agent = react([Limit("usd", 1, per="session")], checkpointer=InMemorySaver())
    with pytest.raises(ConfigError, match="config: names no thread"):
        guard_report(agent.app, config)


def test_a_graph_may_be_bound_to_its_thread() -> None:
    """`with_config` is LangGraph's way to do so."""
    agent = react([Limit("usd", 100, per="session")], answers_after(0), checkpointer=InMemorySaver())
    bound = agent.app.with_config(thread())
    bound.invoke(asks())
    assert guard_report(bound, {}).turn["model_calls"] == 1


def test_a_report_of_a_graph_without_a_gate_counts_no_steps() -> None:
    """Nobody looked; 0 would say that there were none."""
    budget = BudgetCheckNode(Budget([Limit("usd", 1, per="session")]), MemoryBackend())
    model = budget.model(answers_after(0))
    graph = StateGraph(MessagesState)
    graph.add_node("model", budget.track(lambda state: {"messages": [model.invoke(state["messages"])]}))
    graph.add_edge(START, "model")
    app = graph.compile(checkpointer=InMemorySaver())
    app.invoke(asks(), thread())
    assert "steps" not in guard_report(app, thread()).turn


def test_langchains_own_run_limit_does_not_hold_across_approvals() -> None:
    """Why the pack has one: the peer's counter is forgotten at every resume."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import HumanInTheLoopMiddleware, ModelCallLimitMiddleware

    model = loops()
    app: Any = create_agent(
        model,
        TOOLS,
        middleware=[
            ModelCallLimitMiddleware(run_limit=3),
            HumanInTheLoopMiddleware({"get_order_status": True}),
        ],
        checkpointer=InMemorySaver(),
    )
    app.invoke(asks(), thread())
    for _ in range(10):
        app.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread())
    assert model.call_count == 11


def test_time_spent_waiting_for_people_does_not_count(saver: Any) -> None:
    """A reviewer who sleeps on it must not use up the agent's two minutes."""
    clock = FakeClock()
    agent = asks_people_first([Limit("seconds", 120, per="turn")], loops(), MemoryBackend(clock=clock), saver)
    agent.app.invoke(asks(), thread())
    for _ in range(3):
        clock.advance(86_400)
        agent.app.invoke(Command(resume=True), thread())
    report = guard_report(agent.app, thread())
    assert report.status == "ok"
    assert report.turn["seconds"] == 0


def test_time_spent_working_counts_across_approvals(saver: Any) -> None:
    """Fifty seconds before the pause and fifty after it are a hundred."""
    clock = FakeClock()
    backend = MemoryBackend(clock=clock)
    slow = ScriptedChatModel([_slow_call(50.0)], repeat_last=True, clock=clock)
    agent = asks_people_first([Limit("seconds", 120, per="turn")], slow, backend, saver)
    agent.app.invoke(asks(), thread())
    for _ in range(5):
        clock.advance(3_600)
        agent.app.invoke(Command(resume=True), thread())
    report = guard_report(agent.app, thread())
    assert report.status == "limit_time"
    assert agent.model.call_count == 3
    assert report.turn["seconds"] == 120_000, "the third call had 20 seconds left, and was stopped after them"


def _slow_call(seconds: float) -> Any:
    from langgraph_guard.testing import calls

    return calls("get_order_status", {"order_id": "A1"}, delay=seconds)


def test_messages_from_other_agents_open_no_turn() -> None:
    """A supervisor's helpers answer as human messages: a loop of them must not reset the limit."""
    backend = MemoryBackend()
    model = loops()
    budget = BudgetCheckNode(Budget([Limit("model_calls", 3, per="turn")]), backend)
    metered = budget.model(model)

    def worker(state: MessagesState) -> Any:
        metered.invoke(state["messages"])
        return {"messages": [HumanMessage("done", name="researcher")]}

    graph = StateGraph(MessagesState)
    graph.add_node("gate", budget)
    graph.add_node("worker", budget.track(worker))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "gate")
    graph.add_conditional_edges("gate", budget.route, budget.paths(ok="worker", exceeded="finish"))
    graph.add_edge("worker", "gate")
    graph.add_edge("finish", END)
    graph.compile().invoke(asks(), {**thread(), "recursion_limit": 50})
    assert model.call_count == 3


SCRIPT = """
import json, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph_guard import Limit, guard_report
from langgraph_guard.backends import MemoryBackend
from tests.nodes.test_turns import asks_people_first
from tests.nodes.agents import asks, loops, thread
from langgraph.types import Command

database, what = sys.argv[1:]
with SqliteSaver.from_conn_string(database) as saver:
    agent = asks_people_first([Limit("usd", 1, per="session"), Limit("model_calls", 5, per="turn")],
                              loops(), MemoryBackend(), saver)
    agent.app.invoke(asks() if what == "start" else Command(resume=True), thread())
    report = guard_report(agent.app, thread())
    print(json.dumps({"calls": agent.model.call_count, "session": report.session, "turn": report.turn,
                      "ledger": agent.spent(), "status": report.status}))
"""


def in_a_process(database: Path, what: str) -> dict[str, Any]:
    """What a process of its own tells after one run on `database`."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(database), what], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_fresh_process_knows_what_was_spent(database: Path) -> None:
    """Stopped, and resumed elsewhere from the checkpoint: every billed call counts exactly once."""
    told = [in_a_process(database, "start"), *(in_a_process(database, "resume") for _ in range(5))]
    assert [each["calls"] for each in told] == [1, 1, 1, 1, 1, 0]
    assert [each["session"]["model_calls"] for each in told] == [1, 2, 3, 4, 5, 5]
    assert [each["ledger"] for each in told] == [1_800, 3_600, 5_400, 7_200, 9_000, 9_000]
    assert told[-1]["status"] == "limit_calls"


@pytest.mark.parametrize("where", ["same process", "fresh ledger"])
def test_replays_and_forks_count_what_was_billed(sqlite_saver: SqliteSaver, where: str) -> None:
    """Going back in time does not bring money back; running again costs again."""
    backend = MemoryBackend()
    agent = asks_people_first([Limit("usd", 1, per="session")], loops(), backend, sqlite_saver)
    agent.app.invoke(asks(), thread())
    for _ in range(2):
        agent.app.invoke(Command(resume=True), thread())
    assert agent.spent() == 3 * 1_800
    past = next(
        s for s in agent.app.get_state_history(thread()) if s.next == ("model",) and len(s.values["messages"]) == 3
    )
    if where == "fresh ledger":
        agent = asks_people_first([Limit("usd", 1, per="session")], agent.model, MemoryBackend(), sqlite_saver)
        known = 1_800  # All that the checkpoint and the new ledger can know.
    else:
        known = 3 * 1_800
    agent.app.invoke(None, past.config)
    assert agent.spent() == known + 1_800
    forked = agent.app.update_state(past.config, {"messages": [AIMessage("an edit")]}, as_node="tools")
    agent.app.invoke(None, forked)
    assert agent.spent() == known + 2 * 1_800
