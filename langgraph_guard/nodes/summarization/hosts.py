"""How a rewritten history is told to the graph: by ids where its reducer knows them, and else as a whole.

By ids, the summary takes the slot of the first message that it stands for, and the others are removed one by one. So
what another node appends in the same superstep stays, which it would not if all messages were removed and written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.delta import DeltaChannel
from langgraph.types import Overwrite

from langgraph_guard.nodes.summarization.draft import Draft
from langgraph_guard.nodes.summarization.reading import ids_are_unique
from langgraph_guard.state.views import READ

Way = Literal["ids", "overwrite", "plain"]


def rewritten(draft: Draft, way: Way) -> Any:
    """The update of the messages key that makes the history what the draft is."""
    changed = draft.changed()
    if way == "ids" and all(draft.given[at].id for at in changed) and ids_are_unique(draft.given):
        return _by_ids(draft, changed)
    return draft.result() if way == "plain" else Overwrite(draft.result())


def way_of(config: RunnableConfig, key: str) -> Way:
    """What the channel of `key` understands. Outside a graph: what `add_messages` does.

    `overwrite`: its reducer removes nothing, so a message that another node writes meanwhile is lost. `plain`: there is
    no reducer.
    """
    channel = _channel(config, key)
    if isinstance(channel, BinaryOperatorAggregate):
        return "ids" if _removes(lambda: channel.operator(_probe(), _removal())) else "overwrite"
    if isinstance(channel, DeltaChannel):
        return "ids" if _removes(lambda: channel.reducer(_probe(), [_removal()])) else "overwrite"
    return "ids" if channel is None else "plain"


def _by_ids(draft: Draft, changed: Sequence[int]) -> list[BaseMessage]:
    new = [draft.messages[at] for at in changed]
    gone = [draft.given[at].id for at in changed if draft.messages[at] is None]
    return [*(message for message in new if message is not None), *(RemoveMessage(id) for id in gone if id)]


def _channel(config: RunnableConfig, key: str) -> Any:
    """The channel of `key`. The function by which a task reads state carries the channels with it."""
    look = (config.get("configurable") or {}).get(READ)
    tables = (each for each in getattr(look, "args", ()) if isinstance(each, Mapping))
    return next((table[key] for table in tables if key in table), None)


def _probe() -> list[BaseMessage]:
    return [HumanMessage("", id="probe-1"), HumanMessage("", id="probe-2")]


def _removal() -> list[BaseMessage]:
    return [RemoveMessage("probe-1")]


def _removes(reduced: Any) -> bool:
    """Whether a reducer removes what it is asked to. It is a pure function, so it may be tried."""
    try:
        return [message.id for message in reduced()] == ["probe-2"]
    except Exception:  # a reducer of the host's may want other values
        return False
