"""A support agent that no hanging order service can make expensive: $0.05 per conversation, whatever happens."""

import socket

import httpx
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_guard import Budget, BudgetCheckNode, FinishNode, Limit, MemoryBackend, guard_report
from langgraph_guard.testing import ScriptedChatModel, calls, says

# An order service that hangs: it accepts connections and never says a word.
silent = socket.create_server(("127.0.0.1", 0))
ORDERS = httpx.Client(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.02, trust_env=False)


@tool
def get_order_status(order_id: str) -> str:
    """Where an order is."""
    try:
        return ORDERS.get(f"/orders/{order_id}").text
    except httpx.TimeoutException:
        return "Error: timeout"


# Your models go here: ChatOpenAI(model="gpt-4o") and a cheap one for the closing answer.
PENDING = calls("get_order_status", {"order_id": "4711"}, text="Still pending, I will check again.")
smart = ScriptedChatModel([PENDING], cycle=True, model_name="gpt-4o")
cheap = ScriptedChatModel([says("I do not know where order 4711 is: the order service gives no answer.")], cycle=True)

limits = [Limit("usd", 0.05, per="session"), Limit("model_calls", 100, per="turn")]
budget = BudgetCheckNode(Budget(limits), MemoryBackend())
model = budget.model(smart.bind_tools([get_order_status]))


def call_model(state: MessagesState):
    return {"messages": [model.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("budget", budget)
graph.add_node("model", budget.track(call_model))
graph.add_node("tools", ToolNode([get_order_status]))
graph.add_node("finish", FinishNode(budget.model(cheap, landing=True)))
graph.add_edge(START, "budget")
graph.add_conditional_edges("budget", budget.route, budget.paths(ok="model", exceeded="finish"))
graph.add_conditional_edges("model", budget.after_model, budget.paths(tools="tools", end=END, exceeded="finish"))
graph.add_edge("tools", "budget")
graph.add_edge("finish", END)
app = graph.compile(checkpointer=InMemorySaver())

if __name__ == "__main__":
    conversation = {"configurable": {"thread_id": "customer-1"}}
    messages = app.invoke({"messages": [("user", "Where is my order 4711?")]}, conversation)["messages"]
    print(messages[-1].text, "\n")
    print(sum(isinstance(message, ToolMessage) for message in messages), "time-outs,", guard_report(app, conversation))
