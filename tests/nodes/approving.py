"""An agent that asks people before it pays, for the tests of approvals."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from langgraph_guard import MemoryBackend, ToolGuard, contract
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.rules import ApprovalRule
from langgraph_guard.testing import FakeClock

AT = {"configurable": {"thread_id": "t"}}


class Bank:
    """Pays, and remembers it."""

    def __init__(self) -> None:
        self.paid: list[float] = []
        self.looked: list[str] = []
        self.sent: list[tuple[str, str]] = []

    def tools(self) -> list[Any]:
        """One with side effects, one without, and one that nobody has a contract for."""

        @contract(timeout=5, side_effects="spend")
        @tool
        def pay(amount: float) -> str:
            """Pay."""
            self.paid.append(amount)
            return f"paid {amount}"

        @contract(timeout=5, side_effects="read")
        @tool
        def look(id: str) -> str:
            """Look."""
            self.looked.append(id)
            return f"saw {id}"

        @tool
        def send(to: str, text: str) -> str:
            """Send."""
            self.sent.append((to, text))
            return f"sent to {to}"

        return [pay, look, send]


class Agent:
    """A graph whose model asks for scripted calls, once, and then ends."""

    def __init__(self, rules: Any, *calls: tuple[str, dict[str, Any]], **options: Any) -> None:
        self.clock = FakeClock()
        self.backend = MemoryBackend(tenant="acme", clock=self.clock)
        self.node = HumanApprovalNode(rules, self.backend, **options)
        self.bank = Bank()
        self.independent = bool(options.get("independent"))
        self.calls = calls
        self.saver = InMemorySaver()
        self.app = self.build()

    def build(self) -> Any:
        """The graph, as another process would build it."""
        guard = ToolGuard(approvals=self.node.policy, clock=self.clock)
        asked = [
            {"name": name, "args": args, "id": f"c{number}", "type": "tool_call"}
            for number, (name, args) in enumerate(self.calls, 1)
        ]

        def model(state: MessagesState) -> dict[str, Any]:
            answered = any(isinstance(message, ToolMessage) for message in state["messages"])
            said = AIMessage("done", id="end") if answered else AIMessage("", id="ask", tool_calls=asked)
            return {"messages": [said]}

        graph = StateGraph(MessagesState)
        graph.add_node("model", model)
        graph.add_node("approve", self.node)
        graph.add_node("tools", guard.node(self.bank.tools()))
        graph.add_edge(START, "model")
        graph.add_conditional_edges(
            "model", lambda state: "approve" if state["messages"][-1].tool_calls else END, ["approve", END]
        )
        graph.add_conditional_edges(
            "approve", self.node.route, self.node.paths(execute="tools", revise="model", expired="model")
        )
        if self.independent:
            paths = self.node.paths(pending="approve", ok="model")
            graph.add_conditional_edges("tools", self.node.after_tools, paths)
        else:
            graph.add_edge("tools", "model")
        return graph.compile(checkpointer=self.saver)

    def begin(self) -> Any:
        """Run to the question."""
        result = self.app.invoke({"messages": [HumanMessage("go", id="h")]}, AT, durability="sync")
        return self.question(result)

    def answer(self, answer: Any, **configurable: Any) -> Any:
        """Answer it; what is asked next, if anything is."""
        config = {"configurable": {"thread_id": "t", **configurable}}
        return self.question(self.app.invoke(Command(resume=answer), config, durability="sync"))

    @staticmethod
    def question(result: Any) -> Any:
        """What people are asked."""
        asked = result.get("__interrupt__")
        return asked[0].value if asked else None

    @property
    def answers(self) -> list[str]:
        """What the tools' messages say."""
        found = self.app.get_state(AT).values["messages"]
        return [message.text for message in found if isinstance(message, ToolMessage)]


PAY = ("pay", {"amount": 5.0})
RULES = {"pay": ApprovalRule()}
