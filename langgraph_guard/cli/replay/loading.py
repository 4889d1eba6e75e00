"""The graph that is named, and whether its tools can be held back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import iscoroutinefunction, signature
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from langgraph_guard.cli.replay.reach import is_guarded
from langgraph_guard.errors import ConfigError


def loaded(name: str) -> Pregel[Any, Any, Any, Any]:
    """The graph at `module:graph`. Raises `ConfigError` when there is none that can be replayed."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigError("graph", "must be MODULE:GRAPH, such as app:graph")
    found = _attribute(module, attribute)
    graph = found if isinstance(found, Pregel) or not callable(found) else _made(found)
    if not isinstance(graph, Pregel):
        raise ConfigError("graph", f"must be a compiled graph, is a {type(graph).__name__}")
    if not isinstance(graph.checkpointer, BaseCheckpointSaver):
        raise ConfigError("graph", "has no checkpointer, so there is nothing to go back to")
    if type(graph.checkpointer).__name__.startswith("Async"):
        raise ConfigError("graph", "has a checkpointer for event loops alone: give the replay one that also works here")
    return graph


def _made(factory: Any) -> Any:
    """What a function makes: of nothing, or of a config, as servers hand it one."""
    try:
        needed = [each for each in signature(factory).parameters.values() if each.default is each.empty]
    except (TypeError, ValueError):
        needed = []
    needed = [each for each in needed if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    if len(needed) > 1 or iscoroutinefunction(factory):
        raise ConfigError("graph", "is made by a function that cannot be called here: give one without arguments")
    return factory({"configurable": {}}) if needed else factory()


def _attribute(module: str, attribute: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError("graph", f"there is no module {error.name!r}") from error
    except ValueError as error:  # `..app`, `app/`
        raise ConfigError("graph", "must be MODULE:GRAPH, such as app:graph") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError("graph", f"module {module!r} has no {attribute!r}")
        found = getattr(found, part)
    return found


def check_tools(graph: Pregel[Any, Any, Any, Any]) -> None:
    """Raise `ConfigError` for tools that would run: those of a `ToolNode` without a guard."""
    for name in unguarded(graph):
        raise ConfigError(
            "graph",
            f"node {name!r} is a ToolNode without a ToolGuard, so its tools cannot be held back:"
            " use ToolGuard.node(tools), or run them with --live",
        )


def unguarded(graph: Pregel[Any, Any, Any, Any]) -> Iterator[str]:
    """The nodes whose tools no guard stands before, those of subgraphs too."""
    yield from _in_nodes(graph, "")
    for namespace, below in graph.get_subgraphs(recurse=True):
        yield from _in_nodes(below, f"{namespace}|")


def needs_loop(graph: Pregel[Any, Any, Any, Any]) -> bool:
    """Whether a node of it, or of a subgraph, is a coroutine: it runs on a loop alone."""
    graphs: list[Any] = [graph, *(below for _, below in graph.get_subgraphs(recurse=True))]
    parts = (part for each in graphs for node in each.nodes.values() for part in _parts(node.bound))
    return any(getattr(part, "func", graph) is None and getattr(part, "afunc", None) is not None for part in parts)


def _in_nodes(graph: Any, prefix: str) -> Iterator[str]:
    for name, node in graph.nodes.items():
        if any(_is_bare(part) for part in _parts(node.bound)):
            yield f"{prefix}{name}"


def _parts(bound: Any) -> list[Any]:
    """A node, or the steps of one that is a sequence."""
    return [bound, *getattr(bound, "steps", [])]


def _is_bare(part: Any) -> bool:
    if not isinstance(part, ToolNode):
        return False
    found = (getattr(part, name, None) for name in ("_wrap_tool_call", "_awrap_tool_call"))
    hooks = [hook for hook in found if hook is not None]
    return not (hooks and all(map(is_guarded, hooks)))
