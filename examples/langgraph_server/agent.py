"""A support agent for LangGraph Server: threads and budgets in Redis, shared by all of its workers."""

import os

from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import Budget, BudgetCheckNode, FinishNode, Limit, RedisBackend, ToolGuard, contract
from langgraph_guard.testing import ScriptedChatModel, calls, says


@contract(timeout=5, side_effects="read")
@tool
def get_order_status(order_id: str) -> str:
    """Where an order is."""
    return f"Order {order_id} left the warehouse this morning."


def answer(messages):
    """What a real model does, as a script: it looks, then it answers."""
    newest = messages[-1]
    if newest.type == "tool":
        return says(newest.text, usage=(1_200, 40))
    return calls("get_order_status", {"order_id": "4711"}, usage=(1_000, 30))


# Your model goes here: ChatOpenAI(model="gpt-4o-mini").
TOOLS = [get_order_status]
llm = ScriptedChatModel(answer, model_name="gpt-4o-mini")

# The same server and tenant as the checkpointer's. Nothing is asked of it before the first run.
backend = RedisBackend.from_url(
    os.environ.get("LANGGRAPH_GUARD_REDIS_URL", "redis://localhost:6379"),
    tenant=os.environ.get("LANGGRAPH_GUARD_REDIS_TENANT", ""),
)
limits = [
    Limit("usd", 5, per="user", window="day"),
    Limit("usd", 0.50, per="session"),
    Limit("model_calls", 25, per="turn"),
]
budget = BudgetCheckNode(Budget(limits), backend)  # the user is the one whom the Server authenticated
guard = ToolGuard(budget=budget)
model = budget.model(llm.bind_tools(TOOLS))


async def call_model(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("budget", budget)
graph.add_node("model", budget.track(call_model))
graph.add_node("tools", guard.node(TOOLS))
graph.add_node("finish", FinishNode())
graph.add_edge(START, "budget")
graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
graph.add_edge("tools", "budget")
graph.add_edge("finish", END)
app = graph.compile()  # without a checkpointer: the Server brings it
