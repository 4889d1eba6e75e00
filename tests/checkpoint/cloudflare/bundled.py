"""The model, for a saver that stores each checkpoint whole.

LangGraph hands a delta channel's value to `put` only at a snapshot. A saver that keeps values by version finds it again
at every checkpoint with that version; a saver of whole checkpoints has it where it was put. Both replay alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple

from langgraph_guard.testing.contracts.saver.harness import place
from langgraph_guard.testing.contracts.saver.model import ModelSaver


class BundledModel(ModelSaver):
    """Gives of each checkpoint the values that it was put with."""

    def __init__(self) -> None:
        super().__init__()
        self._channels: dict[Any, frozenset[str]] = {}

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = super().put(config, checkpoint, metadata, new_versions)
        self._channels[place(stored)] = frozenset(checkpoint["channel_values"])
        return stored

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = super().get_tuple(config)
        return None if found is None else self._bundled(found)

    def list(self, config: RunnableConfig | None, **terms: Any) -> Iterator[CheckpointTuple]:
        yield from map(self._bundled, super().list(config, **terms))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        super().copy_thread(source_thread_id, target_thread_id)
        for (thread, ns, id), channels in list(self._channels.items()):
            if thread == str(source_thread_id):
                self._channels[str(target_thread_id), ns, id] = channels

    def _bundled(self, found: CheckpointTuple) -> CheckpointTuple:
        channels = self._channels[place(found.config)]
        values = {name: value for name, value in found.checkpoint["channel_values"].items() if name in channels}
        return found._replace(checkpoint={**found.checkpoint, "channel_values": values})
