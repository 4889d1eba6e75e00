"""Nodes behind a breaker: whatever their kind, with the signature and the annotations that they have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from langgraph_guard.errors import ConfigError
from langgraph_guard.state.views import declare, input_schema_of
from langgraph_guard.tools.breaker.calls import Calls
from langgraph_guard.tools.breaker.permits import Refused

Fallback = Callable[[Any], Any]


class Wrapper:
    """How one node is protected: by which circuit, and what happens instead of a refused call."""

    def __init__(self, calls: Calls, fallback: Fallback | None) -> None:
        self.make = calls.make
        self.amake = calls.amake
        self._fallback = fallback

    def instead(self, refused: Refused, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._fallback is None:
            raise refused.error()
        return self._fallback(_first(args, kwargs))


class BreakerRunnable(Runnable[Any, Any]):
    """A Runnable behind a breaker: a chain, a model, a compiled graph."""

    def __init__(self, node: Runnable[Any, Any], wrapper: Wrapper) -> None:
        self.node = node
        self.name = node.get_name()
        self._invoke = _sync(node.invoke, wrapper)
        self._ainvoke = _async(node.ainvoke, wrapper)
        if (schema := input_schema_of(node)) is not None:
            declare(self, schema)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await self._ainvoke(input, config, **kwargs)


def wrap(node: Any, wrapper: Wrapper) -> Any:
    if isinstance(node, Runnable):
        return BreakerRunnable(node, wrapper)
    called = _called(node)
    wrapped = _async(called, wrapper) if inspect.iscoroutinefunction(called) else _sync(called, wrapper)
    wrapped.__name__ = name_of(node)  # what add_node calls it
    return wrapped


def check_node(node: Any, key: Any, fallback: Any) -> None:
    if not isinstance(node, Runnable) and not callable(node):
        raise ConfigError("node", f"must be a function or a Runnable, is a {type(node).__name__}")
    if key is not None and (not isinstance(key, str) or not key):
        raise ConfigError("key", "must be a non-empty str")
    if fallback is not None and not callable(fallback):
        raise ConfigError("fallback", f"must be a function of the state, is a {type(fallback).__name__}")
    if inspect.iscoroutinefunction(fallback) and not inspect.iscoroutinefunction(_called(node)):
        raise ConfigError("fallback", "is async, and the node is not: nobody could await it")


def name_of(node: Any) -> str:
    """What `add_node` would call it."""
    if isinstance(node, Runnable):
        return node.get_name()
    return getattr(node, "__name__", None) or type(node).__name__


def _called(node: Any) -> Any:
    """What runs when `node` is called: of an object, its `__call__`, which knows whether it is async."""
    if inspect.isroutine(node) or isinstance(node, functools.partial | Runnable):
        return node
    return node.__call__


def _sync(called: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:
    make = wrapper.make

    @functools.wraps(called)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = make(called, args, kwargs)
        return result if type(result) is not Refused else wrapper.instead(result, args, kwargs)

    return wrapped


def _async(called: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:
    make = wrapper.amake

    @functools.wraps(called)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await make(called, args, kwargs)
        if type(result) is not Refused:
            return result
        other = wrapper.instead(result, args, kwargs)
        return await other if inspect.isawaitable(other) else other

    return wrapped


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The state: a node's first argument, however it was passed."""
    return args[0] if args else next(iter(kwargs.values()), None)
