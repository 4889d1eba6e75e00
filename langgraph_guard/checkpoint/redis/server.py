"""A `RedisSaver` for LangGraph Server, configured by environment variables. A file beside `langgraph.json` names it:

    # checkpointer.py
    from langgraph_guard.checkpoint.redis.server import create_checkpointer

    # langgraph.json
    "checkpointer": {"path": "./checkpointer.py:create_checkpointer"}

    LANGGRAPH_GUARD_REDIS_URL            redis://, rediss:// or unix://; required
    LANGGRAPH_GUARD_REDIS_TTL_SECONDS    how long a thread lives after it was last used; for good if not set
    LANGGRAPH_GUARD_REDIS_TENANT         and LANGGRAPH_GUARD_REDIS_PREFIX: whose threads these are
    LANGGRAPH_GUARD_REDIS_KEY            seals what is stored: 32 random bytes in base64
    LANGGRAPH_GUARD_REDIS_KEY_ID         of that key, so that it can be changed; "1" if not set
    LANGGRAPH_GUARD_REDIS_OLD_KEYS       id=base64,id=base64: keys to read by
    LANGGRAPH_GUARD_REDIS_ALLOWED_TYPES  package.module:Name,…: classes of yours that are in states. The Server does not
                                         tell the saver what a graph's own types are, as `compile` does

An empty variable is one that is not set. Who needs more (a Cluster, Sentinels, `strict`) writes the same five lines.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.redis import RedisSaver
from langgraph_guard.errors import ConfigError

PREFIX: Final = "LANGGRAPH_GUARD_REDIS_"

_logger: Final = logging.getLogger(__name__)

_VARIABLES: Final = {
    "url": "URL",
    "ttl": "TTL_SECONDS",
    "tenant": "TENANT",
    "prefix": "PREFIX",
    "key": "KEY",
    "key_id": "KEY_ID",
    "old_keys": "OLD_KEYS",
    "allowed_types": "ALLOWED_TYPES",
}
"""What the saver calls them."""


@asynccontextmanager
async def create_checkpointer() -> AsyncIterator[ServerSaver]:
    """A saver as the environment says, whose server was checked; what may lose threads is logged.

    The Server enters this once for each of its event loops.
    """
    async with from_environment(os.environ) as saver:
        report = await saver.acheck()
        report.raise_if_unusable()
        for each in report.of("warning"):
            _logger.warning("redis %s: %s", each.name, each.says)
        yield saver


class ServerSaver(RedisSaver):
    """A `RedisSaver` that also knows the Server's own word for deleting threads."""

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        super().prune(thread_ids, strategy=_known(strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await super().aprune(thread_ids, strategy=_known(strategy))


def _known(strategy: str) -> str:
    return "delete" if strategy == "delete_all" else strategy


def from_environment(environment: Mapping[str, str]) -> ServerSaver:
    """A saver as these variables say. Raises `ConfigError`, which names the variable and never its value."""
    told = {field: environment.get(PREFIX + name, "").strip() for field, name in _VARIABLES.items()}
    named: dict[str, Any] = {field: told[field] for field in ("tenant", "prefix") if told[field]}
    with _by_variable():
        if not told["url"]:
            raise ConfigError("url", "is not set")
        return ServerSaver.from_conn_string(
            told["url"],
            ttl=_seconds(told["ttl"]),
            seal=_seal(told["key"], told["key_id"], told["old_keys"]),
            allowed_types=[_pair("allowed_types", each, ":") for each in _listed(told["allowed_types"])],
            **named,
        )


@contextmanager
def _by_variable() -> Iterator[None]:
    """A setting that is wrong is called what its variable is called."""
    try:
        yield
    except ConfigError as error:
        name = _VARIABLES.get(error.field.partition("[")[0])
        if name is None:
            raise
        raise ConfigError(PREFIX + name, error.problem) from None


def _seconds(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise ConfigError("ttl", "is no number of seconds") from None


def _seal(key: str, key_id: str, old_keys: str) -> Seal | None:
    if key:
        named: dict[str, Any] = {"key_id": key_id} if key_id else {}
        return Seal(key, old_keys=dict(_pair("old_keys", each, "=") for each in _listed(old_keys)), **named)
    if key_id or old_keys:
        raise ConfigError("key", "is not set, and there are settings for it")
    return None


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _pair(field: str, text: str, between: str) -> tuple[str, str]:
    left, _, right = text.partition(between)
    if not left or not right:
        raise ConfigError(field, f"has an entry without {between!r} in its middle")
    return left, right
