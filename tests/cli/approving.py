"""An agent that asks before it sends, for the approvals command."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langgraph_guard import ApprovalRule, HumanApprovalNode, ToolGuard
from langgraph_guard.policies.approval.commands import Approval, Pending
from langgraph_guard.testing import Reply, ScriptedChatModel, says

graph: Any = None
"""The compiled graph of a test, for `--graph tests.cli.approving:graph`."""


class Agent:
    """Sends what it is asked to, if it may. `sent` has what was sent, `asked_by` as whom its runs ran."""

    def __init__(self, backend: Any, rule: ApprovalRule | None = None, **options: Any) -> None:
        self.backend = backend
        self.sent: list[dict[str, Any]] = []
        self.asked_by: list[str | None] = []
        self.graph = self._compiled(HumanApprovalNode({"send": rule or ApprovalRule()}, backend, **options))

    def ask(self, *batch: dict[str, Any], thread: str = "t", user: str = "ada") -> list[Approval]:
        """Run until somebody is asked; what waits, oldest first."""
        said = {"batch": list(batch) or [{"text": "hello"}]}
        config: Any = {"configurable": {"thread_id": thread, "user_id": user}}
        message = HumanMessage("send it", additional_kwargs=said)
        self.graph.invoke({"messages": [message]}, config, durability="sync")
        return self.waiting()

    def waiting(self) -> list[Approval]:
        (found,) = self.backend.desk.execute([Pending(self.backend.tenant)])
        return list(found)

    def answer(self, thread: str = "t") -> str:
        """What the run said last."""
        state = self.graph.get_state({"configurable": {"thread_id": thread}})
        return str(state.values["messages"][-1].text)

    def _compiled(self, approval: HumanApprovalNode) -> Any:
        @tool
        def send(text: str) -> str:
            """Send a text."""
            self.sent.append({"text": text})
            return "sent"

        def model(state: MessagesState) -> Any:
            return {"messages": [llm.invoke(state["messages"])]}

        def seen(state: MessagesState, config: RunnableConfig) -> None:
            self.asked_by.append(config["configurable"].get("user_id"))

        guard = ToolGuard({"send": {"timeout": 10, "side_effects": "external"}}, approvals=approval.policy)
        llm = ScriptedChatModel(_spoken)
        graph = StateGraph(MessagesState)
        graph.add_node("model", model)
        graph.add_node("approval", approval)
        graph.add_node("tools", guard.node([send]))
        graph.add_node("seen", seen)
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", lambda state: "approval" if state["messages"][-1].tool_calls else "seen")
        paths = approval.paths(execute="tools", revise="model", expired="seen")
        graph.add_conditional_edges("approval", approval.route, paths)
        graph.add_edge("tools", "model")
        graph.add_edge("seen", END)
        return graph.compile(checkpointer=InMemorySaver())


def _spoken(messages: list[Any]) -> Any:
    last = messages[-1]
    if last.type == "tool":
        return says(f"done: {last.text}")
    return Reply(tool_calls=[("send", args) for args in last.additional_kwargs["batch"]])
