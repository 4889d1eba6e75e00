"""The summary as a message: a text for models, and beside it the entries that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import BaseMessage, HumanMessage

from langgraph_guard.policies.compaction.summary import VERSION, Summary
from langgraph_guard.state.views import OURS

KEY: Final = "guard_summary"
"""The `additional_kwargs` key of the entries: they travel with the message, into subgraphs and other threads."""

SOURCE: Final = "summarization"


@dataclass(frozen=True, slots=True)
class Memo:
    """A summary, and what is known of the count of the history that it stands in.

    `stale`: id of the newest answer that was there when it was written: what that one and those before it report of
    their usage is of another history. `overhead`: tokens that the provider counted then beyond what could be seen, such
    as a system prompt and tools. `upto`: id of the newest message that it stands for, `kept`: ids of those before that
    one which it does not stand for. A graph around this one may hand in again what was removed here.
    """

    summary: Summary
    stale: str = ""
    overhead: int = 0
    upto: str = ""
    kept: tuple[str, ...] = ()

    def message(self, id: str | None) -> HumanMessage:
        known = {"stale": self.stale, "overhead": self.overhead, "upto": self.upto, "kept": [*self.kept]}
        record = {**self.summary.to_dict(), **known}
        # A message as of a person, since providers take system messages at the front alone; marked, so that it opens
        # no turn.
        return HumanMessage(self.summary.render(), id=id, additional_kwargs={OURS: SOURCE, KEY: record})


def record_in(message: BaseMessage) -> Mapping[str, Any] | None:
    """What a summary says of itself, unread; `None` for any other message, also for one of a person that says so."""
    record = message.additional_kwargs.get(KEY)
    if not isinstance(record, Mapping) or message.additional_kwargs.get(OURS) != SOURCE:
        return None
    return record if isinstance(message, HumanMessage) and record.get("v") == VERSION else None


def memo_in(message: BaseMessage | None) -> Memo:
    """The memo that `message` carries; an empty one without a message, or when it carries none that can be read."""
    record = record_in(message) if message is not None else None
    if record is None:
        return Memo(Summary())
    overhead, kept = record.get("overhead"), record.get("kept")
    return Memo(
        Summary.from_dict(record) or Summary(),
        _text(record.get("stale")),
        overhead if type(overhead) is int and overhead >= 0 else 0,
        _text(record.get("upto")),
        tuple(each for each in kept if isinstance(each, str)) if isinstance(kept, list) else (),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
