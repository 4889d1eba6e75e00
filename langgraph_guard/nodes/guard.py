"""What every guard node is: a `Runnable` that writes a verdict, and a router that reads it."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping, Sequence
from inspect import ismethod
from types import MethodType
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from typing_extensions import TypedDict, get_type_hints

from langgraph_guard.errors import ConfigError
from langgraph_guard.nodes.runs import runtime_of
from langgraph_guard.state import GuardState

Update = dict[str, Any]
NodeFlow = Generator[Sequence[Any], list[Any], Update]

OURS = "lc_source"
"""The `additional_kwargs` key of messages that no person wrote: summaries, nudges. LangChain's own word."""


WORDS = ("ok", "warn", "exceeded", "tools", "end", "halt", "closed", "open", "execute", "revise", "expired", "ask")
"""What the guards of the pack say. A target for a word of another guard is ignored, so that guards can be swapped."""


class MessagesView(GuardState):
    """The state that a guard reads: its own keys, and the host's messages with whatever reducer they have."""

    messages: list[BaseMessage]


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

    def __call__(self, state: Any) -> Update:
        return self.invoke(state)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        raise NotImplementedError

    def route(self, state: GuardState) -> str:
        """The word that this guard last wrote. For `add_conditional_edges`."""
        verdict = (read(state, "guard_verdicts") or {}).get(self.name)
        return cast(str, verdict["route"]) if verdict else self.passing[0]

    def paths(self, **targets: str) -> dict[Hashable, str]:
        """The path map of `route`: a node for each word. Words of a passing verdict default to the first one's target.

        Raises `ConfigError` for a word that no guard says, and for one of this guard's that has no target.
        """
        return path_map(self.name, self.passing, self.stopping, targets)


def path_map(
    guard: str, passing: Sequence[str], stopping: Sequence[str], targets: Mapping[str, str]
) -> dict[Hashable, str]:
    words = (*passing, *stopping)
    for word, target in targets.items():
        if word not in (*words, *WORDS):
            raise ConfigError("paths", f"{guard} has no route {word!r}; its routes are {', '.join(words)}")
        if not isinstance(target, str) or not target:
            raise ConfigError(f"paths({word}=…)", f"must name a node, is a {type(target).__name__}")
    first = next((targets[word] for word in passing if word in targets), None)
    missing = [word for word in (*passing[:1], *stopping) if word not in targets and (word in stopping or not first)]
    if missing:
        raise ConfigError("paths", f"{guard} may route to {', '.join(missing)}: give it a target")
    return {word: targets.get(word) or cast(str, first) for word in words if word in targets or word in passing}


def declare(node: Any, schema: type) -> None:
    """Make `add_node` read `schema` as the input of `node`, although its class was written for another."""

    def call(self: Any, state: Any) -> Any:
        return self.invoke(state)

    call.__annotations__ = {"state": schema}
    node.__call__ = MethodType(call, node)


def input_schema_of(node: Any) -> type | None:
    """The schema that a node's `__call__` declares, as `add_node` would read it."""
    call = getattr(node, "__call__", None)  # noqa: B004 - its annotations are wanted, not whether it can be called
    hints = get_type_hints(call) if ismethod(call) else {}
    return next((hint for name, hint in hints.items() if name != "return" and isinstance(hint, type)), None)


def read(state: Any, key: str) -> Any:
    """A key of a state that is a dict, a dataclass or a Pydantic model; `None` when it is not there."""
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def messages_of(state: Any, key: str = "messages") -> list[BaseMessage]:
    found = read(state, key)
    return [each for each in found if isinstance(each, BaseMessage)] if isinstance(found, list | tuple) else []


def opener(messages: Sequence[BaseMessage], fallback: str | None = None) -> str | None:
    """The id of the newest message that a person wrote. For one without an id, `fallback`, or else its place."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, HumanMessage) and not message.additional_kwargs.get(OURS):
            return message.id or fallback or f"human-{at}"
    return None


def open_calls(messages: Sequence[BaseMessage]) -> list[Any]:
    """The tool calls of the last AI message that have no answer yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            return [call for call in message.tool_calls if call["id"] not in answered]
        answered.add(getattr(message, "tool_call_id", ""))
    return []


def in_config(config: RunnableConfig | None) -> RunnableConfig:
    """The config of a task, which is complete, or of a call from anywhere else."""
    return config if config is not None and runtime_of(config) is not None else ensure_config(config)


def renamed(schema: type, key: str) -> type:
    """`schema` for a host that keeps its messages under `key`."""
    hints = get_type_hints(schema, include_extras=True)
    hints[key] = hints.pop("messages")
    return as_schema(schema.__name__, hints)


def as_schema(name: str, hints: dict[str, Any]) -> type:
    return cast(type, TypedDict(name, hints, total=False))  # type: ignore[operator]  # its functional form, at run time
