"""The calls of the turn: those that the state remembers, those in the messages, and those that are asked for now."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langgraph_guard.policies.loops import KEPT_CALLS, Call, Rung, digests
from langgraph_guard.state.loops import LoopCall
from langgraph_guard.state.views import OURS, open_calls, opener, read
from langgraph_guard.tools.results.result import ToolResult

NAME: Final = 80
"""Characters of a tool's name that are kept: a model may make up longer ones."""


class Asked(NamedTuple):
    """A call that waits for its answer. `id` is "" when the model gave none."""

    id: str
    call: Call


@dataclass(frozen=True)
class Seen:
    """A turn, as far as anybody saw it."""

    turn: str
    seq: int
    told: Mapping[str, tuple[Rung, int]] = field(default_factory=dict)
    past: Sequence[Call] = ()
    asked: Sequence[Asked] = ()
    round: int = 0
    news: Mapping[str, LoopCall] = field(default_factory=dict)
    """What the state does not know of its calls."""


def seen_in(state: Any, messages: Sequence[BaseMessage]) -> Seen:
    """The turn that `messages` are in. Costs what is new since the last visit."""
    stored = read(state, "guard_loops") or {}
    turn = (read(state, "guard_turn") or {}).get("id") or opener(messages) or ""
    known = stored if stored.get("turn") == turn else {}
    seq = known.get("turn_seq") or (stored.get("turn_seq") or 0) + 1
    told = {tool: (each["rung"], each["round"]) for tool, each in (known.get("told") or {}).items()}
    messages = messages[_start(messages, turn) :]
    if not open_calls(messages):
        return Seen(turn, seq, told)
    before = known.get("calls") or {}
    reading = _Reading(dict(before), read(state, "guard_calls") or {})
    reading.read(messages)
    return _seen(turn, seq, told, before, reading)


def _seen(
    turn: str, seq: int, told: Mapping[str, tuple[Rung, int]], before: Mapping[str, LoopCall], reading: _Reading
) -> Seen:
    in_order = sorted(reading.calls.items(), key=lambda entry: (entry[1]["round"], entry[0]))
    waiting = reading.open()
    past = [_call(record) for key, record in in_order if key not in waiting]
    asked = [Asked(id, _call(reading.calls[key])) for key, id in waiting.items()]
    news = {key: record for key, record in in_order[-KEPT_CALLS:] if before.get(key) != record}
    return Seen(turn, seq, told, past, asked, reading.round, news)


def _start(messages: Sequence[BaseMessage], turn: str) -> int:
    """Where the turn begins: at the message that opened it, or else at the newest that a person wrote."""
    newest = 0
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, HumanMessage) and message.id == turn:
            return at
        if isinstance(message, HumanMessage) and not message.additional_kwargs.get(OURS):
            newest = newest or at
    return newest


@dataclass
class _Reading:
    """Goes once through the messages that are new. A call is known by its message and its place there, because ids of
    calls may be missing, and some models give the same one again and again."""

    calls: dict[str, LoopCall]
    verdicts: Mapping[str, Mapping[str, Any]]
    asked: dict[str, str] = field(default_factory=dict)
    """The ids of the newest message's calls, by what they are known by."""

    waiting: dict[str, deque[str]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    round: int = 0

    def read(self, messages: Sequence[BaseMessage]) -> None:
        for at in range(self._first_unread(messages), len(messages)):
            message = messages[at]
            if isinstance(message, AIMessage):
                self._ask(message, at)
            elif isinstance(message, ToolMessage):
                self._answer(message)

    def open(self) -> dict[str, str]:
        return {key: id for key, id in self.asked.items() if id not in self.answered}

    def _first_unread(self, messages: Sequence[BaseMessage]) -> int:
        """The newest message that is known: its calls may have been answered since."""
        for at in range(len(messages) - 1, -1, -1):
            message = messages[at]
            if isinstance(message, AIMessage) and message.tool_calls and _keys(message, at)[-1] in self.calls:
                return at
        return 0

    def _ask(self, message: AIMessage, at: int) -> None:
        keys = _keys(message, at)
        self.asked, self.waiting, self.answered = {}, defaultdict(deque), set()
        if keys:
            known = self.calls.get(keys[-1])
            self.round = known["round"] if known else self._latest() + 1
        for key, call in zip(keys, message.tool_calls, strict=True):
            self.calls.setdefault(key, _record(self.round, call))
            self.asked[key] = call.get("id") or ""
            self.waiting[self.asked[key]].append(key)

    def _answer(self, message: ToolMessage) -> None:
        id = message.tool_call_id
        self.answered.add(id)
        if keys := self.waiting.get(id):
            key = keys.popleft()
            self.calls[key] = {**self.calls[key], "result": _result(message, self._notes(id))}

    def _latest(self) -> int:
        return max((call["round"] for call in self.calls.values()), default=0)

    def _notes(self, id: str) -> list[str]:
        """What guards had `ToolGuard` write beside the result."""
        notes = [each.get("message") for each in (self.verdicts.get(id) or {}).values()]
        return [note for note in notes if note]


def _keys(message: AIMessage, at: int) -> list[str]:
    mark = digests.digest(message.id or f"at {at}")
    return [f"{mark}-{place:04}" for place in range(len(message.tool_calls))]


def _record(now: int, call: Any) -> LoopCall:
    name, args = call["name"], call["args"]
    exact, near, shape = digests.exact(name, args), digests.near(name, args), digests.shape(name, args)
    return {"round": now, "tool": _line(name), "exact": exact, "near": near, "shape": shape, "result": ""}


def _line(name: str) -> str:
    """A tool's name as a part of one line: the model may have made it up, and a note is known again by its line."""
    return "".join(letter if letter.isprintable() else " " for letter in name[:NAME])


def _result(message: ToolMessage, notes: Sequence[str]) -> str:
    content = _without(message.content, notes)
    result = ToolResult.parse(message.artifact) or ToolResult.parse(content)
    if result is not None and result.error_type:
        return digests.failure(result.error_type)
    if result is not None and result.data is not None:  # else it was put aside, and the content tells of it
        return digests.success([result.data, result.message])
    return digests.failure(None, content) if message.status == "error" else digests.success(content)


def _without(content: Any, notes: Sequence[str]) -> Any:
    """What the tool said, without the lines and blocks that hold a note."""
    if isinstance(content, list):
        blocks = [_without(each, notes) for each in content]
        return [each for each in blocks if each not in ("", {"type": "text", "text": ""})]
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return {**content, "text": _without(content["text"], notes)}
    if not isinstance(content, str) or not any(note in content for note in notes):
        return content
    return "\n".join(line for line in content.splitlines() if not any(note in line for note in notes)).rstrip()


def _call(record: LoopCall) -> Call:
    return Call(
        record["round"], record["tool"], record["exact"], record["near"], record["shape"], record.get("result", "")
    )
