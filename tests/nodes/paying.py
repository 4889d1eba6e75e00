"""An agent that pays when somebody agrees, as processes run it: a file of payments, shared stores, a moment to die.

Run as a program it is such a process. It takes one JSON argument (`Terms`), answers `ready`, and for each line that it
is sent, `{"thread": …, "answer": …}`, it resumes that thread and says what the tools answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from langgraph_guard import ToolGuard, contract
from langgraph_guard.backends import SystemClock
from langgraph_guard.nodes.approval import HumanApprovalNode
from langgraph_guard.policies.approval.rules import ApprovalRule
from langgraph_guard.policies.outbox import Claim, Done

Moment = Literal["", "before_claim", "after_claim", "after_effect", "after_done"]
MOMENTS: tuple[Moment, ...] = ("before_claim", "after_claim", "after_effect", "after_done")


@dataclass(frozen=True)
class Terms:
    """What a process works with. `store`: a path, or a Redis URL. `dies`: when; `later`: seconds that its clock is
    ahead. `is_async`: it resumes by `ainvoke`."""

    store: str
    payments: str
    durability: str = "sync"
    dies: Moment = ""
    later: float = 0.0
    is_async: bool = False


class Ahead(SystemClock):
    """A clock of another day."""

    def __init__(self, later: float) -> None:
        self._later = later

    def now(self) -> float:
        return super().now() + self._later


class Dying:
    """An outbox whose process is killed at a moment, exactly."""

    def __init__(self, outbox: Any, moment: Moment) -> None:
        self._outbox = outbox
        self._moment = moment

    @property
    def instant(self) -> bool:
        return bool(self._outbox.instant)

    def execute(self, commands: Sequence[Any]) -> list[Any]:
        self._before(commands)
        replies: list[Any] = self._outbox.execute(commands)
        self._after(commands)
        return replies

    async def aexecute(self, commands: Sequence[Any]) -> list[Any]:
        self._before(commands)
        replies: list[Any] = await self._outbox.aexecute(commands)
        self._after(commands)
        return replies

    def _before(self, commands: Sequence[Any]) -> None:
        self._die("before_claim", commands, Claim)
        self._die("after_effect", commands, Done)

    def _after(self, commands: Sequence[Any]) -> None:
        self._die("after_claim", commands, Claim)
        self._die("after_done", commands, Done)

    def _die(self, moment: Moment, commands: Sequence[Any], kind: type) -> None:
        if moment == self._moment and any(isinstance(each, kind) for each in commands):
            os.kill(os.getpid(), signal.SIGKILL)


class DyingBackend:
    """A backend with such an outbox."""

    def __init__(self, backend: Any, moment: Moment) -> None:
        self.tenant, self.clock = backend.tenant, backend.clock
        self.ledger, self.breakers, self.desk = backend.ledger, backend.breakers, backend.desk
        self.outbox = Dying(backend.outbox, moment)


def backend_of(terms: Terms) -> Any:
    """The shared desk and outbox."""
    clock = Ahead(terms.later)
    if terms.store.startswith("redis"):
        from langgraph_guard.backends.redis import RedisBackend

        backend: Any = RedisBackend.from_url(terms.store, clock=clock if terms.later else None)
    else:
        from langgraph_guard.backends.sqlite import SqliteBackend

        backend = SqliteBackend(f"{terms.store}.desk", clock=clock)
    return DyingBackend(backend, terms.dies)


def saver_of(terms: Terms) -> Any:
    """The shared checkpoints."""
    if terms.store.startswith("redis"):
        from langgraph_guard.checkpoint.redis import RedisSaver

        return RedisSaver.from_conn_string(terms.store)
    from langgraph.checkpoint.sqlite import SqliteSaver

    return SqliteSaver(sqlite3.connect(f"{terms.store}.runs", check_same_thread=False, timeout=120))


@asynccontextmanager
async def asaver_of(terms: Terms) -> AsyncIterator[Any]:
    """The same checkpoints, for an event loop."""
    if terms.store.startswith("redis"):
        async with saver_of(terms) as saver:
            yield saver
        return
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(f"{terms.store}.runs", timeout=120) as connection:
        yield AsyncSqliteSaver(connection)


def app_of(terms: Terms, backend: Any, saver: Any) -> Any:
    """The graph, as each process builds it."""

    @contract(timeout=120, side_effects="spend")
    @tool
    def pay(amount: int, thread: str) -> str:
        """Pay: a line in the file, on the disk."""
        with Path(terms.payments).open("a") as file:
            file.write(f"{thread}\n")
            file.flush()
            os.fsync(file.fileno())
        return f"paid {amount}"

    node = HumanApprovalNode({"pay": ApprovalRule()}, backend)
    guard = ToolGuard(approvals=node.policy)

    def model(state: MessagesState) -> dict[str, Any]:
        last = state["messages"][-1]
        if isinstance(last, ToolMessage):
            return {"messages": [AIMessage("done", id="end")]}
        call = {"name": "pay", "args": {"amount": 5, "thread": last.text}, "id": "c1", "type": "tool_call"}
        return {"messages": [AIMessage("", id="ask", tool_calls=[call])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", model)
    graph.add_node("approve", node)
    graph.add_node("tools", guard.node([pay]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges(
        "model", lambda state: "approve" if state["messages"][-1].tool_calls else END, ["approve", END]
    )
    graph.add_conditional_edges("approve", node.route, node.paths(execute="tools", revise="model", expired="model"))
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=saver)


class Worker:
    """A graph on the shared stores."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.backend = backend_of(terms)
        self.app = app_of(terms, self.backend, saver_of(terms))

    def ask(self, thread: str) -> None:
        """Run a thread to its question."""
        self.app.invoke({"messages": [HumanMessage(thread, id="h")]}, at(thread), durability="sync")

    def resume(self, thread: str, answer: Any) -> list[str]:
        """Answer it; what the tools answered then."""
        if self.terms.is_async:
            return asyncio.run(self._resume(thread, answer))
        state = self.app.invoke(Command(resume=answer), at(thread, str(answer)), durability=self.terms.durability)
        return told(state)

    async def _resume(self, thread: str, answer: Any) -> list[str]:
        async with asaver_of(self.terms) as saver:
            app = app_of(self.terms, self.backend, saver)
            config = at(thread, str(answer))
            state = await app.ainvoke(Command(resume=answer), config, durability=self.terms.durability)
            return told(state)

    def recover(self, thread: str) -> list[str]:
        """Go on after a crash, with the answer if the run has forgotten it."""
        waiting = self.app.get_state(at(thread)).interrupts
        state = self.app.invoke(Command(resume=True) if waiting else None, at(thread), durability="sync")
        return told(state)

    def paid(self, thread: str) -> int:
        """How often it was paid."""
        file = Path(self.terms.payments)
        return file.read_text().splitlines().count(thread) if file.exists() else 0


def at(thread: str, who: str = "ann") -> Any:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread, "user_id": who}}


def told(state: Any) -> list[str]:
    """What the tools' messages say."""
    return [message.text for message in state["messages"] if isinstance(message, ToolMessage)]


def main() -> None:
    """A process that resumes what it is told to."""
    worker = Worker(Terms(**json.loads(sys.argv[1])))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(worker.resume(job["thread"], job["answer"])), flush=True)


def arguments(terms: Terms) -> list[str]:
    """How to start such a process."""
    return [sys.executable, "-m", "tests.nodes.paying", json.dumps(asdict(terms))]


if __name__ == "__main__":
    main()
