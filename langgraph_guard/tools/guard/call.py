"""One tool call on its way through the guard, and the message that asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest

from langgraph_guard.state.views import opener, peek, read
from langgraph_guard.tools.contracts import Contracts, ToolContract

KEYS: Final = ("guard_calls", "guard_taint", "guard_tools", "guard_turn")
"""What the guard reads of the state."""


@dataclass(slots=True)
class GuardedCall:
    """A call, what its contract says, and what the state knew when it came.

    `news` is what the state will be told; `made`: the tool was let run, and what it does may have happened.
    `idempotency_key`: what the tool may give to a service, where an outbox knows of the call.
    """

    request: ToolCallRequest
    contract: ToolContract | None
    schema: Any
    known: Mapping[str, Any]
    asked: Asked
    now_ms: int
    news: dict[str, Any] = field(default_factory=dict)
    made: bool = False
    idempotency_key: str | None = None

    @property
    def name(self) -> str:
        return self.request.tool_call["name"]

    @property
    def id(self) -> str:
        return self.request.tool_call.get("id") or ""

    @property
    def args(self) -> dict[str, Any]:
        return self.request.tool_call["args"]

    @property
    def tool(self) -> BaseTool | None:
        return self.request.tool

    @property
    def config(self) -> RunnableConfig:
        return self.request.runtime.config

    @property
    def thread(self) -> str:
        """The thread that the call belongs to; "" where the graph keeps none."""
        info = self.request.runtime.execution_info
        return (info.thread_id if info else None) or ""

    @property
    def step(self) -> tuple[str, ...]:
        """What stays the same when a step runs again: thread and namespace, or the task without a thread."""
        info = self.request.runtime.execution_info
        if info is None:
            return ()
        return (info.thread_id, info.checkpoint_ns.rpartition("|")[0]) if info.thread_id else (info.task_id,)

    @property
    def has_effects(self) -> bool:
        return self.contract is not None and self.contract.has_effects

    @property
    def turn(self) -> tuple[str, int]:
        """Id and number of the turn, as the budget keeps it; else of the human message that opened it."""
        turn = self.known.get("guard_turn") or {}
        return (turn.get("id") or self.asked.turn, turn.get("seq") or 0)

    def used(self) -> Mapping[str, Any]:
        """How the session used this tool so far."""
        return (self.known.get("guard_tools") or {}).get(self.name) or {}


@dataclass(frozen=True, slots=True)
class Asked:
    """The calls of one message, looked at once for all of them."""

    message: AIMessage | None
    turn: str
    rank: Mapping[str, int]
    """How many calls of the same tool come before, by the id of a call."""

    twins: Mapping[str, int]
    """How many calls carry an id, for those ids that more than one does."""

    before: Sequence[Any] = ()
    """What stands before the message."""

    @classmethod
    def of(cls, message: AIMessage | None, turn: str, before: Sequence[Any] = ()) -> Asked:
        calls: Sequence[Any] = message.tool_calls if message else ()
        seen: Counter[str] = Counter()
        rank: dict[str, int] = {}
        for call in calls:
            rank.setdefault(call.get("id") or "", seen[call["name"]])
            seen[call["name"]] += 1
        ids = Counter(call.get("id") or "" for call in calls) if len(rank) < len(calls) else {}
        return cls(message, turn, rank, {id: n for id, n in ids.items() if n > 1}, before)

    def repeats(self, id: str) -> bool:
        """Whether a call of an earlier message had this id, and its answer."""
        return any(isinstance(each, ToolMessage) and each.tool_call_id == id for each in self.before)

    def is_first(self, call: Mapping[str, Any]) -> bool:
        """Whether no call before this one has the same id."""
        id = call.get("id") or ""
        if id not in self.twins or self.message is None:
            return True
        same = [each for each in self.message.tool_calls if (each.get("id") or "") == id]
        return same[0] is call or not any(each is call for each in same)  # `Send` brings a copy of one call, alone.


class Batches:
    """The message that is being worked on, so that 500 calls in it are not each compared with all others."""

    def __init__(self) -> None:
        self._last: tuple[Any, Asked] | None = None

    def of(self, state: Any, messages_key: str) -> Asked:
        messages = state if isinstance(state, list) else read(state, messages_key) or ()
        places = range(len(messages) - 1, -1, -1)
        at = next((at for at in places if isinstance(messages[at], AIMessage)), None)
        message = None if at is None else messages[at]
        last = self._last
        if last is None or last[0] is not message or message is None:
            last = self._last = (message, Asked.of(message, opener(messages) or "", messages[:at]))
        return last[1]


class Whole(dict[str, Any]):
    """All that a graph keeps, read once for all calls of a batch."""


def known_of(request: ToolCallRequest) -> Mapping[str, Any]:
    """The guard's keys, as the state has them."""
    return request.state if isinstance(request.state, Whole) else peek(request.runtime.config, *KEYS)


@dataclass(frozen=True, slots=True)
class Known:
    """A tool, what its contract says, and what arguments it takes."""

    tool: object
    contract: ToolContract | None
    schema: Any


class Tools:
    """Tools that were called, each looked at once."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._known: dict[tuple[int, str], Known] = {}

    def of(self, name: str, tool: BaseTool | None) -> Known:
        known = self._known.get((id(tool), name))
        if known is None or known.tool is not tool:
            known = Known(tool, self._contracts.of(name, tool), getattr(tool, "tool_call_schema", None))
            if tool is not None:  # names of tools that do not exist are the model's, and endless
                self._known[id(tool), name] = known
        return known
