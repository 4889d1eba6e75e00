"""Tools held back: one that is about to run in a replay does not, whoever calls it."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_guard.errors import ReplayMiss
from langgraph_guard.tools.content.artifacts import READ_ARTIFACT


class HeldBack(BaseCallbackHandler):
    """Raises `ReplayMiss` when a tool begins: one behind a `ToolGuard` is answered before, so this one is behind none.

    Some nodes turn what a tool raises into a message; `missed` has it for whoever runs the graph.
    """

    raise_error = True
    run_inline = True

    def __init__(self) -> None:
        self.missed: ReplayMiss | None = None

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        name = str((serialized or {}).get("name") or kwargs.get("name") or "tool")
        if name == READ_ARTIFACT:
            return  # It reads the state, and touches nothing.
        self.missed = ReplayMiss(name)
        raise self.missed
