"""What every guard node is: a `Runnable` that writes a verdict, and a router that reads it."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from types import MethodType
from typing import Any, Final, Literal, cast

from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.runs import runtime_of
from langgraph_guard.state import GuardState
from langgraph_guard.state.views import MessagesView, declare, read, renamed

Update = dict[str, Any]
NodeFlow = Generator[Sequence[Any], list[Any], Update]

WORDS = ("ok", "warn", "exceeded", "tools", "end", "halt", "closed", "open", "execute", "revise", "expired", "ask")
"""What the guards of the pack say. A target for a word of another guard is ignored, so that guards can be swapped."""

PASS: Final = ("ok", "execute", "closed")
"""The words for going on as asked, whichever the guard: a target for one of them serves the others."""


class Guard(Runnable[Any, Update]):
    """A guard as a graph node. Routes are the words of `passing` and `stopping`; the verdict is written to state.

    Sync and async without a thread hop. Its keys join the graph's channels by themselves.
    """

    name: str
    passing: tuple[str, ...] = ("ok",)
    stopping: tuple[str, ...] = ()

    def __init__(self, name: str, messages_key: str = "messages", schema: type = MessagesView) -> None:
        if not isinstance(name, str) or not name:
            raise ConfigError("name", "must be a non-empty str")
        if not isinstance(messages_key, str) or not messages_key:
            raise ConfigError("messages_key", "must be a non-empty str")
        self.name = name
        self.messages_key = messages_key
        if messages_key != "messages":
            schema = renamed(schema, messages_key)
        self.schema = schema
        declare(self, schema)
        _announce(self)

    def __call__(self, state: Any) -> Update:
        return self.invoke(state)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        raise NotImplementedError

    def route(self, state: GuardState) -> str:
        """The word that this guard last wrote. For `add_conditional_edges`, with `paths` for where each word leads."""
        verdict = (read(state, "guard_verdicts") or {}).get(self.name)
        return cast(str, verdict["route"]) if verdict else self.passing[0]

    def paths(self, **targets: str) -> dict[Hashable, str]:
        """The path map of `route`: a node for each word. Words of a passing verdict default to the first one's target.

        Raises `ConfigError` for a word that no guard says, and for one of this guard's that has no target.
        """
        return path_map(self.name, self.passing, self.stopping, targets)


def _announce(guard: Any) -> None:
    """Make `add_conditional_edges` read the words of `guard` from its route, where nobody gives it a path map.

    Then a word that names no node fails when the graph is compiled. LangGraph ends a run that is sent to one.
    """
    words = (*guard.passing, *guard.stopping)
    plain = type(guard).route

    def route(self: Any, state: Any) -> Any:
        return plain(self, state)

    route.__annotations__ = {"state": GuardState, "return": Literal[words]}
    guard.route = MethodType(route, guard)


def path_map(
    guard: str, passing: Sequence[str], stopping: Sequence[str], targets: Mapping[str, str]
) -> dict[Hashable, str]:
    """A target for each word. Without one of its own words, a guard passes to where another guard's `PASS` word leads:
    `.paths(execute="tools", …)` fits a guard that says `ok`. Where two of them differ, it must say which."""
    words = (*passing, *stopping)
    for word, target in targets.items():
        if word not in (*words, *WORDS):
            raise ConfigError("paths", f"{guard} has no route {word!r}; its routes are {', '.join(words)}")
        if not isinstance(target, str) or not target:
            raise ConfigError(f"paths({word}=…)", f"must name a node, is a {type(target).__name__}")
    others = {targets[word] for word in PASS if word in targets}
    first = next((targets[word] for word in passing if word in targets), others.pop() if len(others) == 1 else None)
    missing = [word for word in (*passing[:1], *stopping) if word not in targets and (word in stopping or not first)]
    if missing:
        raise ConfigError("paths", f"{guard} may route to {', '.join(missing)}: give it a target")
    return {word: targets.get(word) or cast(str, first) for word in words if word in targets or word in passing}


def in_config(config: RunnableConfig | None) -> RunnableConfig:
    """The config of a task, which is complete, or of a call from anywhere else."""
    return config if config is not None and runtime_of(config) is not None else ensure_config(config)
