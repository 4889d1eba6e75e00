"""A support agent behind HTTP: threads and budgets in Redis, traces for whoever looks, an orderly end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Header, HTTPException, Request
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, Field

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    CircuitBreaker,
    CircuitBreakerNode,
    FinishNode,
    GuardError,
    Limit,
    RedisBackend,
    ToolGuard,
    contract,
    observability,
)
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.testing import ScriptedChatModel, calls, says

REDIS = os.environ.get("REDIS_URL", "redis://localhost:6379")
ORDERS = os.environ.get("ORDERS_URL")  # the order service; without one, orders are always on their way
STEPS = os.environ.get("STEPS_FILE", "steps.db")


@contract(timeout=20, side_effects="read")
@tool
async def get_order_status(order_id: str) -> str:
    """Where an order is."""
    if ORDERS is None:
        return f"Order {order_id} left the warehouse this morning."
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return (await client.get(f"{ORDERS}/orders/{order_id}")).raise_for_status().text


def answer(messages):
    """What a real model does, as a script: it looks, then it answers."""
    newest = messages[-1]
    if newest.type == "tool":
        return says(newest.text, usage=(1_200, 40))
    return calls("get_order_status", {"order_id": "4711"}, usage=(1_000, 30))


def build(backend, checkpointer):
    """The guarded agent. Your model goes here: ChatOpenAI(model="gpt-4o-mini")."""
    llm, tools = ScriptedChatModel(answer, model_name="gpt-4o-mini"), [get_order_status]
    limits = [Limit("usd", 5, per="user", window="day"), Limit("usd", 0.50, per="session")]
    budget = BudgetCheckNode(Budget([*limits, Limit("model_calls", 25, per="turn")]), backend)
    breaker = CircuitBreaker(backend)
    breaker_check = CircuitBreakerNode(breaker)
    guard = ToolGuard(budget=budget, breaker=breaker)
    model = budget.model(llm.bind_tools(tools))

    async def call_model(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("budget", budget)
    graph.add_node("model", budget.track(call_model))
    graph.add_node("breaker", breaker_check)
    graph.add_node("tools", guard.node(tools))
    graph.add_node("finish", FinishNode())
    graph.add_edge(START, "budget")
    graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
    graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="breaker", end=END, exceeded="finish"))
    graph.add_conditional_edges("breaker", breaker_check.route, breaker_check.paths(closed="tools", open="finish"))
    graph.add_edge("tools", "budget")
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What is wrong with the server is said before the first request. At the end, what is under way has ended."""
    watch = observability.setup(steps=STEPS)  # Langfuse too, where LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are set
    async with RedisSaver.from_conn_string(REDIS) as saver, RedisBackend.from_url(REDIS) as backend:
        await saver.asetup()
        await backend.asetup()
        app.state.agent, app.state.saver = build(backend, saver), saver
        yield
    await asyncio.to_thread(watch.close)


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    """`text`: what the user says."""

    text: str = Field(min_length=1, max_length=8_000)


class Answer(BaseModel):
    """`status`: empty for an ordinary end, else why a guard ended the run."""

    text: str
    status: str = ""


@app.post("/threads/{thread_id}")
async def ask(thread_id: str, question: Question, request: Request, x_user: str = Header()) -> Answer:
    """One turn. In production the user comes from what your gateway authenticated, and owns the thread."""
    return await turn(request, thread_id, x_user, {"messages": [("user", question.text)]})


@app.post("/threads/{thread_id}/resume")
async def resume(thread_id: str, request: Request, x_user: str = Header()) -> Answer:
    """Go on where a worker was stopped in the middle of a turn."""
    return await turn(request, thread_id, x_user, None)


async def turn(request: Request, thread_id: str, user: str, given) -> Answer:
    agent = request.app.state.agent
    config = await observability.arun_config(agent, thread_id=thread_id, user_id=user)
    try:
        state = await agent.ainvoke(given, config, durability="sync")
    except GuardError as error:
        raise HTTPException(503, str(error)) from error  # Redis is away: nothing is spent that cannot be counted
    last = state["messages"][-1]
    return Answer(text=last.text, status=last.response_metadata.get("guard", {}).get("status", ""))


@app.get("/health/live")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"ok": True}


@app.get("/health/ready")
async def ready(request: Request) -> dict[str, bool]:
    """Redis answers too, and is fit for its purpose."""
    report = await request.app.state.saver.acheck()
    if not report.ok:
        raise HTTPException(503, "; ".join(each.says for each in report.of("error")))
    return {"ok": True}


if __name__ == "__main__":
    import uvicorn

    # On SIGTERM: no new requests, half a minute for those that are under way, then the end. A turn that is cut off
    # stands at its last step, and `resume` goes on.
    port = int(os.environ.get("PORT", "8000"))
    uvicorn.run(app, host="127.0.0.1", port=port, timeout_graceful_shutdown=30)
