"""Put checkpoints and writes: each in one request, which other runs may share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, get_checkpoint_metadata

from langgraph_guard.checkpoint.cloudflare import session
from langgraph_guard.checkpoint.cloudflare.commands import KVFlow, PutMany
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.layout import Space, head_metadata
from langgraph_guard.checkpoint.cloudflare.names import AN_HOUR, part
from langgraph_guard.checkpoint.cloudflare.reading import config_of
from langgraph_guard.checkpoint.cloudflare.records import Owner, draft_checkpoint, draft_writes
from langgraph_guard.checkpoint.cloudflare.session import AT_LEAST
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Pair
from langgraph_guard.checkpoint.core import ids
from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.errors import ConfigError, StoreRefused

INDEX: str = "1"
"""What stands at a key that says all by itself."""


def put(
    store: Store,
    codec: Codec,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    *,
    plain: bool,
) -> KVFlow[RunnableConfig]:
    """`plain`: whether metadata may stand in keys' metadata, where lists are filtered without reading values."""
    thread, ns, id = ids.thread_id(config), ids.namespace(config), ids.check_checkpoint_id(checkpoint["id"])
    _check_clock(store, id, ids.checkpoint_id(config))
    told, space = _metadata(config, metadata), Space.of(thread, ns)
    key = store.keys.head(space, id, store.stamps.next())
    draft = draft_checkpoint(codec, Owner(thread, ns), ids.checkpoint_id(config), checkpoint, told)
    text = draft.text(codec, key)
    run = run_in(told)
    pairs = [Pair(key, text, head_metadata(len(text), run, told, plain=plain), store.options.ttl)]
    due = run is not None and store.index_due(part(run), space)
    if run is not None and due:
        pairs.append(index_pair(store, part(run), space))
    yield [PutMany(pairs, thread)]
    if run is not None and due:
        store.indexed(part(run), space)
    return config_of(thread, ns, id)


def _check_clock(store: Store, id: str, parent: str | None) -> None:
    if late := session.overtaken(id, parent, store.now()):
        says = (
            f"this machine's clock is {late / AN_HOUR:.1f} h behind that of the machine that wrote the checkpoint"
            " before, so this one would not be found as the latest. Set the clocks (NTP); what was written by a wrong"
            " one, delete_for_runs or delete_thread removes"
        )
        raise StoreRefused(STORE, "put", says)


def put_writes(
    store: Store,
    codec: Codec,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> KVFlow[None]:
    thread, ns, id = ids.thread_id(config), ids.namespace(config), ids.checkpoint_id(config)
    if id is None:
        raise ConfigError("configurable.checkpoint_id", "is missing: writes belong to a checkpoint")
    task, path = ids.check_task_id(task_id), ids.check_task_path(task_path)
    if not writes:
        return
    key = store.keys.write(Space.of(thread, ns), id, store.stamps.next())
    text = draft_writes(codec, Owner(thread, ns), task, path, writes).text(codec, key)
    yield [PutMany([Pair(key, text, {"s": len(text)}, store.options.ttl)], thread, hurry=False)]


def index_pair(store: Store, run: str, space: Space) -> Pair:
    return Pair(store.keys.indexed(run, space), INDEX, None, store.index_ttl)


def run_in(metadata: Mapping[str, Any]) -> str | None:
    run = metadata.get("run_id")
    return run if isinstance(run, str) else None


def _metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """With the config's scalars, as every saver has it; a token is for the reader alone."""
    told = dict(get_checkpoint_metadata(config, metadata))
    if AT_LEAST not in metadata:
        told.pop(AT_LEAST, None)
    return told
