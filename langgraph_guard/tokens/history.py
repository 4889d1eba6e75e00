"""The running total of a conversation: a step counts what is new, and only compares the rest.

Comparing goes over columns of values, because that is the loop that runs in C: a thousand unchanged messages take some
fifty microseconds, whether they are the same objects or came back from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_guard.tokens.fingerprint import fingerprint, joined
from langgraph_guard.tokens.tally import NOTHING, Tally

START: Final = b""
"""The chain of no messages at all."""


class Columns(NamedTuple):
    """What of the messages decides their counts."""

    kinds: list[Any]
    names: list[Any]
    contents: list[Any]
    calls: list[Any]

    @classmethod
    def of(cls, messages: Sequence[BaseMessage]) -> Columns:
        said = [message.__dict__ for message in messages]
        return cls(
            [type(message) for message in messages],
            [values.get("name") for values in said],
            [values.get("content") for values in said],
            [values.get("tool_calls") for values in said],
        )

    def extended(self, keep: int, other: Columns) -> Columns:
        """The first `keep` rows of this, and copies of the later rows of `other`: messages may be changed in place."""
        return Columns(*(mine[:keep] + _copies(theirs[keep:]) for mine, theirs in zip(self, other, strict=True)))

    def common(self, other: Columns) -> int:
        """How many rows are the same."""
        return min(_common(mine, theirs) for mine, theirs in zip(self, other, strict=True))


@dataclass(frozen=True, slots=True)
class History:
    """`sums[n]` and `chain[n]` are of the first n messages: their tokens, and what they say in sixteen bytes. `reports`
    are the places of AI messages that carry usage. Never changed, only continued."""

    columns: Columns = field(default_factory=lambda: Columns([], [], [], []))
    sums: list[Tally] = field(default_factory=lambda: [NOTHING])
    chain: list[bytes] = field(default_factory=lambda: [START])
    reports: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.chain) - 1

    @property
    def total(self) -> Tally:
        return self.sums[-1]

    def begins(self, other: History) -> bool:
        """Whether `other` goes on where this ends."""
        return len(self) < len(other) and other.chain[len(self)] == self.chain[-1]

    def continued(self, messages: Sequence[BaseMessage], weigh: Callable[[bytes, BaseMessage], Tally]) -> History:
        """The history of `messages`, of which the common beginning is not counted again."""
        columns = Columns.of(messages)
        keep = self.columns.common(columns)
        if keep == len(self) == len(messages):
            return self
        sums, chain = self.sums[: keep + 1], self.chain[: keep + 1]
        reports = [at for at in self.reports if at < keep]
        for at, message in enumerate(messages[keep:], keep):
            said = fingerprint(message)
            sums.append(sums[-1].plus(weigh(said, message)))
            chain.append(joined(chain[-1], said))
            if isinstance(message, AIMessage) and message.usage_metadata:
                reports.append(at)
        return History(self.columns.extended(keep, columns), sums, chain, reports)


def _common(mine: list[Any], theirs: list[Any]) -> int:
    length = min(len(mine), len(theirs))
    if mine[:length] == theirs[:length]:
        return length
    pairs = enumerate(zip(mine, theirs, strict=False))
    return next((at for at, (one, other) in pairs if one is not other and one != other), length)


def _copies(values: Iterable[Any]) -> list[Any]:
    return [_copy(value) for value in values]


def _copy(value: Any, depth: int = 32) -> Any:
    """A copy down to what cannot change; what is nested absurdly deep equals nothing and is counted anew each time."""
    if depth == 0:
        return object()
    if isinstance(value, dict):
        return {key: _copy(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner, depth - 1) for inner in value]
    return value
