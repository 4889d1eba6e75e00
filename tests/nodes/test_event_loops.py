"""Whoever shares the event loop never waits for a guard that reads a disk: not at the first call either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

# In a process of its own: what is read from the machine is read once, at the first use.
GUARDED: Final = """
import asyncio, sys
from blockbuster import blockbuster_ctx
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_guard import (
    Budget, BudgetCheckNode, CircuitBreaker, CircuitBreakerNode, FinishNode, Limit, LoopCheckNode, RedisBackend,
    SummarizationNode, ToolGuard, contract, fuse,
)
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.testing import ScriptedChatModel, calls, says

@contract(timeout=5, side_effects="read")
@tool
async def order(id: str) -> str:
    "Where an order is."
    return "on its way " * 2_000

def answer(messages):
    return says("Here.", usage=(100, 5)) if messages[-1].type == "tool" else calls("order", {"id": "1"}, usage=(100, 5))

llm = ScriptedChatModel(answer, model_name="gpt-4o-mini")
backend = RedisBackend.from_url(sys.argv[1], prefix="loops")
limits = [Limit("usd", 5, per="user", window="day"), Limit("tokens", 90_000, per="call")]
budget, breaker = BudgetCheckNode(Budget(limits), backend), CircuitBreaker(backend)
guard = ToolGuard(budget=budget, breaker=breaker)
model = budget.model(llm.bind_tools(guard.tools([order])))
before_model = fuse(budget, SummarizationNode(max_tokens=3_000))
before_tools = fuse(LoopCheckNode(), CircuitBreakerNode(breaker))

async def call_model(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}

graph = StateGraph(MessagesState)
graph.add_node("before_model", before_model)
graph.add_node("model", budget.track(call_model))
graph.add_node("before_tools", before_tools)
graph.add_node("tools", guard.node([order]))
graph.add_node("finish", FinishNode())
graph.add_edge(START, "before_model")
paths = before_model.paths(ok="model", exceeded="finish", halt="finish")
graph.add_conditional_edges("before_model", before_model.route, paths)
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="before_tools", end=END, exceeded="finish"))
paths = before_tools.paths(ok="tools", revise="before_model", open="finish", halt="finish")
graph.add_conditional_edges("before_tools", before_tools.route, paths)
graph.add_edge("tools", "before_model")
graph.add_edge("finish", END)
app = graph.compile(checkpointer=RedisSaver.from_conn_string(sys.argv[1], prefix="loops"))

async def main():
    with blockbuster_ctx() as blocked:
        for name in [each for each in blocked.functions if each.startswith("os.path.") or each in ALLOWED]:
            blocked.functions.pop(name).deactivate()
        for turn in range(2):
            question = {"messages": [("user", f"Question {turn}: " + "and where is it? " * 300)]}
            said = await app.ainvoke(question, {"configurable": {"thread_id": "1", "user_id": "7"}})
            print(said["messages"][-1].text)

ALLOWED = ("os.stat", "os.listdir", "threading.Lock.acquire")
asyncio.run(main())
"""


@pytest.mark.parametrize("counted", ["with a vocabulary", "without"])
def test_a_guarded_agent_never_keeps_the_event_loop_waiting(
    redis_server: RedisServer, vocabulary: Path, tmp_path: Path, counted: str
) -> None:
    """A server answers others meanwhile, and LangGraph's own refuses to go on where something blocks."""
    places = str(vocabulary if counted == "with a vocabulary" else tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", GUARDED, redis_server.url],
        env={**os.environ, "TIKTOKEN_CACHE_DIR": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert ran.stdout == "Here.\nHere.\n"
