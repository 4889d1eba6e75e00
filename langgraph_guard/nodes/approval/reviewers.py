"""Who decides, and who asked: from the server's authentication, the run's context, or the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.identity import identify
from langgraph_guard.nodes.runs import runtime_of
from langgraph_guard.policies.approval.commands import ANONYMOUS


class Person(NamedTuple):
    """Somebody, and what they are allowed to be."""

    id: str = ANONYMOUS
    roles: tuple[str, ...] = ()


Who = Callable[[RunnableConfig], "Person | str | None"]


def person(config: RunnableConfig) -> Person:
    """The user whom the server authenticated, with their `permissions` as roles; else `user_id` or `user`, and `roles`,
    of the runtime context; else of `configurable`."""
    runtime = runtime_of(config)
    user = getattr(getattr(runtime, "server_info", None), "user", None)
    id = identify(config, ("user",)).get("user") or ANONYMOUS
    for place in (getattr(runtime, "context", None), config.get("configurable") or {}):
        if user is None and (roles := _roles(place)) is not None:
            return Person(id, roles)
    return Person(id, tuple(map(str, getattr(user, "permissions", None) or ())))


def named(who: Who | None, config: RunnableConfig) -> Person:
    """Whom `who` names. Nobody is anonymous."""
    if who is None:
        return person(config)
    said = who(config)
    if said is None or said == "":
        return Person()
    if isinstance(said, str):
        return Person(said)
    if isinstance(said, Person):
        return said
    raise ConfigError("reviewer", f"must return a str or a Person, returned a {type(said).__name__}")


def _roles(place: Any) -> tuple[str, ...] | None:
    roles = place.get("roles") if hasattr(place, "get") else getattr(place, "roles", None)
    if isinstance(roles, str):
        return (roles,)
    return tuple(map(str, roles)) if isinstance(roles, (list, tuple, set, frozenset)) else None
