"""How much of a list of messages is what it was at the last step.

Within a run the messages are the same objects, after a checkpoint they are equal ones, and either may have been changed
in place meanwhile. So values are compared. For the same objects the loops run in C: a thousand take fifty microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add, itemgetter
from typing import Any, Final, NamedTuple

from langchain_core.messages import BaseMessage

_CONTENT: Final = itemgetter("content")
_CALLS: Final = itemgetter("tool_calls")

DEPTH: Final = 32
"""What is nested deeper equals nothing, and is counted anew each time."""


class Snapshot(NamedTuple):
    """Messages, and copies of what decided their counts: `values` and `contents` have one row per message, `callers`
    and `calls` one per message with tool calls, `quiet` one per message that has none and might get some."""

    messages: list[BaseMessage]
    values: list[dict[str, Any]]
    contents: list[Any]
    callers: list[dict[str, Any]]
    calls: list[Any]
    quiet: list[dict[str, Any]]

    @classmethod
    def of(cls, messages: Sequence[BaseMessage]) -> Snapshot:
        values = [message.__dict__ for message in messages]
        contents = [_copy(content) for content in map(_CONTENT, values)]
        able = [said for said in values if "tool_calls" in said]
        callers = [said for said in able if said["tool_calls"]]
        quiet = [said for said in able if not said["tool_calls"]]
        return cls(list(messages), values, contents, callers, [_copy(calls) for calls in map(_CALLS, callers)], quiet)

    def extended(self, messages: Sequence[Any], keep: int, more: list[BaseMessage]) -> Snapshot:
        """The snapshot of the first `keep` of `messages`, which are unchanged, and more."""
        if keep < len(self.messages) or (keep and messages[keep - 1] is not self.messages[-1]):
            return Snapshot.of([*messages[:keep], *more])
        return Snapshot._make(map(add, self, Snapshot.of(more)))

    def unchanged(self, messages: Sequence[Any]) -> int:
        """How many messages, from the first, say what they said. The others may be anything."""
        known = min(len(self.messages), len(messages))
        if known and _are(messages[:known], self.messages[:known]) and self._stand():
            return known
        return next((at for at, same in enumerate(self._same(messages)) if not same), known)

    def _stand(self) -> bool:
        """Whether nobody changed them since."""
        return (
            list(map(_CONTENT, self.values)) == self.contents
            and list(map(_CALLS, self.callers)) == self.calls
            and not any(map(_CALLS, self.quiet))
        )

    def _same(self, messages: Sequence[Any]) -> Iterator[bool]:
        """Message by message."""
        called = dict(zip(map(id, self.callers), self.calls, strict=True))
        rows = zip(messages, self.messages, self.values, self.contents, strict=False)
        for message, before, said, content in rows:
            yield (
                type(message) is type(before)
                and message.content == content
                and message.name == before.name
                and (message.__dict__.get("tool_calls") or []) == called.get(id(said), [])
            )


NOBODY: Final = Snapshot([], [], [], [], [], [])
"""The snapshot of no messages."""


def _are(messages: Sequence[Any], known: list[BaseMessage]) -> bool:
    """Whether these are the very objects. The ends are looked at first: comparing a list of equal ones is slow."""
    return messages[0] is known[0] and messages[-1] is known[-1] and messages == known


def _copy(value: Any, depth: int = DEPTH) -> Any:
    """A copy down to what cannot change."""
    if depth == 0:
        return object()
    if isinstance(value, dict):
        return {key: _copy(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner, depth - 1) for inner in value]
    return value
