"""What approvals and the outbox add to a tool call, in memory, in a file and on Redis; and a whole approval.

A graph answers a message with one call of a tool that has side effects and returns at once. The peer is the same
ToolGuard without approvals, which knows side effects in its own process alone. Then the call is one that was approved
before: the approval node looks at the desk, and the guard compares what is to run with what was approved. On Redis time
is wall time, and round trips are counted by a proxy between.

A whole approval is proposing, answering and executing, with `InMemorySaver`, against LangChain's
HumanInTheLoopMiddleware, which keeps no desk, no record and no outbox.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from benchmarks.measure import Batch, Row, Timing, interleaved, show
from benchmarks.servers import HOST, servers
from langgraph_guard import ApprovalRule, HumanApprovalNode, MemoryBackend, SqliteBackend, ToolGuard
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.policies.approval.actions import Action, approval_id
from langgraph_guard.policies.approval.commands import Decide, Request
from langgraph_guard.policies.approval.rules import Requirement
from langgraph_guard.testing import FaultProxy, ScriptedChatModel, calls, says

CALLS: Final = 10
THREAD: Final = "one"
CONFIG: Final[Any] = {"configurable": {"thread_id": THREAD}}
CONTRACT: Final = {"send": {"timeout": 30, "side_effects": "external"}}
RULES: Final = {"send": ApprovalRule()}

TRIPS: Final = 2
"""To claim an execution, and to say how it ended."""


@tool
def send(text: str) -> str:
    """Sends a text."""
    return "sent"


def rows(rounds: int = 30) -> Iterator[Row]:
    yield from on("memory", MemoryBackend(), rounds, time.process_time)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, SqliteBackend(Path(folder) / "guard.db") as backend:
        yield from on("sqlite", backend, rounds, time.process_time)
    with redis() as (near, far, proxy):
        yield from on("redis", near, rounds, time.perf_counter)
        yield from round_trips(far, proxy)
    yield whole(rounds)


def on(store: str, backend: Any, rounds: int, clock: Callable[[], float]) -> Iterator[Row]:
    approval = HumanApprovalNode(RULES, backend)
    guard = ToolGuard(CONTRACT, approvals=approval.policy)
    once = ToolGuard(CONTRACT, approvals=HumanApprovalNode({}, backend).policy)
    total = (rounds + 1) * CALLS
    yield compared(f"{store}: the outbox", ours(once, backend), rounds, clock)
    yield compared(f"{store}: the outbox, of an approved call", ours(guard, backend, total), rounds, clock)
    yield compared(f"{store}: the same, and the approval node", ours(guard, backend, total, approval), rounds, clock)


def compared(what: str, batch: Batch, rounds: int, clock: Callable[[], float]) -> Row:
    timing = interleaved(batch, ours(ToolGuard(CONTRACT)), rounds=rounds, calls=CALLS, clock=clock)
    return row(f"approvals: {what}, against the same guard without approvals", timing)


def row(claim: str, timing: Timing) -> Row:
    added = f"{'+' if timing.added > 0 else '-'}{show(abs(timing.added))}"
    return Row(claim, f"{show(timing.ours)} ({added})", show(timing.peer), timing.ratio)


# One call


def ours(guard: ToolGuard, backend: Any = None, approved: int = 0, node: HumanApprovalNode | None = None) -> Batch:
    """Runs of a graph that answers a call of its own each. The first `approved` of them are approved beforehand."""
    app, numbers = answering(guard, node), calls_of()
    if approved:
        numbers = iter([agreed(backend, next(numbers)) for _ in range(approved)])

    def batch(times: int) -> None:
        for _ in range(times):
            app.invoke({"messages": [HumanMessage("send it", id="h"), next(numbers)]}, CONFIG)

    return batch


_numbers = count()


def calls_of() -> Iterator[AIMessage]:
    """Messages with a call that nobody made before."""
    for number in _numbers:
        call = {"name": "send", "args": {"text": "hello"}, "id": f"call-{number}", "type": "tool_call"}
        yield AIMessage("", tool_calls=[call], id=f"a{number}")


def answering(guard: ToolGuard, node: HumanApprovalNode | None) -> Any:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", guard.node([send]))
    graph.add_edge("tools", END)
    if node is None:
        graph.add_edge(START, "tools")
        return graph.compile()
    graph.add_node("approval", node)
    graph.add_edge(START, "approval")
    graph.add_conditional_edges("approval", node.route, node.paths(execute="tools", revise=END, expired=END))
    return graph.compile()


def agreed(backend: Any, message: AIMessage) -> AIMessage:
    """The message, whose call somebody approved."""
    (call,) = message.tool_calls
    action = Action(call["name"], call["args"])
    id = approval_id(backend.tenant, THREAD, "", call["id"] or "", action.digest)
    told = (id, backend.tenant, THREAD, "", call["id"] or "", action.tool, action.text, action.digest, "require")
    request = Request(*told, requirement=Requirement(), requested_by="ada")
    backend.desk.execute([request, Decide(backend.tenant, id, "bob", "approve", action.digest)])
    return message


# On Redis


@contextmanager
def redis() -> Iterator[tuple[RedisBackend, RedisBackend, FaultProxy]]:
    """A backend on a server, and another one behind a proxy that counts."""
    with servers() as there, ExitStack() as stack:
        port = there.ports["redis"]
        proxy = stack.enter_context(FaultProxy(HOST, port))
        near, far = (
            stack.enter_context(RedisBackend.from_url(f"redis://{HOST}:{each}", deadline=60.0))
            for each in (port, proxy.port)
        )
        yield near, far, proxy


def round_trips(backend: RedisBackend, proxy: FaultProxy) -> Iterator[Row]:
    """Of one call, connected and with its scripts loaded."""
    approval = HumanApprovalNode(RULES, backend)
    guard = ToolGuard(CONTRACT, approvals=approval.policy)
    once = ToolGuard(CONTRACT, approvals=HumanApprovalNode({}, backend).policy)
    for what, batch, goal in (
        ("a call with side effects", ours(once, backend), TRIPS),
        ("a call with side effects that was approved", ours(guard, backend, 2), TRIPS),
        ("the same, and the approval node", ours(guard, backend, 2, approval), TRIPS + 1),
    ):
        batch(1)
        proxy.forget()
        batch(1)
        trips = proxy.round_trips
        yield Row(f"approvals: redis: round trips of {what}", f"{trips}", "0", trips / goal, f"≤ {goal}", trips <= goal)


# A whole approval


def whole(rounds: int) -> Row:
    timing = interleaved(approvals_of(our_agent()), approvals_of(their_agent()), rounds=rounds, calls=CALLS)
    return row("approvals: memory: propose, approve, execute, against HumanInTheLoopMiddleware", timing)


def approvals_of(app: Any) -> Batch:
    numbers = count()

    def batch(times: int) -> None:
        for _ in range(times):
            config: Any = {"configurable": {"thread_id": str(next(numbers))}}
            app.invoke({"messages": [HumanMessage("send it", id="h")]}, config, durability="sync")
            said = app.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config, durability="sync")
            assert said["messages"][-2].text == "sent"

    return batch


def model() -> ScriptedChatModel:
    return ScriptedChatModel([calls("send", {"text": "hello"}, usage=None), says("Done.", usage=None)], cycle=True)


def our_agent() -> Any:
    approval = HumanApprovalNode(RULES, MemoryBackend())
    llm = model()
    graph: Any = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [llm.invoke(state["messages"])]})
    graph.add_node("approval", approval)
    graph.add_node("tools", ToolGuard(CONTRACT, approvals=approval.policy).node([send]))
    graph.add_edge(START, "model")
    calls_or_end = lambda state: "approval" if state["messages"][-1].tool_calls else END  # noqa: E731
    graph.add_conditional_edges("model", calls_or_end, ["approval", END])
    paths = approval.paths(execute="tools", revise="model", expired=END)
    graph.add_conditional_edges("approval", approval.route, paths)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


def their_agent() -> Any:
    gate: Any = HumanInTheLoopMiddleware(interrupt_on={"send": True})
    return create_agent(model(), [send], middleware=[gate], checkpointer=InMemorySaver())
