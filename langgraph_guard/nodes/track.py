"""`budget.track(node)`: what a node spends goes to state, and a denial inside becomes a verdict."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from langgraph_guard.errors import BudgetExceeded, ConfigError
from langgraph_guard.flow import arun, run
from langgraph_guard.nodes import verdicts
from langgraph_guard.nodes.callback import BudgetCallback, tracking
from langgraph_guard.nodes.guard import Update
from langgraph_guard.nodes.held import Scope, scopes
from langgraph_guard.nodes.metering import Meter
from langgraph_guard.nodes.runs import Run
from langgraph_guard.nodes.tools import ToolCall, ToolCalls
from langgraph_guard.state.views import declare, input_schema_of, keeps, messages_of, open_calls, peek, read

CALL: Final = object()
"""The command of a tracked node's flow that runs the node."""

TrackFlow = Generator[Sequence[Any], list[Any], Any]


class Tracker:
    """Wraps nodes for one budget."""

    def __init__(self, meter: Meter, tools: ToolCalls, callback: BudgetCallback) -> None:
        self._meter = meter
        self._tools = tools
        self._callback = callback

    def wrap(self, node: Any) -> Any:
        if isinstance(node, Runnable):
            return TrackedNode(node, self)
        if not callable(node):
            raise ConfigError("node", f"must be a function or a Runnable, is a {type(node).__name__}")
        called = node if inspect.isroutine(node) or isinstance(node, functools.partial) else node.__call__
        tracked = self._async(called) if inspect.iscoroutinefunction(called) else self._sync(called)
        tracked.__name__ = getattr(node, "__name__", type(node).__name__)  # what add_node calls it
        return tracked

    def _sync(self, called: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(called)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            return self.run(lambda: called(*args, **kwargs))

        return tracked

    def _async(self, called: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(called)
        async def tracked(*args: Any, **kwargs: Any) -> Any:
            return await self.arun(lambda: called(*args, **kwargs))

        return tracked

    def run(self, call: Callable[[], Any], config: RunnableConfig | None = None) -> Any:
        ledger = self._meter.backend.ledger
        return run(
            self._track(ensure_config(config)),
            lambda batch: [call()] if batch[0] is CALL else ledger.execute(batch),
        )

    async def arun(self, call: Callable[[], Any], config: RunnableConfig | None = None) -> Any:
        ledger = self._meter.backend.ledger

        async def execute(batch: Sequence[Any]) -> list[Any]:
            return [await call()] if batch[0] is CALL else await ledger.aexecute(batch)

        return await arun(self._track(ensure_config(config)), execute)

    def _track(self, config: RunnableConfig) -> TrackFlow:
        around = self._meter.run_of(config)
        yield from self._meter.enter(around, config)
        if around is not None:
            key = self._meter.messages_key
            seen = peek(config, "guard_asked", key)
            self._tools.recall(around, seen.get("guard_asked"))
            yield from self._tools.read(around, messages_of(seen, key) if around.unsettled else ())
        scope = Scope()
        with self._watching(scope):
            try:
                (result,) = yield [CALL]
            except GeneratorExit:
                raise
            except GraphBubbleUp:
                yield from self._close_left_open(scope, run_again=True)
                raise
            except BaseException as error:
                yield from self._close_left_open(scope)
                if scope.denied is None or not _came_from(error, scope.denied) or not keeps(config, "guard_halt"):
                    raise
                result = None
            else:
                scope.denied = scope.latched
            if scope.denied is None:
                yield from self._count_tool_calls(result, config, around)
        update = yield from self._update(scope, config, around)
        return with_update(result, update)

    def _close_left_open(self, scope: Scope, *, run_again: bool = False) -> TrackFlow:
        for run_id in list(scope.opened):
            yield from self._callback.left_open(run_id, runs_again=run_again)

    @contextmanager
    def _watching(self, scope: Scope) -> Iterator[None]:
        token = scopes.set({**scopes.get(), self._meter: scope})
        try:
            with tracking(self._callback):
                yield
        finally:
            scopes.reset(token)

    def _count_tool_calls(self, result: Any, config: RunnableConfig, around: Run | None) -> TrackFlow:
        """Charge the tool calls that a model asks for here, so that too many are refused before the first is made."""
        key = self._meter.messages_key
        known = {message.id for message in messages_of(peek(config, key), key)}
        wanted = [call for message in _said(result, key) if message.id not in known for call in open_calls([message])]
        wanted = [call for call in wanted if call["id"] not in _answered(result, key)]
        if not wanted:
            return
        with suppress(BudgetExceeded):  # It is noted as the node's denial.
            yield from self._tools.ask([ToolCall(call["id"], call["name"]) for call in wanted], config, around)

    def _update(self, scope: Scope, config: RunnableConfig, around: Run | None) -> TrackFlow:
        asked = self._tools.news(around)
        if not scope.metered and scope.denied is None and not asked:
            return {}
        id, seq = around.turn_ref if around else ("", 0)
        now_ms = self._meter.now_ms()
        update: Update = {"guard_asked": asked} if asked else {}
        if around is not None and around.turn is not None:
            update["guard_turn"] = {**around.turn, "active_ms": around.active_ms(now_ms)}
            update["guard_usage"] = yield from self._meter.spent(config, (id, seq))
        if scope.denied is not None:
            update |= verdicts.update({}, self._meter.name, verdicts.denied(scope.denied), (id, seq), now_ms)
        return update


class TrackedNode(Runnable[Any, Any]):
    """A tracked Runnable: `ToolNode`, a chain, a compiled graph."""

    def __init__(self, node: Runnable[Any, Any], tracker: Tracker) -> None:
        self.node = node
        self.name = node.get_name()
        self._tracker = tracker
        if (schema := input_schema_of(node)) is not None:
            declare(self, schema)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._tracker.run(lambda: self.node.invoke(input, config, **kwargs), config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await self._tracker.arun(lambda: self.node.ainvoke(input, config, **kwargs), config)


def with_update(result: Any, update: Update) -> Any:
    """What a node returned, and `update` beside it."""
    if not update:
        return result
    if result is None:
        return update
    if isinstance(result, dict):
        return {**result, **update}
    if isinstance(result, list | tuple) and any(isinstance(each, Command) for each in result):
        return [*result, update]
    return [result if isinstance(result, Command) else Command(update=result), update]


def _came_from(error: BaseException | None, denial: BudgetExceeded) -> bool:
    """Whether `error` is `denial`, or was raised while it was handled; a group, whether all in it were."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, BudgetExceeded) and error.args == denial.args:
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(_came_from(each, denial) for each in error.exceptions)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _messages(result: Any, messages_key: str) -> list[BaseMessage]:
    """The messages in what a node returned: a state update, commands, or some of both."""
    if isinstance(result, list | tuple):
        return [message for each in result for message in _messages(each, messages_key)]
    if isinstance(result, Command):
        return _messages(dict(result._update_as_tuples()), messages_key)
    found = None if result is None else read(result, messages_key)
    return (
        [found] if isinstance(found, BaseMessage) else [each for each in found or () if isinstance(each, BaseMessage)]
    )


def _said(result: Any, messages_key: str) -> list[AIMessage]:
    return [message for message in _messages(result, messages_key) if isinstance(message, AIMessage)]


def _answered(result: Any, messages_key: str) -> set[str]:
    return {m.tool_call_id for m in _messages(result, messages_key) if isinstance(m, ToolMessage)}
