"""The commands of a guarded call's flow, and the two ways to carry them out: in a thread, on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool, Tool
from langgraph.prebuilt.tool_node import ToolCallRequest

from langgraph_guard.backends.protocols import Clock
from langgraph_guard.tools.guard import threads
from langgraph_guard.tools.guard.answer import Answer

ToolFlow: TypeAlias = Generator[Sequence[Any], list[Any], Answer]

Execute: TypeAlias = Callable[[ToolCallRequest], Any]
AExecute: TypeAlias = Callable[[ToolCallRequest], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Use:
    """Let the tool run, for `timeout` seconds at the most. Raises what it raises, and `TimeoutError`."""

    request: ToolCallRequest
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Consult:
    """Call a function of the user's own, sync or async, with `key`, for `timeout` seconds at the most. Raises what it
    raises, and `TimeoutError`."""

    function: Callable[..., Any]
    key: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Commands for something that processes share: a ledger, a registry of breakers, a cache."""

    whom: Executor
    commands: Sequence[Any]


class Executor(Protocol):
    """A ledger or a registry: it answers commands."""

    @property
    def instant(self) -> bool: ...
    def execute(self, commands: Any) -> list[Any]: ...
    async def aexecute(self, commands: Any) -> list[Any]: ...


def asking(whom: Executor, flow: Generator[Sequence[Any], list[Any], Any]) -> Generator[Sequence[Any], list[Any], Any]:
    """`flow`, whose commands are for `whom`, as a part of a guarded call's flow."""
    try:
        batch = next(flow)
        while True:
            try:
                (replies,) = yield [Ask(whom, batch)]
            except GeneratorExit:
                raise
            except BaseException as error:
                batch = flow.throw(error)
            else:
                batch = flow.send(replies)
    except StopIteration as stop:
        return stop.value
    finally:
        flow.close()


def tell(batch: Sequence[Ask]) -> list[Any]:
    """Carry out a batch that only asks, in a thread."""
    return [each.whom.execute(each.commands) for each in batch]


async def atell(batch: Sequence[Ask]) -> list[Any]:
    """The same on an event loop."""
    return [await _atell(each) for each in batch]


async def _atell(ask: Ask) -> list[Any]:
    return ask.whom.execute(ask.commands) if ask.whom.instant else await ask.whom.aexecute(ask.commands)


class Runner:
    """Carries out what flows yield."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def sync(self, execute: Execute) -> Callable[[Sequence[Any]], list[Any]]:
        def carry_out(batch: Sequence[Any]) -> list[Any]:
            return [self._do(command, execute) for command in batch]

        return carry_out

    def on_loop(self, execute: AExecute) -> Callable[[Sequence[Any]], Awaitable[list[Any]]]:
        async def carry_out(batch: Sequence[Any]) -> list[Any]:
            return [await self._ado(command, execute) for command in batch]

        return carry_out

    def _do(self, command: Any, execute: Execute) -> Any:
        match command:
            case Use(request, timeout) if timeout is not None:
                return threads.shared.run(lambda: execute(request), timeout)
            case Use(request):
                return execute(request)
            case Pause(seconds):
                return self._clock.sleep(seconds)
            case Consult(function, key, timeout):
                return threads.shared.run(lambda: consulted(function, key), timeout)
            case Ask(whom, commands):
                return whom.execute(commands)
            case _:
                raise TypeError(type(command).__name__)

    async def _ado(self, command: Any, execute: AExecute) -> Any:
        match command:
            case Use(request, timeout) if timeout is not None:
                return await in_time(timeout, execute(off_the_loop(request)))
            case Use(request):
                return await execute(request)
            case Pause(seconds):
                return await self._clock.asleep(seconds)
            case Consult(function, key, timeout) if asyncio.iscoroutinefunction(function):
                return await in_time(timeout, function(key))
            case Consult(function, key, timeout):
                return await in_time(timeout, threads.shared.arun(lambda: consulted(function, key)))
            case Ask():
                return await _atell(command)
            case _:
                raise TypeError(type(command).__name__)


def off_the_loop(request: ToolCallRequest) -> ToolCallRequest:
    """A tool that can only block is given a thread of ours, which nobody waits for when the program ends."""
    tool = request.tool
    if tool is None or is_async(tool):
        return request
    return request.override(tool=cast(BaseTool, Blocking(tool)))


class Blocking:
    """What `ToolNode` needs of a tool on an event loop, for a tool that has no coroutine."""

    def __init__(self, tool: BaseTool) -> None:
        self._tool = tool

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await threads.shared.arun(lambda: self._tool.invoke(input, config, **kwargs))


def consulted(function: Callable[..., Any], key: str) -> Any:
    """What the function says, in a thread that has no event loop."""
    said = function(key)
    return asyncio.run(said) if asyncio.iscoroutine(said) else said


def is_async(tool: BaseTool) -> bool:
    """Whether a tool has a coroutine of its own."""
    if isinstance(tool, StructuredTool | Tool):
        return tool.coroutine is not None
    return type(tool)._arun is not BaseTool._arun or type(tool).ainvoke is not BaseTool.ainvoke


async def in_time(seconds: float, work: Awaitable[Any]) -> Any:
    """The result of `work`; `TimeoutError` after so many `seconds`, also when it does not let itself be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except BaseException:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.cancel()
    task.add_done_callback(_heard)
    raise TimeoutError


def _heard(task: asyncio.Future[Any]) -> None:
    """Nobody waits any more: an error of a tool that was given up is no news."""
    if not task.cancelled():
        task.exception()
