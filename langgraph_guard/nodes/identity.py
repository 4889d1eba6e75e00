"""Whose money it is: from the server's authentication, the run's context, or the configuration, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.runs import runtime_of

Identify = Callable[[RunnableConfig], Mapping[str, Any]]
"""What `identity=` takes: from a run's config to ids by scope, such as `{"user": "42", "team": "blue"}`.

A scope that it leaves out, or gives as `None` or `""`, is unknown: limits on it fail closed.
"""


def identify(config: RunnableConfig, scopes: tuple[str, ...]) -> dict[str, str]:
    """The ids that a run carries by itself, for `scopes`.

    `session` is the thread id. For every other scope: the authenticated user of the server (`user` only), then the
    attribute or key `<scope>_id` or `<scope>` of the runtime context, then of `configurable`.
    """
    runtime = runtime_of(config)
    configurable = config.get("configurable") or {}
    ids = {"session": configurable.get("thread_id")}
    user = getattr(getattr(runtime, "server_info", None), "user", None)
    places = (getattr(runtime, "context", None), configurable)
    for scope in scopes:
        ids[scope] = getattr(user, "identity", None) if scope == "user" else None
        ids[scope] = ids[scope] or _look(places, f"{scope}_id", scope)
    return checked(ids)


def checked(ids: Mapping[str, Any]) -> dict[str, str]:
    """Ids as strings, without the unknown ones. Raises `ConfigError` for what is no id."""
    found = {}
    for scope, id in ids.items():
        if isinstance(id, bool) or not isinstance(id, str | int | UUID | None):
            raise ConfigError(f"identity[{scope!r}]", f"must be a str, an int or a UUID, is a {type(id).__name__}")
        if id not in (None, ""):
            found[scope] = str(id)
    return found


def _look(places: tuple[Any, ...], *names: str) -> Any:
    for place in places:
        for name in names:
            value = place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)
            if value is not None:
                return value
    return None
