"""A support agent that leaves a hanging order service alone after three time-outs, and never costs more than $0.05."""

import socket

import httpx
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import (
    Budget,
    BudgetCheckNode,
    CircuitBreaker,
    CircuitBreakerNode,
    FinishNode,
    Limit,
    LoopCheckNode,
    MemoryBackend,
    ToolGuard,
    ToolResult,
    contract,
    fuse,
    guard_report,
)
from langgraph_guard.testing import ScriptedChatModel, calls, says

# An order service that hangs: it accepts connections and never says a word.
silent = socket.create_server(("127.0.0.1", 0))
URL, PATIENCE = f"http://127.0.0.1:{silent.getsockname()[1]}", httpx.Timeout(5, read=0.025)
ORDERS = httpx.Client(base_url=URL, timeout=PATIENCE, trust_env=False)


@contract(timeout=5, side_effects="read")  # seconds that a call may take; and calling it changes nothing
@tool
def get_order_status(order_id: str) -> str:
    """Where an order is."""
    return ORDERS.get(f"/orders/{order_id}").text  # a time-out is an exception, and the guard's business


# Your models go here: ChatOpenAI(model="gpt-4o") and a cheap one for the closing answer.
TOOLS = [get_order_status]
PENDING = calls("get_order_status", {"order_id": "4711"}, text="Still pending, I will check again.")
smart = ScriptedChatModel([PENDING], cycle=True, model_name="gpt-4o")
cheap = ScriptedChatModel([says("I do not know where order 4711 is: the order service gives no answer.")], cycle=True)

backend = MemoryBackend()
budget = BudgetCheckNode(Budget([Limit("usd", 0.05, per="session"), Limit("model_calls", 100, per="turn")]), backend)
breaker = CircuitBreaker(backend)  # opens when half of three or more calls within a minute failed, for 30 s at first
guard = ToolGuard(budget=budget, breaker=breaker)
before_tools = fuse(CircuitBreakerNode(breaker), LoopCheckNode())
model = budget.model(smart.bind_tools(TOOLS))


def call_model(state: MessagesState):
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("budget", budget)
graph.add_node("model", budget.track(call_model))
graph.add_node("before_tools", before_tools)
graph.add_node("tools", guard.node(TOOLS))
graph.add_node("finish", FinishNode(budget.model(cheap, landing=True)))
graph.add_edge(START, "budget")
graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="before_tools", end=END, exceeded="finish"))
paths = before_tools.paths(ok="tools", open="finish", revise="budget", halt="finish")
graph.add_conditional_edges("before_tools", before_tools.route, paths)
graph.add_edge("tools", "budget")
graph.add_edge("finish", END)
app = graph.compile(checkpointer=InMemorySaver())

if __name__ == "__main__":
    conversation = {"configurable": {"thread_id": "customer-1"}}
    messages = app.invoke({"messages": [("user", "Where is my order 4711?")]}, conversation)["messages"]
    answers = [message for message in messages if isinstance(message, ToolMessage)]
    kinds = [result.error_type for answer in answers if (result := ToolResult.parse(answer))]
    print(messages[-1].text, "\n")
    print(f"{kinds.count('timeout')} time-outs, and the circuit is {breaker.state('get_order_status').state}")
    print(guard_report(app, conversation))
