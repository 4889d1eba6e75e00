"""Several guards in one superstep and one checkpoint."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import add_messages
from langgraph.types import Overwrite
from typing_extensions import get_type_hints

from langgraph_guard.errors import ConfigError
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes.guard import Guard, Update, in_config
from langgraph_guard.state import REDUCERS, GuardState
from langgraph_guard.state.views import as_schema, read


class Check(NamedTuple):
    """The command of a fused flow: run one guard on the state as it stands."""

    guard: Guard
    state: dict[str, Any]


def fuse(*guards: Guard, name: str | None = None) -> FusedGuard:
    """Guards as one node. Each sees the state as the ones before it left it; the first that stops ends it.

    Its routes are the stopping words of all of them, and the passing words of the last. Raises `ConfigError` for fewer
    than one guard, for two of the same name, and for guards that keep messages under different keys.
    """
    return FusedGuard(guards, name or "+".join(guard.name for guard in guards if isinstance(guard, Guard)))


class FusedGuard(Guard):
    """What `fuse` returns: a guard like any other."""

    def __init__(self, guards: tuple[Guard, ...], name: str) -> None:
        _check(guards)
        self.guards = guards
        self.passing = guards[-1].passing
        self.stopping = tuple({word: None for guard in guards for word in guard.stopping})
        hints = {key: hint for g in guards for key, hint in get_type_hints(g.schema, include_extras=True).items()}
        super().__init__(name, guards[0].messages_key, as_schema("FusedView", hints))

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)
        return run(self._check(input), lambda batch: [check.guard.invoke(check.state, config) for check in batch])

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        config = in_config(config)

        async def execute(batch: Any) -> list[Any]:
            return [await check.guard.ainvoke(check.state, config) for check in batch]

        return await arun(self._check(input), execute)

    def _check(self, state: Any) -> Generator[list[Check], list[Any], Update]:
        view = _as_dict(state, self.schema)
        update: Update = {}
        route = self.passing[0]
        for guard in self.guards:
            (said,) = yield [Check(guard, view)]
            view, update = after(view, said, self.messages_key), joined(update, said, self.messages_key)
            route = guard.route(cast(GuardState, view))
            if route in guard.stopping:
                break
        verdict = {"route": route, "turn": (view.get("guard_turn") or {}).get("id", ""), "at": 0}
        return joined(update, {"guard_verdicts": {self.name: verdict}}, self.messages_key)


def after(view: Mapping[str, Any], update: Update, messages_key: str) -> dict[str, Any]:
    """The state as a guard after `update` sees it."""
    seen = dict(view)
    for key, value in update.items():
        if isinstance(value, Overwrite):
            seen[key] = value.value
        elif key in REDUCERS:
            seen[key] = REDUCERS[key](seen.get(key) or type(value)(), value)
        elif key == messages_key:
            seen[key] = add_messages(seen.get(key) or [], value)
        else:
            seen[key] = value
    return seen


def joined(first: Update, second: Update, messages_key: str) -> Update:
    """One update that does what `first` and then `second` do."""
    both = dict(first)
    for key, value in second.items():
        if key not in both or isinstance(value, Overwrite):
            both[key] = value
        elif key in REDUCERS:
            both[key] = REDUCERS[key](both[key], value)
        elif key == messages_key:
            both[key] = _messages(both[key], value)
        else:
            both[key] = value
    return both


def _messages(first: Any, second: Any) -> Any:
    if isinstance(first, Overwrite):
        return Overwrite(add_messages(first.value, second))
    return [*_listed(first), *_listed(second)]


def _listed(messages: Any) -> list[Any]:
    return [messages] if isinstance(messages, BaseMessage) else list(messages)


def _as_dict(state: Any, schema: type) -> dict[str, Any]:
    return {key: read(state, key) for key in get_type_hints(schema) if read(state, key) is not None}


def _check(guards: tuple[Any, ...]) -> None:
    if not guards:
        raise ConfigError("fuse", "takes one guard or more")
    for guard in guards:
        if not isinstance(guard, Guard):
            raise ConfigError("fuse", f"takes guard nodes, one is a {type(guard).__name__}")
    if len({guard.name for guard in guards}) < len(guards):
        raise ConfigError("fuse", "two guards have the same name: give one a name=")
    if len({guard.messages_key for guard in guards}) > 1:
        raise ConfigError("messages_key", "differs between the guards")
