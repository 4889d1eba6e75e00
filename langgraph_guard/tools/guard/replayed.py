"""A call of a replay: what it was answered with when it was made is its answer, and nothing runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_guard.errors import ReplayMiss
from langgraph_guard.events import emit
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT
from langgraph_guard.tools.guard import checks
from langgraph_guard.tools.guard.answer import Answer, replace_message
from langgraph_guard.tools.guard.call import GuardedCall
from langgraph_guard.tools.guard.shaping import stranger

REPLAY: Final = "guard_replay"
"""Where a replay's config has its `Recordings`: `config["configurable"]["guard_replay"]`."""

NOTE: Final = "[note] "


class Recordings:
    """What the tool calls of a thread were answered with: by the call's id, else by tool and arguments.

    Calls that are alike are answered in the order in which they were made; after the last, with the last.
    """

    def __init__(self, histories: Iterable[Sequence[BaseMessage]]) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, tuple[str, ToolMessage]] = {}
        self._alike: dict[str, list[ToolMessage]] = {}
        for messages in histories:
            self._learn(messages)
        for key, message in self._by_id.values():
            self._alike.setdefault(key, []).append(message)

    def _learn(self, messages: Sequence[BaseMessage]) -> None:
        asked: dict[str | None, str] = {}
        for message in messages:
            if isinstance(message, AIMessage):
                asked.update({call["id"]: _key(call) for call in message.tool_calls})
            elif isinstance(message, ToolMessage) and message.tool_call_id in asked:
                self._by_id.setdefault(message.tool_call_id, (asked[message.tool_call_id], message))

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, call: Mapping[str, Any]) -> ToolMessage | None:
        """What `call` was answered with; some models name their calls alike, so an id alone does not tell."""
        key = _key(call)
        known = self._by_id.get(call.get("id") or "")
        with self._lock:
            alike = self._alike.get(key) or []
            if known is not None and known[0] == key:
                if len(alike) > 1 and known[1] in alike:
                    alike.remove(known[1])
                return known[1]
            if not alike:
                return None
            return alike.pop(0) if len(alike) > 1 else alike[0]


def replayed(call: GuardedCall) -> Answer | None:
    """The recorded answer to a call of a replay; `None` outside of one. Raises `ReplayMiss` for a call without one."""
    recordings = (call.config.get("configurable") or {}).get(REPLAY)
    if not isinstance(recordings, Recordings):
        return None
    found = recordings.of(call.request.tool_call)
    if found is None:
        if call.name == READ_ARTIFACT:
            return None  # It reads the state, and touches nothing.
        raise ReplayMiss(call.name)
    checks.count(call)
    emit("tool.replayed", tool=call.name, status=found.status)
    message = replace_message(_without_notes(found), id=None, tool_call_id=call.id)
    if strange := stranger(call, message):
        call.news["guard_taint"] = [strange]
    return Answer(message, by="guard")  # It was shaped when it was recorded.


def _without_notes(message: ToolMessage) -> ToolMessage:
    """Guards write their notes anew, if they still have them."""
    if not isinstance(message.content, str) or NOTE not in message.content:
        return message
    lines = message.content.split("\n")
    while lines and lines[-1].startswith(NOTE):
        lines.pop()
    return replace_message(message, content="\n".join(lines).removesuffix("\n"))


def _key(call: Mapping[str, Any]) -> str:
    return json.dumps([call["name"], call["args"]], sort_keys=True, default=repr)
