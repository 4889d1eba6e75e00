"""Where a node runs, as the desk knows it: its thread, and the namespace of its graph."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig

from langgraph_guard.tools.approvals import Place


def place_of(config: RunnableConfig) -> Place:
    configurable = config.get("configurable") or {}
    return Place.of(str(configurable.get("thread_id") or ""), configurable.get("checkpoint_ns") or "")
